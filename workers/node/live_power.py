"""Live power of this worker's meters: sent to the server once a second, never stored.

Every meter of the worker adds its samples as it takes them: that of a job ten per second, that of
the node one. A batch that cannot be sent is dropped, which leaves a gap in charts; readings, from
which energy is charged, are sent separately.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any

from app.cancellation import heed_cancellation
from pricetag.metering.source import Component

logger = logging.getLogger(__name__)

LOOK_S = 0.25
SEND_TIMEOUT_S = 2.0
SECOND_MS = 1000
KEPT_SECONDS = 5
"""Maximum duration of kept samples, in s; a stalled loop sends no more than these."""

MOST_SECONDS = 60
"""Maximum duration of samples kept per meter, in s, even if nothing sends them."""

MAX_BYTES = 7900
"""Length of one message; PostgreSQL limits a notification to less than 8000 bytes."""

FOLLOW = 0.1
"""Share of the phase error by which the slots follow a meter whose samples drift."""

FARTHEST = 0.75
"""Distance of a slot's beginning from its number, in periods, at which a drift skips a slot."""

Send = Callable[[str], Awaitable[None]]


class Slots:
    """Numbers the samples of one meter, so that a jitter of half a period loses none.

    Args:
        period_ms: Nominal time between two samples, in ms.
    """

    def __init__(self, period_ms: int) -> None:
        self._period_ms = period_ms
        self._offset_ms: float | None = None

    def number(self, at_ms: float) -> int:
        """The slot of a sample: slot n begins about n periods after 1970."""
        period_ms = self._period_ms
        if self._offset_ms is None:
            self._offset_ms = at_ms % period_ms - period_ms / 2
        slot, within_ms = divmod(at_ms - self._offset_ms, period_ms)
        self._offset_ms += FOLLOW * (within_ms - period_ms / 2)
        if abs(self._offset_ms) > FARTHEST * period_ms:  # the drift has made up a whole period
            self._offset_ms = (self._offset_ms + period_ms / 2) % period_ms - period_ms / 2
        return int(slot)


class LivePower:
    """Collects the power samples of a worker's meters and sends them.

    Args:
        node: Name of this node.
        send: Sends one message; if it raises, the message is dropped.
        wall_clock: Seconds since 1970.
    """

    def __init__(
        self, node: str, send: Send, *, wall_clock: Callable[[], float] = time.time
    ) -> None:
        self._node = node
        self._send = send
        self._wall_clock = wall_clock
        self._mutex = threading.Lock()
        self._components: dict[str, Component] = {}
        self._slots: dict[tuple[str, int], Slots] = {}
        self._samples: dict[int, dict[str, dict[int, float | None]]] = defaultdict(dict)
        self._is_away = False
        self._has_failed = False

    def meet(self, components: Iterable[Component]) -> None:
        """Describe components whose samples will be added."""
        with self._mutex:
            self._components.update({component.id: component for component in components})

    def add(self, powers_w: Mapping[str, float | None], period_ms: int) -> None:
        """Add samples that were taken now; thread-safe.

        Args:
            powers_w: Power of components, in W; None where it could not be read.
            period_ms: Nominal time to the meter's next sample, in ms.
        """
        at_ms = self._wall_clock() * 1000
        with self._mutex:
            for component, power_w in powers_w.items():
                key = (component, period_ms)
                slots = self._slots.setdefault(key, Slots(period_ms))
                of_component = self._samples[period_ms].setdefault(component, {})
                of_component[slots.number(at_ms)] = power_w
                if len(of_component) > MOST_SECONDS * SECOND_MS // period_ms:
                    del of_component[next(iter(of_component))]

    async def run(self) -> None:
        """Send batches until canceled; samples of which no batch can be made are dropped."""
        while True:
            try:
                for message in self.due():
                    await self.deliver(message)
            except Exception:
                with self._mutex:
                    self._samples.clear()
                log = logger.debug if self._has_failed else logger.error
                log("live power has a gap", exc_info=True)
                self._has_failed = True
            heed_cancellation()
            await asyncio.sleep(LOOK_S)

    def due(self) -> list[str]:
        """Messages with the samples of every second that is complete; each is returned once."""
        now_ms = self._wall_clock() * 1000
        with self._mutex:
            batches = [
                batch
                for period_ms in sorted(self._samples)
                for batch in self._batches(period_ms, now_ms)
            ]
        return [message for batch in batches for message in split(batch)]

    def _batches(self, period_ms: int, now_ms: float) -> Iterator[dict[str, Any]]:
        samples = self._samples[period_ms]
        count = SECOND_MS // period_ms
        # After this second, a sample may still be late.
        past = int((now_ms - (FARTHEST + 0.05) * period_ms) // SECOND_MS) - 1
        seconds: dict[int, list[str]] = defaultdict(list)
        for component, slots in samples.items():
            counts = Counter(slot // count for slot in slots)
            for second, present in counts.items():
                if second <= past or present == count:
                    seconds[second].append(component)
        for second, names in sorted(seconds.items()):
            described = [name for name in names if name in self._components]
            if described and second > past - KEPT_SECONDS:
                yield self._batch(second, period_ms, described)
            for name in names:
                for slot in range(second * count, (second + 1) * count):
                    samples[name].pop(slot, None)

    def _batch(self, second: int, period_ms: int, names: Iterable[str]) -> dict[str, Any]:
        first = second * SECOND_MS // period_ms
        rows = []
        for name in names:
            slots, component = self._samples[period_ms][name], self._components[name]
            powers_w = [slots.get(first + n) for n in range(SECOND_MS // period_ms)]
            rows.append(
                {
                    "id": name,
                    "kind": component.kind,
                    "name": component.name,
                    "limit_w": _whole(component.power_limit_w),
                    "method": component.method,
                    "w": [_whole(power_w) for power_w in powers_w],
                }
            )
        t0 = second * SECOND_MS
        return {"node": self._node, "t0": t0, "dt_ms": period_ms, "components": rows}

    async def deliver(self, message: str) -> None:
        """Send one message; it is dropped if that fails."""
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._send(message)
        except Exception as error:  # the database may be away; the chart has a gap
            if not self._is_away:
                logger.info("live power is not sent (%s: %s)", type(error).__name__, error)
            self._is_away = True
        else:
            self._is_away = False


def _whole(power_w: float | None) -> int | None:
    """A power in whole W; None if it is unknown or not a number."""
    return None if power_w is None or not math.isfinite(power_w) else round(power_w)


def split(batch: Mapping[str, Any]) -> list[str]:
    """A batch as messages that fit a notification each."""
    message = json.dumps(batch, separators=(",", ":"), ensure_ascii=True)
    rows = batch["components"]
    if len(message) <= MAX_BYTES:
        return [message]
    if len(rows) == 1:
        logger.warning("live power of %.40r is not sent: its description is too long", rows[0])
        return []
    middle = len(rows) // 2
    halves = [{**batch, "components": half} for half in (rows[:middle], rows[middle:])]
    return [part for half in halves for part in split(half)]
