"""Events of the live stream as text, created once for all readers of the same audience."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from app.schemas.stream import DeviceState, PowerFrame, Topic
from app.services.live.access import Audience
from app.services.live.power import coalesced
from app.services.live.state import OwnedBudget, OwnedRun, seen_budgets
from app.services.queueing.pool_queue import QueueState, shown

QUEUE_LIMIT = 50
"""Maximum number of waiting runs of each pool in the event `queue`."""

RUNS_OF_EVENT = 20
"""Maximum number of runs in one event."""

PIECE_BYTES = 16_384
"""Maximum size of a piece for a connection."""


def event(name: str, id_: str, data: bytes) -> bytes:
    """One server-sent event; the data has no line break."""
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (id_.encode(), name.encode(), data)


def resync(id_: str) -> bytes:
    """The event that makes a client discard its state: a snapshot follows."""
    return event("resync", id_, b'{"reason":"changes since the last event are no longer kept"}')


def database_event(id_: str, *, is_reachable: bool) -> bytes:
    """Whether the server reaches its database; while it does not, nothing new is known."""
    return event("database", id_, b'{"reachable":%s}' % (b"true" if is_reachable else b"false"))


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
    # Without the fields that change with every report of a worker.
    read = shown(queue, visible, QUEUE_LIMIT)
    return read.model_dump_json(exclude={"at": True, "pools": {"__all__": {"heard"}}}).encode()


def budgets_text(owned: Sequence[OwnedBudget], audience: Audience) -> bytes:
    """The budgets that an audience sees."""
    items = ",".join(each.model_dump_json() for each in seen_budgets(owned, audience))
    return f'{{"items":[{items}]}}'.encode()


@dataclass(slots=True)
class Tick:
    """The messages of half a second.

    Attributes:
        number: Its number, from 1.
        boot: Distinguishes the processes of a server.
        devices: Devices that are new or changed.
        frames: Power samples.
        runs: Runs that changed.
        is_reachable: Whether the database is reached from now on; None if that did not change.
    """

    number: int
    boot: str
    devices: list[DeviceState]
    frames: list[PowerFrame]
    runs: list[OwnedRun] = field(default_factory=list)
    is_reachable: bool | None = None
    _power: list[bytes] | None = None
    _runs: dict[Audience, list[bytes]] = field(default_factory=dict)
    _pieces: dict[tuple[frozenset[Topic], Audience], list[bytes]] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether it has no data for any reader."""
        return not (self.devices or self.frames or self.runs) and self.is_reachable is None

    def pieces(self, topics: frozenset[Topic], audience: Audience) -> list[bytes]:
        """Its events for an audience, joined to pieces; created once for all readers."""
        key = (topics, audience)
        if key not in self._pieces:
            self._pieces[key] = pieces(self.encoded(topics, audience))
        return self._pieces[key]

    def encoded(self, topics: Collection[Topic], audience: Audience) -> list[bytes]:
        """Its events for an audience."""
        id_, parts = f"{self.boot}-{self.number}", list[bytes]()
        if self.is_reachable is not None:
            parts.append(database_event(id_, is_reachable=self.is_reachable))
        if "power" in topics:
            if self._power is None:
                self._power = power_events(id_, self.devices, self.frames)
            parts += self._power
        if "runs" in topics and self.runs:
            if audience not in self._runs:
                self._runs[audience] = run_events(id_, self.runs, audience)
            parts += self._runs[audience]
        return parts


def coalesced_events(
    id_: str, missed: Sequence[Tick], topics: Collection[Topic], audience: Audience
) -> list[bytes]:
    """Several ticks as one: a mean of each second, and the last state of each run."""
    parts: list[bytes] = []
    reached = [tick.is_reachable for tick in missed if tick.is_reachable is not None]
    if reached:
        parts.append(database_event(id_, is_reachable=reached[-1]))
    if "power" in topics:
        devices = {device.id: device for tick in missed for device in tick.devices}
        frames = coalesced(frame for tick in missed for frame in tick.frames)
        parts += power_events(id_, list(devices.values()), frames)
    if "runs" in topics:
        runs = {owned.run.id: owned for tick in missed for owned in tick.runs}
        parts += run_events(id_, list(runs.values()), audience)
    return parts


def pieces(parts: Sequence[bytes]) -> list[bytes]:
    """Events joined to pieces that are not much larger than ``PIECE_BYTES``."""
    joined: list[bytes] = []
    size = PIECE_BYTES
    for part in parts:
        if size + len(part) > PIECE_BYTES:
            joined.append(part)
            size = len(part)
        else:
            joined[-1] += part
            size += len(part)
    return joined


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
