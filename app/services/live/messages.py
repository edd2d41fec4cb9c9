"""Events of the live stream as text, made once for all readers who get the same."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from app.schemas.stream import DeviceState, PowerFrame, Topic
from app.services.live.access import Audience
from app.services.live.state import OwnedBudget, OwnedRun, seen_budgets
from app.services.pool_queue import QueueState, shown

QUEUE_LIMIT = 50
"""Waiting runs of each pool in the event `queue`."""

RUNS_OF_EVENT = 20
"""Runs in one event, so that no event is long."""


def event(name: str, id_: str, data: bytes) -> bytes:
    """One server-sent event; the data has no line break."""
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (id_.encode(), name.encode(), data)


def resync(id_: str) -> bytes:
    """The event after which a client forgets what it has: a snapshot follows."""
    return event("resync", id_, b'{"reason":"changes since the last event are no longer kept"}')


def power_events(
    id_: str,
    devices: Sequence[DeviceState],
    frames: Sequence[PowerFrame],
    *,
    whole: bool = False,
) -> list[bytes]:
    """Devices that are new or changed (``whole``: all of them), then frames."""
    parts = []
    if devices or whole:
        items = [device.model_dump() for device in devices]
        parts.append(event("devices", id_, _json({"whole": whole, "items": items})))
    return parts + [event("power", id_, _json(frame.model_dump())) for frame in frames]


def run_events(
    id_: str, owned: Sequence[OwnedRun], audience: Audience, *, whole: bool = False
) -> list[bytes]:
    """The runs that an audience sees; ``whole``: all that are running."""
    runs = [each.run.model_dump_json() for each in owned if audience.sees(each.project_id)]
    groups = [runs[n : n + RUNS_OF_EVENT] for n in range(0, len(runs), RUNS_OF_EVENT)]
    if whole and not groups:
        groups = [[]]
    parts = []
    for number, group in enumerate(groups):
        is_first = "true" if whole and number == 0 else "false"
        text = f'{{"whole":{is_first},"items":[{",".join(group)}]}}'
        parts.append(event("runs", id_, text.encode()))
    return parts


def queue_text(queue: QueueState, audience: Audience) -> bytes:
    """The queue as an audience sees it, without the time of the state."""
    visible = {
        run_id
        for pool in queue.pools
        for run_id, project_id in pool.project_ids.items()
        if audience.sees(project_id)
    }
    return shown(queue, visible, QUEUE_LIMIT).model_dump_json(exclude={"at"}).encode()


def budgets_text(owned: Sequence[OwnedBudget], audience: Audience) -> bytes:
    """The budgets that an audience sees."""
    items = ",".join(each.model_dump_json() for each in seen_budgets(owned, audience))
    return f'{{"items":[{items}]}}'.encode()


@dataclass(slots=True)
class Tick:
    """What came in half a second.

    Attributes:
        number: Its number, from 1.
        boot: Distinguishes the processes of a server.
        devices: Devices that are new or changed.
        frames: Power samples.
        runs: Runs that changed.
    """

    number: int
    boot: str
    devices: list[DeviceState]
    frames: list[PowerFrame]
    runs: list[OwnedRun] = field(default_factory=list)
    _power: list[bytes] | None = None
    _runs: dict[Audience, list[bytes]] = field(default_factory=dict)

    def encoded(self, topics: Collection[Topic], audience: Audience) -> list[bytes]:
        """Its events for an audience."""
        id_, parts = f"{self.boot}-{self.number}", list[bytes]()
        if "power" in topics:
            if self._power is None:
                self._power = power_events(id_, self.devices, self.frames)
            parts += self._power
        if "runs" in topics and self.runs:
            if audience not in self._runs:
                self._runs[audience] = run_events(id_, self.runs, audience)
            parts += self._runs[audience]
        return parts


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
