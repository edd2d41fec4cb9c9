"""Which energy is booked between one reading and the next, and on what evidence.

Counters that tick are first brought to the readings' own times
(:mod:`pricetag.accounting.readings.alignment`). The rules, for a component with a counter:

* both counters read and not decreased: the counter's delta, whatever time lies between;
* the counter decreased (the driver was loaded anew): the integral, flag ``counter_reset``;
* the counter stood still while the integral says otherwise: the integral, flag
  ``counter_frozen``, also for the steps in which it stopped and went on, where it shows less -
  unless it later catches up, in which case its jump pays for the whole standstill and the
  integral only says when the energy was used (``counter_caught_up``);
* no counter: the integral, if the readings are close enough together; where the meter itself
  had stalled and its integral skips the gap (flag ``gap`` on the later reading), what it
  has is booked, and the step does not count as covered;
* anything else is not covered: flag ``lost`` or ``gap``, and nothing is extrapolated.

A step that the meter flagged ``implausible_power`` is booked by the integral: its counter rose
by more than the component can draw.

Counters of a host have no sensor of power beside them; their integral is that of a model. There

* a step that the meter flagged ``reset`` or ``implausible_power`` is booked by the model;
* a counter that has not moved for 2 s, or at all, has stopped, however little the model has:
  no processor and no memory draws nothing. Its standstill is booked by the model, and is not
  covered where there is none. It has caught up if its jump is nearer to what it would have
  counted meanwhile at its power of before (else the model's) than to what the jump's own step
  would have.

What a silent reading remarked belongs to the step that spans it.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from pricetag.accounting.quantity.quantity import Source
from pricetag.accounting.readings.alignment import EDGE_ALIGNED, align
from pricetag.accounting.readings.reading import Method, Reading

FROZEN_AFTER_S = 2.0
"""NVML counters tick about every 0.1 s: two seconds without a tick are not a coincidence."""

FROZEN_ABOVE_W = 5.0
"""Below this a counter of coarse resolution may honestly stand still."""

CATCH_UP_TOLERANCE_RATIO = 0.2
"""How near a jump must be to the integral over the standstill to be its catching up."""

BEFORE_S = 10.0
"""A host counter's power before a standstill is that of so long."""

LOST = "lost"
RESET = "reset"
IMPLAUSIBLE_POWER = "implausible_power"
GAP = "gap"
COUNTER_RESET = "counter_reset"
COUNTER_FROZEN = "counter_frozen"
COUNTER_CAUGHT_UP = "counter_caught_up"

Evidence = Literal["counter", "integral", "none"]


@dataclass(slots=True)
class Booking:
    """What was booked on each step; step ``i`` leads from reading ``i`` to reading ``i + 1``.

    Attributes:
        readings: The readings with a figure, in time order.
        energy_j: Energy of each step, 0 where nothing was covered.
        evidence: What each step rests on.
        flags: For each flag the indices of its steps, ascending.
        has_model: Whether the integral is that of a model.
    """

    readings: list[Reading]
    energy_j: array[float]
    evidence: list[Evidence]
    flags: dict[str, list[int]] = field(default_factory=dict)
    has_model: bool = False

    def flag(self, name: str, step: int) -> None:
        """Mark a step."""
        self.flags.setdefault(name, []).append(step)

    def covered_s(self) -> array[float]:
        """For how long each step was metered: in full, or not at all.

        An integral with a gap misses an unknown amount of energy.
        """
        holes = set(self.flags.get(GAP, ()))
        covered = array("d", bytes(8 * len(self.evidence)))
        for step, evidence in enumerate(self.evidence):
            if evidence == "counter" or (evidence == "integral" and step not in holes):
                covered[step] = self.readings[step + 1].t_s - self.readings[step].t_s
        return covered


def source_of(evidence: Evidence, method: Method, *, has_model: bool = False) -> Source:
    """The source under which a covered step is booked."""
    if evidence == "counter":
        return "counter"
    return "modelled" if has_model or method == "modelled" else "integrated"


def book(
    readings: Sequence[Reading], *, method: Method, max_gap_s: float, has_model: bool = False
) -> Booking:
    """Book the energy of every step between consecutive readings, in linear time.

    Args:
        readings: Of one component, in the order in which they were taken.
        method: Which evidence the component offers.
        max_gap_s: Longest step, in s, that an integral is trusted over.
        has_model: Whether the integral of a counter is that of a model.

    Returns:
        The booking; a reading that goes back in time is dropped and flagged
        ``clock_went_back``.
    """
    kept, went_back = _informative(align(readings) if method == "counter" else readings)
    steps = max(len(kept) - 1, 0)
    booking = Booking(kept, array("d", bytes(8 * steps)), ["none"] * steps, has_model=has_model)
    for step in range(steps):
        _book_step(booking, step, method, max_gap_s)
    if method == "counter":
        for first, last in _standstills(kept, has_model):
            _book_standstill(booking, first, last, max_gap_s)
    for index in went_back:
        booking.flag("clock_went_back", min(index, steps) - 1)
    booking.flags = {name: sorted(set(marked)) for name, marked in booking.flags.items()}
    return booking


def _informative(readings: Sequence[Reading]) -> tuple[list[Reading], list[int]]:
    """Readings that say something, in time order, and where a clock had gone back."""
    kept: list[Reading] = []
    went_back: list[int] = []
    unsaid: set[str] = set()
    for reading in readings:
        silent = reading.counter_j is None and reading.integrated_j is None
        if silent and LOST not in reading.flags:
            unsaid.update(reading.flags)
            continue
        if kept and reading.t_s < kept[-1].t_s:
            went_back.append(len(kept))
            continue
        if unsaid:
            flags = (*reading.flags, *sorted(unsaid.difference(reading.flags)))
            reading = replace(reading, flags=flags)
            unsaid.clear()
        kept.append(reading)
    return kept, went_back


def _book_step(booking: Booking, step: int, method: Method, max_gap_s: float) -> None:
    before, after = booking.readings[step], booking.readings[step + 1]
    for name in after.flags:
        if name != EDGE_ALIGNED:  # of a moment, not of the step that leads to it
            booking.flag(name, step)
    if LOST in before.flags or LOST in after.flags:
        booking.flag(LOST, step)
        return
    if method == "counter" and before.counter_j is not None and after.counter_j is not None:
        is_credible = RESET not in after.flags and IMPLAUSIBLE_POWER not in after.flags
        if after.counter_j >= before.counter_j and is_credible:
            booking.energy_j[step] = after.counter_j - before.counter_j
            booking.evidence[step] = "counter"
            return
        if IMPLAUSIBLE_POWER not in after.flags:
            booking.flag(COUNTER_RESET, step)
    _book_integral(booking, step, max_gap_s)


def _book_integral(booking: Booking, step: int, max_gap_s: float) -> None:
    before, after = booking.readings[step], booking.readings[step + 1]
    delta_j = integral_delta(before, after)
    if delta_j is None or after.t_s - before.t_s > max_gap_s:
        booking.energy_j[step] = 0.0
        booking.evidence[step] = "none"
        booking.flag(GAP, step)
        return
    booking.energy_j[step] = delta_j
    booking.evidence[step] = "integral"


def integral_delta(before: Reading, after: Reading) -> float | None:
    """Integrated energy in J between two readings; None when there is none to trust."""
    if before.integrated_j is None or after.integrated_j is None:
        return None
    delta_j = after.integrated_j - before.integrated_j
    return delta_j if delta_j >= 0 else None


def _standstills(readings: Sequence[Reading], has_model: bool) -> list[tuple[int, int]]:
    """First and last reading of each stretch in which the counter stood still too long."""
    stretches: list[tuple[int, int]] = []
    first = 0
    for index in range(1, len(readings) + 1):
        if index < len(readings) and _same_counter(readings[index - 1], readings[index]):
            continue
        never_moved = has_model and first == 0 and index == len(readings)
        if never_moved or _is_frozen(readings[first], readings[index - 1], has_model):
            stretches.append((first, index - 1))
        first = index
    return stretches


def _same_counter(before: Reading, after: Reading) -> bool:
    if LOST in before.flags or LOST in after.flags:
        return False
    return before.counter_j is not None and before.counter_j == after.counter_j


def _is_frozen(first: Reading, last: Reading, has_model: bool) -> bool:
    duration_s = last.t_s - first.t_s
    if has_model:
        return first.counter_j is not None and duration_s >= FROZEN_AFTER_S
    delta_j = integral_delta(first, last)
    if delta_j is None or duration_s < FROZEN_AFTER_S:
        return False
    return delta_j > FROZEN_ABOVE_W * duration_s


def _book_standstill(booking: Booking, first: int, last: int, max_gap_s: float) -> None:
    for step in range(first, last):
        booking.flag(COUNTER_FROZEN, step)
    if _caught_up(booking, first, last):
        _spread_jump(booking, first, last)
        return
    for step in range(first, last):
        _book_integral(booking, step, max_gap_s)
    for step in (first - 1, last):
        _complete_cut_step(booking, step, max_gap_s)


def _complete_cut_step(booking: Booking, step: int, max_gap_s: float) -> None:
    """A counter stops and goes on between readings: its delta beside a standstill is incomplete."""
    if not 0 <= step < len(booking.evidence) or booking.evidence[step] != "counter":
        return
    before, after = booking.readings[step], booking.readings[step + 1]
    whole_j = integral_delta(before, after)
    if whole_j is None or whole_j <= booking.energy_j[step]:
        return
    if after.t_s - before.t_s > max_gap_s or step in booking.flags.get(GAP, ()):
        return
    booking.flag(COUNTER_FROZEN, step)
    _book_integral(booking, step, max_gap_s)


def _caught_up(booking: Booking, first: int, last: int) -> bool:
    """Whether the step after a standstill brings all that the counter had missed."""
    if last >= len(booking.evidence) or booking.evidence[last] != "counter":
        return False
    if booking.has_model:
        return _has_jumped(booking, first, last)
    missed_j = integral_delta(booking.readings[first], booking.readings[last + 1])
    own_j = integral_delta(booking.readings[last], booking.readings[last + 1])
    if missed_j is None or own_j is None:
        return False
    jump_j = booking.energy_j[last]
    distance_j = abs(jump_j - missed_j)
    return distance_j <= CATCH_UP_TOLERANCE_RATIO * missed_j and distance_j <= abs(jump_j - own_j)


def _has_jumped(booking: Booking, first: int, last: int) -> bool:
    """Whether a host counter's step after a standstill is nearer to all of that than to itself."""
    before, after = booking.readings[first], booking.readings[last + 1]
    modelled_j = integral_delta(before, after)
    power_w = _power_before_w(booking, first)
    own_s, whole_s = after.t_s - booking.readings[last].t_s, after.t_s - before.t_s
    if power_w is None and modelled_j is not None and modelled_j > 0:
        power_w = modelled_j / whole_s
    if power_w is None or not modelled_j or own_s <= 0:
        return False
    # Nearer by ratio: above the geometric mean of the two.
    return booking.energy_j[last] > power_w * math.sqrt(own_s * whole_s)


def _power_before_w(booking: Booking, first: int) -> float | None:
    """Mean power by the counter before a standstill; None where it had not counted before."""
    end_s, energy_j, counted_s = booking.readings[first].t_s, 0.0, 0.0
    for step in range(first - 1, -1, -1):
        if booking.evidence[step] != "counter" or end_s - booking.readings[step].t_s > BEFORE_S:
            break
        energy_j += booking.energy_j[step]
        counted_s += booking.readings[step + 1].t_s - booking.readings[step].t_s
    return energy_j / counted_s if counted_s > 0 and energy_j > 0 else None


def _spread_jump(booking: Booking, first: int, last: int) -> None:
    """Pay the standstill and the jump's own step from the jump, in the integral's shape."""
    jump_j = booking.energy_j[last]
    start_j = booking.readings[first].integrated_j
    end_j = booking.readings[last + 1].integrated_j
    assert start_j is not None  # _caught_up has seen both
    assert end_j is not None
    paid_j, reached_j = 0.0, start_j
    for step in range(first, last + 1):
        here_j = booking.readings[step + 1].integrated_j
        # An integral that is silent or falls back in between moves nothing: the next one does.
        reached_j = max(reached_j, min(here_j, end_j)) if here_j is not None else reached_j
        due_j = jump_j * (reached_j - start_j) / (end_j - start_j)
        booking.energy_j[step] = due_j - paid_j
        booking.evidence[step] = "counter"
        booking.flag(COUNTER_CAUGHT_UP, step)
        paid_j = due_j
