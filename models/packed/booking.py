"""Books readings in columns: the same figures as the accounting's, to the last digit.

:mod:`pricetag.accounting.readings` defines how readings become energy, one reading after another.
Here the same operations are done in the same order, on whole columns. What is rare is computed by
the functions of the accounting, on the few readings concerned: counters near their updates, and
counters that do not move.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from models.packed.columns import Columns, Floats, Mask
from models.packed.steps import moves
from pricetag.accounting.readings.alignment import (
    EDGE_ALIGNED,
    LATE_TICK,
    MAX_TICKS,
    TICK,
    aligned_counters,
)
from pricetag.accounting.readings.component import Component
from pricetag.accounting.readings.reading import Reading
from pricetag.accounting.readings.step_energy import (
    CLOCK_WENT_BACK,
    COUNTER_RESET,
    FROZEN_ABOVE_W,
    FROZEN_AFTER_S,
    GAP,
    IMPLAUSIBLE_POWER,
    LOST,
    RESET,
    Booking,
    Evidence,
    book_standstill,
)

EVIDENCE: tuple[Evidence, ...] = ("none", "counter", "integral")
NONE, COUNTER, INTEGRAL = range(len(EVIDENCE))

Codes = NDArray[np.int8]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Trace:
    """Readings of one component, in order of time.

    Attributes:
        columns: Their figures by name; NaN where one is missing.
        flags: For each flag that occurs, which readings have it.
    """

    columns: Mapping[str, Floats]
    flags: Mapping[str, Mask]

    @classmethod
    def of(cls, columns: Columns, names: Sequence[str]) -> Trace | None:
        """The trace of stored readings; None if a figure is not finite.

        Args:
            columns: The readings.
            names: Figures that are needed.
        """
        figures = {name: columns.column(name) for name in names}
        if not all(bool(np.isfinite(column.values).all()) for column in figures.values()):
            return None
        flags: dict[str, Mask] = {}
        for place, listed in enumerate(columns.flag_lists):
            for name in listed:
                mask = columns.flag_index == place
                flags[name] = flags[name] | mask if name in flags else mask
        return cls({name: column.or_nan() for name, column in figures.items()}, flags)

    def __len__(self) -> int:
        return len(self.t_s)

    @property
    def t_s(self) -> Floats:
        """Times."""
        return self.columns["t_s"]

    @property
    def counter_j(self) -> Floats:
        """Cumulative energy of the counter."""
        return self.columns["counter_j"]

    @property
    def integrated_j(self) -> Floats:
        """Cumulative energy of the integral."""
        return self.columns["integrated_j"]

    def flag(self, *names: str) -> Mask:
        """Which readings have one of some flags."""
        mask = np.zeros(len(self), dtype=bool)
        for name in names:
            if name in self.flags:
                mask = mask | self.flags[name]
        return mask

    def at(self, kept: Mask | Indices) -> Trace:
        """Some of the readings."""
        return Trace(
            {name: column[kept] for name, column in self.columns.items()},
            {name: mask[kept] for name, mask in self.flags.items()},
        )


@dataclass(frozen=True, eq=False)
class Booked:
    """The booked energy of each step; step ``i`` leads from reading ``i`` to reading ``i + 1``.

    Attributes:
        trace: The readings with a figure.
        energy_j: Energy of each step, 0 if not covered.
        evidence: Evidence of each step, as a place in :data:`EVIDENCE`.
        flags: For each flag, the indices of its steps, ascending.
    """

    trace: Trace
    energy_j: Floats
    evidence: Codes
    flags: dict[str, list[int]]

    def flagged(self, *names: str) -> Mask:
        """Which steps have one of some flags."""
        mask = np.zeros(len(self.energy_j), dtype=bool)
        for name in names:
            mask[self.flags.get(name, [])] = True
        return mask


def book(component: Component, columns: Columns, trace: Trace, max_gap_s: float) -> Booked:
    """Books the energy of every step between consecutive readings.

    Args:
        component: The component.
        columns: Its readings.
        trace: The same readings.
        max_gap_s: Maximum duration of a step for which an integral is trusted, in s.
    """
    is_counter = component.method == "counter"
    trace, went_back = _informative(_aligned(columns, trace) if is_counter else trace)
    booked = _book_steps(trace, max_gap_s, is_counter=is_counter)
    if is_counter:
        stands = _standstills(trace, has_model=component.has_model)
        if stands:
            booked = _with_standstills(booked, stands, component, max_gap_s)
    if went_back:
        steps = len(booked.energy_j)
        marked = booked.flags.get(CLOCK_WENT_BACK, [])
        marked += [min(index, steps) - 1 for index in went_back]
        booked.flags[CLOCK_WENT_BACK] = sorted(set(marked))
    return booked


def _aligned(columns: Columns, trace: Trace) -> Trace:
    """The readings without those of ticks, and with the counters that these align."""
    is_tick = trace.flag(TICK, LATE_TICK)
    if not is_tick.any():
        return trace
    moved = _moved_counters(columns, trace, is_tick)
    counter_j, is_aligned = trace.counter_j, trace.flag(EDGE_ALIGNED)
    if moved:
        counter_j, places = counter_j.copy(), list(moved)
        counter_j[places] = list(moved.values())
        is_aligned[places] = True
    is_kept = ~is_tick
    is_kept[-1] = True  # it ends the trace
    flags = {name: mask for name, mask in trace.flags.items() if name not in (TICK, LATE_TICK)}
    if is_aligned.any():
        flags[EDGE_ALIGNED] = is_aligned
    return Trace({**trace.columns, "counter_j": counter_j}, flags).at(is_kept)


def _moved_counters(columns: Columns, trace: Trace, is_tick: Mask) -> dict[int, float]:
    """The counters that ticks align, by the index of their reading.

    Only readings within a few updates before a tick can be aligned: the accounting gets these,
    from right to left, with the last reading before them.
    """
    counter_j, ticks = trace.counter_j, np.flatnonzero(trace.flag(TICK))
    moved_at = moves(counter_j)
    starts, run = np.flatnonzero(moved_at), np.cumsum(moved_at) - 1
    update_s = _update_period_s(trace, ticks, run)
    if update_s is None:
        return {}
    first = np.maximum(starts[np.maximum(run[ticks] - MAX_TICKS, 0)] - 1, 0)
    cuts = np.flatnonzero(first[1:] > ticks[:-1])
    begins, ends = first[np.concatenate([[0], cuts + 1])], ticks[np.concatenate([cuts, [-1]])]
    moved: dict[int, float] = {}
    ceiling_j, done = float("inf"), len(trace)
    for begin, end in zip(begins[::-1].tolist(), ends[::-1].tolist(), strict=True):
        after_j = counter_j[end + 1 : done][~is_tick[end + 1 : done]]
        if bool((after_j > ceiling_j).any()):
            ceiling_j = float("inf")
        piece = columns[begin : end + 1].readings()
        aligned, ceiling_j = aligned_counters(piece, update_s, ceiling_j)
        moved |= {begin + index: aligned_j for index, aligned_j in aligned.items()}
        done = begin
    return moved


def _update_period_s(trace: Trace, ticks: Indices, run: Indices) -> float | None:
    before, after = ticks[:-1], ticks[1:]
    spacings_s = trace.t_s[after] - trace.t_s[before]
    is_next = run[after - 1] == run[before]  # no other update in between
    is_next &= (spacings_s > 0) & (trace.counter_j[after] > trace.counter_j[before])
    observed_s: list[float] = spacings_s[is_next].tolist()
    return median(observed_s) if observed_s else None


def _informative(trace: Trace) -> tuple[Trace, list[int]]:
    """Readings with figures, in time order, and the indices at which a clock went back."""
    is_silent = np.isnan(trace.counter_j) & np.isnan(trace.integrated_j) & ~trace.flag(LOST)
    spoken = np.flatnonzero(~is_silent)
    times_s = trace.t_s[spoken]
    is_kept = times_s >= np.maximum.accumulate(times_s)
    kept = spoken[is_kept]
    if len(kept) == len(trace):
        return trace, []
    chosen = trace.at(kept)
    for name, mask in trace.flags.items():  # a silent reading's flags are the next one's
        following = np.searchsorted(kept, np.flatnonzero(mask & is_silent))
        chosen.flags[name][following[following < len(kept)]] = True
    return chosen, np.cumsum(is_kept)[~is_kept].tolist()


def _book_steps(trace: Trace, max_gap_s: float, *, is_counter: bool) -> Booked:
    """The steps, as if no counter stood still."""
    if not len(trace):
        return Booked(trace, np.zeros(0), np.zeros(0, dtype=np.int8), {})
    marks = {name: mask[1:].copy() for name, mask in trace.flags.items() if name != EDGE_ALIGNED}

    def mark(name: str, steps: Mask) -> None:
        marks[name] = marks[name] | steps if name in marks else steps

    lost = trace.flag(LOST)
    is_lost = lost[:-1] | lost[1:]
    mark(LOST, is_lost)
    counted_j = np.diff(trace.counter_j)
    by_counter = np.zeros(len(counted_j), dtype=bool)
    if is_counter:
        has_both = ~np.isnan(counted_j) & ~is_lost
        is_implausible = trace.flag(IMPLAUSIBLE_POWER)[1:]
        rises = trace.counter_j[1:] >= trace.counter_j[:-1]
        by_counter = has_both & rises & ~trace.flag(RESET)[1:] & ~is_implausible
        mark(COUNTER_RESET, has_both & ~by_counter & ~is_implausible)
    integral_j = np.diff(trace.integrated_j)
    is_near = ~(np.diff(trace.t_s) > max_gap_s)
    by_integral = ~is_lost & ~by_counter & (integral_j >= 0) & is_near
    mark(GAP, ~is_lost & ~by_counter & ~by_integral)
    energy_j = np.where(by_counter, counted_j, np.where(by_integral, integral_j, 0.0))
    evidence = np.where(by_counter, COUNTER, np.where(by_integral, INTEGRAL, NONE))
    flags = {name: np.flatnonzero(mask).tolist() for name, mask in marks.items()}
    flags = {name: steps for name, steps in flags.items() if steps}
    return Booked(trace, energy_j, evidence.astype(np.int8), flags)


def _standstills(trace: Trace, *, has_model: bool) -> list[tuple[int, int]]:
    """First and last reading of each interval in which the counter did not move for too long."""
    if not len(trace):
        return []
    lost, counter_j, integrated_j = trace.flag(LOST), trace.counter_j, trace.integrated_j
    is_moved = moves(counter_j)
    is_moved[1:] |= lost[1:] | lost[:-1]
    first = np.flatnonzero(is_moved)
    last = np.concatenate([first[1:], [len(trace)]]) - 1
    first, last = first[last > first], last[last > first]
    stood_s = trace.t_s[last] - trace.t_s[first]
    if has_model:
        is_whole = (first == 0) & (last == len(trace) - 1)
        is_frozen = (stood_s >= FROZEN_AFTER_S) | is_whole
    else:
        missed_j = integrated_j[last] - integrated_j[first]
        is_frozen = (stood_s >= FROZEN_AFTER_S) & (missed_j > FROZEN_ABOVE_W * stood_s)
    return list(zip(first[is_frozen].tolist(), last[is_frozen].tolist(), strict=True))


def _with_standstills(
    booked: Booked, stands: Sequence[tuple[int, int]], component: Component, max_gap_s: float
) -> Booked:
    """The steps with those booked again in which the counter stood still."""
    booking = Booking(
        _Readings(booked.trace),
        as_array(booked.energy_j),
        evidence_of(booked.evidence),
        booked.flags,
        has_model=component.has_model,
        rules=component.booking_rules,
    )
    for first, last in stands:
        book_standstill(booking, first, last, max_gap_s)
    codes = {name: code for code, name in enumerate(EVIDENCE)}
    evidence = np.array([codes[name] for name in booking.evidence], dtype=np.int8)
    flags = {name: sorted(set(steps)) for name, steps in booking.flags.items()}
    return Booked(booked.trace, np.frombuffer(booking.energy_j), evidence, flags)


class _Readings(Sequence[Reading]):
    """The readings of a trace, each made when it is asked for: times and energies alone."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace

    def __len__(self) -> int:
        return len(self._trace)

    @overload
    def __getitem__(self, index: int) -> Reading: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Reading]: ...
    def __getitem__(self, index: int | slice) -> Reading | Sequence[Reading]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        counter_j = float(self._trace.counter_j[index])
        integrated_j = float(self._trace.integrated_j[index])
        return Reading(
            float(self._trace.t_s[index]),
            None if counter_j != counter_j else counter_j,
            None if integrated_j != integrated_j else integrated_j,
            None,
        )


def evidence_of(codes: Codes) -> list[Evidence]:
    """The names of some evidence."""
    names: list[Evidence] = np.array(EVIDENCE, dtype=object)[codes].tolist()
    return names


def as_array(values: NDArray[Any]) -> array[float]:
    """A column as an array of Python."""
    result = array("d")
    result.frombytes(np.ascontiguousarray(values, dtype=np.float64).data.cast("B"))
    return result
