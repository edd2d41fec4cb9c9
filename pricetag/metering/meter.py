"""The meter of one attempt: samples power, integrates it, and emits readings."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from pricetag.accounting.readings.component import BOOKING_RULES
from pricetag.metering.metered import MeteredSource
from pricetag.metering.source import Component, PowerSource, Reading
from pricetag.metering.ticks import TickWatch

logger = logging.getLogger(__name__)

JOIN_TIMEOUT_S = 10.0

Emit = Callable[[list[Reading]], None]
OnPower = Callable[[Mapping[str, float | None], int], None]
"""Takes the power of components as it is sampled, and the nominal period, in ms."""


class Meter:
    """Samples every source in its own thread and emits cumulative readings.

    After each edge, without delaying it, counters that tick are watched for their next update,
    at which a reading of only that component is emitted, flagged ``tick`` (``late_tick`` where
    the thread was too late to know the time of the update).

    Nothing is emitted within the first reading period after :meth:`open` unless
    :meth:`edge` is called, so that the caller can write its ``start`` record first.

    Args:
        sources: Power sources to read.
        emit: Takes readings in time order. If it raises, the readings are kept and emitted
            again, with what it has replaced in the list.
        clock: Monotonic seconds.
        power_hz: Power samples per second.
        reading_hz: Readings per second.
        on_power: Takes every power sample at once, for display; it must not raise or wait.
        zero_s: Zero of the readings' time, on ``clock``; by default the opening. If the work
            began earlier, its first moments are then missing, and the coverage shows it.
    """

    def __init__(
        self,
        sources: Sequence[PowerSource],
        emit: Emit,
        clock: Callable[[], float] = time.monotonic,
        power_hz: float = 10.0,
        reading_hz: float = 1.0,
        on_power: OnPower | None = None,
        zero_s: float | None = None,
    ) -> None:
        self._zero_s = zero_s
        if power_hz <= 0 or reading_hz <= 0:
            raise ValueError("power_hz and reading_hz must be above 0")
        self._sources = list(sources)
        self._emit = emit
        self._clock = clock
        self._sample_period_s = 1.0 / power_hz
        self._reading_period_s = 1.0 / reading_hz
        self._on_power = on_power
        self._sampled: set[str] = set()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._is_closing = False
        self._watch = TickWatch()
        self._thread: threading.Thread | None = None
        self._metered: list[MeteredSource] = []
        self._pending: list[Reading] = []
        self._opened_s: float | None = None
        self._next_reading_s = 0.0
        self._closed = False
        self.failure: Exception | None = None
        """Last exception of ``emit`` while readings are pending; None when none are."""

    def open(self, *, thread: bool = True) -> list[Component]:
        """Open the sources, take the first reading and start sampling.

        Args:
            thread: Whether to sample in a thread; otherwise the caller calls :meth:`poll`.

        Returns:
            All components, for the ``start`` record.

        Raises:
            RuntimeError: If the meter was opened before.
        """
        with self._lock:
            if self._opened_s is not None:
                raise RuntimeError("a meter can be opened only once")
            components = self._open_sources()
            opened_s = self._clock()
            self._opened_s = opened_s if self._zero_s is None else self._zero_s
            self._pending += self._take_edge(opened_s - self._opened_s)
        if thread:
            self._thread = threading.Thread(target=self._run, name="pricetag-meter", daemon=True)
            self._thread.start()
        return components

    def now_s(self) -> float:
        """Seconds since the meter opened: the ``t_s`` of this moment."""
        if self._opened_s is None:
            raise RuntimeError("the meter is not open")
        return self._clock() - self._opened_s

    def poll(self) -> None:
        """One step: sample power, and take a reading if one is due."""
        with self._lock:
            if self._closed:
                return
            now_s = self.now_s()
            if now_s < self._next_reading_s:
                self._sample(now_s)
                return
            self._pending += self._take_reading(now_s)
            self._flush()

    def edge(self) -> list[Reading]:
        """Read everything now; thread-safe.

        The readings are emitted before this returns, in order with those of the thread, and
        returned for their common ``t_s``.
        """
        with self._lock:
            if self._closed:
                raise RuntimeError("the meter is closed")
            readings = self._take_edge(self.now_s())
            self._pending += readings
            self._flush()
        self._wake.set()
        return readings

    def look_pause_s(self) -> float | None:
        """Pause before the next :meth:`look`; None while no counter's update is awaited."""
        with self._lock:
            return self._watch.pause_s()

    def look(self) -> None:
        """Check for updated counters; cheap, and does nothing while none is awaited."""
        with self._lock:
            if not self._closed:
                self._pending += self._take_ticks(self.now_s())

    def close(self) -> None:
        """Stop sampling, take and emit the last reading, close the sources. Repeatable.

        Waits for an update after an edge, up to 0.2 s on NVML.

        Raises:
            Exception: The exception of ``emit``, if readings could not be delivered.
        """
        self._is_closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(JOIN_TIMEOUT_S)
            self._thread = None
        with self._lock:
            if self._closed or self._opened_s is None:
                return
            self._pending += self._take_reading(self.now_s())
            self._closed = True
            self._flush()
            for metered in self._metered:
                metered.close()
        if self.failure is not None:
            raise self.failure

    def _open_sources(self) -> list[Component]:
        for place, source in enumerate(self._sources):
            metered = MeteredSource(source)
            self._metered.append(metered)
            for ticker in metered.tickers(place):
                self._watch.add(ticker)
        components = [
            replace(component, booking_rules=BOOKING_RULES)
            for metered in self._metered
            for component in metered.components
        ]
        ids = [component.id for component in components]
        if len(set(ids)) != len(ids):
            raise ValueError(f"components metered twice: {', '.join(sorted(ids))}")
        return components

    def _run(self) -> None:
        due_s = self._clock() + self._sample_period_s
        while True:
            pause_s = self.look_pause_s()
            if self._is_closing and pause_s is None:
                return
            wait_s = max(0.0, due_s - self._clock())
            self._wake.wait(wait_s if pause_s is None else min(wait_s, pause_s))
            self._wake.clear()
            self.look()
            if self._clock() >= due_s:
                self.poll()
                # Samples missed during a stall are not repeated.
                due_s = max(due_s + self._sample_period_s, self._clock())

    def _sample(self, now_s: float) -> None:
        powers_w: dict[str, float | None] = {}
        for metered in self._metered:
            for component, power_w in zip(metered.ids, metered.sample(now_s), strict=True):
                if power_w is not None or component in self._sampled:
                    powers_w[component] = power_w
        if self._on_power is not None and powers_w:
            self._sampled |= powers_w.keys()
            self._on_power(powers_w, round(1000 * self._sample_period_s))

    def _show_readings(self, readings: Sequence[Reading]) -> None:
        """Shows the power of components that are not sampled: those that integrate themselves."""
        if self._on_power is not None:
            powers_w = {
                r.component: r.power_w for r in readings if r.component not in self._sampled
            }
            self._on_power(powers_w, round(1000 * self._reading_period_s))

    def _take_edge(self, now_s: float) -> list[Reading]:
        """Read everything, then watch counters for their next update."""
        readings = self._take_reading(now_s)
        by_id = {reading.component: reading.counter_j for reading in readings}
        self._watch.begin(now_s, lambda place: by_id[self._metered[place[0]].ids[place[1]]])
        return readings

    def _take_ticks(self, now_s: float) -> list[Reading]:
        return [
            self._metered[ticker.place[0]].read_tick(ticker.place[1], ticker.counter_j, flag, now_s)
            for ticker, flag in self._watch.look(now_s)
        ]

    def _take_reading(self, now_s: float) -> list[Reading]:
        self._sample(now_s)
        # An edge replaces the periodic reading: one reading per period is enough.
        self._next_reading_s = now_s + self._reading_period_s - 0.5 * self._sample_period_s
        readings = [reading for metered in self._metered for reading in metered.read(now_s)]
        self._show_readings(readings)
        return readings

    def _flush(self) -> None:
        if not self._pending:
            return
        try:
            self._emit(self._pending)
        except Exception as error:  # kept, and emitted again with the next reading
            if self.failure is None:
                logger.exception("readings could not be delivered and are kept")
            self.failure = error
            return
        self._pending = []
        self.failure = None
