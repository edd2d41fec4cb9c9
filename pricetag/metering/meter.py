"""The meter of one attempt: samples power, integrates it, and emits readings."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pricetag.metering.source import (
    GAP,
    LOST,
    SOURCE_ERROR,
    Component,
    PowerSource,
    Reading,
    silent,
)

logger = logging.getLogger(__name__)

MAX_STALL_S = 2.0
"""Longest hole between two power samples, in s, that the trapezoid may bridge."""

JOIN_TIMEOUT_S = 10.0

Emit = Callable[[list[dict[str, Any]]], None]


@dataclass(slots=True)
class _Trapezoid:
    """Running integral of one component's power.

    Attributes:
        energy_j: Integral since the first sample, None before it.
        valid: Whether the latest sample could be read.
        gap: Whether a hole was left out since the last reading.
    """

    energy_j: float | None = None
    last_t_s: float | None = None
    last_power_w: float = 0.0
    valid: bool = False
    gap: bool = False

    def add(self, t_s: float, power_w: float | None) -> None:
        if power_w is None:
            self.valid = False
            return
        if self.energy_j is None:
            self.energy_j = 0.0
        if self.last_t_s is not None:
            elapsed_s = t_s - self.last_t_s
            if elapsed_s > MAX_STALL_S:
                self.gap = True
            elif elapsed_s > 0:
                self.energy_j += 0.5 * (power_w + self.last_power_w) * elapsed_s
        self.last_t_s, self.last_power_w, self.valid = t_s, power_w, True

    def interrupt(self) -> None:
        """Bridge nothing from here to the next sample: the device was gone in between."""
        if self.last_t_s is not None:
            self.gap = True
        self.last_t_s, self.valid = None, False

    def take_gap(self) -> bool:
        gap, self.gap = self.gap, False
        return gap


@dataclass(slots=True)
class _Progress:
    """What a component has used so far, for live figures only; accounting books its own way."""

    last_counter_j: float | None = None
    last_integrated_j: float | None = None
    energy_j: float | None = None

    def add(self, counter_j: float | None, integrated_j: float | None) -> None:
        step_j = _increase(self.last_counter_j, counter_j)
        if step_j is None:
            step_j = _increase(self.last_integrated_j, integrated_j)
        if counter_j is not None or integrated_j is not None:
            self.energy_j = (self.energy_j or 0.0) + (step_j or 0.0)
        self.last_counter_j = counter_j
        self.last_integrated_j = integrated_j


@dataclass(slots=True)
class _Metered:
    """A source with the state the meter keeps for its components."""

    source: PowerSource
    ids: list[str]
    trapezoids: list[_Trapezoid]
    progress: list[_Progress]
    power_w: list[float | None]
    failed: bool = False
    reported: set[str] = field(default_factory=set)


class Meter:
    """Samples every source in a thread of its own and emits cumulative readings.

    Nothing is emitted within the first reading period after :meth:`open` unless
    :meth:`edge` is called, so that the caller can write its ``start`` record first.

    Args:
        sources: What to read.
        emit: Takes readings (dicts of the journal's ``reading`` fields and ``t_s``), in time
            order. If it raises, the readings are kept and offered again.
        clock: Monotonic seconds.
        power_hz: Power samples a second.
        reading_hz: Readings a second.
    """

    def __init__(
        self,
        sources: Sequence[PowerSource],
        emit: Emit,
        clock: Callable[[], float] = time.monotonic,
        power_hz: float = 10.0,
        reading_hz: float = 1.0,
    ) -> None:
        if power_hz <= 0 or reading_hz <= 0:
            raise ValueError("power_hz and reading_hz must be above 0")
        self._sources = list(sources)
        self._emit = emit
        self._clock = clock
        self._sample_period_s = 1.0 / power_hz
        self._reading_period_s = 1.0 / reading_hz
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._metered: list[_Metered] = []
        self._pending: list[dict[str, Any]] = []
        self._opened_s: float | None = None
        self._next_reading_s = 0.0
        self._closed = False
        self.failure: Exception | None = None
        """What ``emit`` last raised, while readings wait for it; None when all were taken."""

    def open(self, *, thread: bool = True) -> list[Component]:
        """Open the sources, take the reading at t = 0 and start sampling.

        Args:
            thread: Whether to sample by itself; without, the caller calls :meth:`poll`.

        Returns:
            All components, for the ``start`` record.

        Raises:
            RuntimeError: If the meter was opened before.
        """
        with self._lock:
            if self._opened_s is not None:
                raise RuntimeError("a meter opens once")
            components = self._open_sources()
            self._opened_s = self._clock()
            self._pending += self._take_reading(0.0)
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
        """One step: sample power, and read where a reading is due."""
        with self._lock:
            if self._closed:
                return
            now_s = self.now_s()
            if now_s < self._next_reading_s:
                self._sample(now_s)
                return
            self._pending += self._take_reading(now_s)
            self._flush()

    def edge(self) -> list[dict[str, Any]]:
        """Read everything now; thread-safe.

        The readings go to ``emit`` here, before this returns and in order with those of the
        thread, and are returned for their common ``t_s``.
        """
        with self._lock:
            if self._closed:
                raise RuntimeError("the meter is closed")
            records = self._take_reading(self.now_s())
            self._pending += records
            self._flush()
        return records

    def latest(self) -> dict[str, float | None]:
        """``power_w`` now and ``energy_j`` since the meter opened, over what is readable.

        Each is None when no component tells it.
        """
        with self._lock:
            powers_w = [power for metered in self._metered for power in metered.power_w]
            energies_j = [item.energy_j for metered in self._metered for item in metered.progress]
        return {"power_w": _sum_known(powers_w), "energy_j": _sum_known(energies_j)}

    def close(self) -> None:
        """Stop sampling, take and emit the last reading, close the sources. Repeatable.

        Raises:
            Exception: What ``emit`` raised, if readings could not be handed over.
        """
        self._stop.set()
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
                self._close_source(metered)
        if self.failure is not None:
            raise self.failure

    def _open_sources(self) -> list[Component]:
        components: list[Component] = []
        for source in self._sources:
            own = source.components()
            components += own
            self._metered.append(
                _Metered(
                    source=source,
                    ids=[component.id for component in own],
                    trapezoids=[_Trapezoid() for _ in own],
                    progress=[_Progress() for _ in own],
                    power_w=[None] * len(own),
                )
            )
        ids = [component.id for component in components]
        if len(set(ids)) != len(ids):
            raise ValueError(f"a component is metered twice: {', '.join(sorted(ids))}")
        return components

    def _run(self) -> None:
        due_s = self._clock() + self._sample_period_s
        while not self._stop.wait(max(0.0, due_s - self._clock())):
            self.poll()
            # After a stall the missed beats are not made up for.
            due_s = max(due_s + self._sample_period_s, self._clock())

    def _sample(self, now_s: float) -> None:
        for metered in self._metered:
            try:
                powers_w = metered.source.sample(now_s)
            except Exception as error:  # one broken source must not stop the others
                self._report(metered, error)
                powers_w = (None,) * len(metered.ids)
            for index, power_w in enumerate(powers_w):
                metered.trapezoids[index].add(now_s, power_w)

    def _take_reading(self, now_s: float) -> list[dict[str, Any]]:
        self._sample(now_s)
        # The next periodic reading keeps clear of an edge: one reading a period is enough.
        self._next_reading_s = now_s + self._reading_period_s - 0.5 * self._sample_period_s
        return [record for metered in self._metered for record in self._read(metered, now_s)]

    def _read(self, metered: _Metered, now_s: float) -> list[dict[str, Any]]:
        try:
            readings = metered.source.read(now_s)
        except Exception as error:  # one broken source must not stop the others
            self._report(metered, error)
            readings = [silent(component_id, SOURCE_ERROR) for component_id in metered.ids]
        if metered.failed:
            for reading in readings:
                if SOURCE_ERROR not in reading["flags"]:
                    reading["flags"].append(SOURCE_ERROR)
            metered.failed = False
        return [
            self._complete(metered, index, reading, now_s) for index, reading in enumerate(readings)
        ]

    def _complete(
        self, metered: _Metered, index: int, reading: Reading, now_s: float
    ) -> dict[str, Any]:
        """Add the meter's integral and what it noticed to a source's reading."""
        trapezoid = metered.trapezoids[index]
        flags = reading["flags"]
        if LOST in flags:
            trapezoid.interrupt()
        elif trapezoid.take_gap() and GAP not in flags:
            flags.append(GAP)
        integrated_j = reading["integrated_j"]
        if integrated_j is None and trapezoid.valid:
            integrated_j = trapezoid.energy_j
        metered.progress[index].add(reading["counter_j"], integrated_j)
        metered.power_w[index] = reading["power_w"]
        return {"t_s": now_s, **reading, "integrated_j": integrated_j}

    def _flush(self) -> None:
        if not self._pending:
            return
        try:
            self._emit(self._pending)
        except Exception as error:  # kept, and offered again with the next reading
            if self.failure is None:
                logger.exception("readings could not be handed over; they are kept")
            self.failure = error
            return
        self._pending = []
        self.failure = None

    def _report(self, metered: _Metered, error: Exception) -> None:
        metered.failed = True
        what = f"{type(error).__name__}: {error}"
        if what not in metered.reported:
            metered.reported.add(what)
            logger.error("%s failed: %s", type(metered.source).__name__, what, exc_info=error)

    def _close_source(self, metered: _Metered) -> None:
        try:
            metered.source.close()
        except Exception as error:  # the others are still to be closed
            self._report(metered, error)


def _increase(before: float | None, after: float | None) -> float | None:
    if before is None or after is None or after < before:
        return None
    return after - before


def _sum_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
