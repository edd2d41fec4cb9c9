"""The energy booked between consecutive readings, with its evidence.

Counters are first aligned with the times of the readings
(:mod:`pricetag.accounting.readings.alignment`). The rules for a component with a counter:

* both counters are readable and did not decrease: the counter's difference, however long the
  step;
* the counter decreased (the driver was reloaded): the integral, flag ``counter_reset``;
* the counter did not move although the integral did: the integral, flag ``counter_frozen``; also
  for the steps in which it stopped and continued, if the counter shows less. If the counter later
  catches up, its jump is the energy of the whole standstill, and the integral only determines
  when the energy was used (``counter_caught_up``). It has caught up if its jump is closer, by
  ratio, to the integral over the standstill than to the integral over the jump's own step (rules
  of version 1: if it is within 20% of the former);
* no counter: the integral, if the readings are close enough together. If the meter itself stalled
  and its integral skips the gap (flag ``gap`` on the later reading), the integral is booked, and
  the step does not count as covered;
* the estimates of another tool are sums over its own intervals: their difference, however long the
  step, which does not count as covered if it has the flag ``gap`` (the tool reported nothing);
* otherwise the step is not covered: flag ``lost`` or ``gap``, and nothing is extrapolated.

A step that the meter flagged ``implausible_power`` is booked by the integral, because its counter
rose by more than the component can draw.

Host counters have no power sensor beside them; their integral comes from a model. For them:

* a step that the meter flagged ``reset`` or ``implausible_power`` is booked by the model;
* a counter that has not moved for 2 s, or never, has stopped, however little energy the model
  shows, since no processor or memory draws zero power. Its standstill is booked by the model, and
  is not covered without one. The counter has caught up if its jump is closer to the energy of the
  whole standstill, at its earlier power (or else the model's), than to that of the jump's own
  step.

The flags of a reading without figures belong to the step that spans it.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from pricetag.accounting.quantity.quantity import Source
from pricetag.accounting.readings.alignment import EDGE_ALIGNED, align
from pricetag.accounting.readings.component import BOOKING_RULES
from pricetag.accounting.readings.reading import Method, Reading

FROZEN_AFTER_S = 2.0
"""Time in s after which an unchanged counter counts as frozen; NVML updates it every 0.1 s."""

FROZEN_ABOVE_W = 5.0
"""Power in W below which a counter with a coarse resolution may rightly not move."""

CATCH_UP_TOLERANCE_RATIO = 0.2
"""Maximum relative difference between a jump and the integral of a standstill to catch up."""

BEFORE_S = 10.0
"""Duration in s over which a host counter's power before a standstill is averaged."""

LOST = "lost"
RESET = "reset"
IMPLAUSIBLE_POWER = "implausible_power"
GAP = "gap"
COUNTER_RESET = "counter_reset"
COUNTER_FROZEN = "counter_frozen"
COUNTER_CAUGHT_UP = "counter_caught_up"
CLOCK_WENT_BACK = "clock_went_back"

Evidence = Literal["counter", "integral", "none"]


@dataclass(slots=True)
class Booking:
    """The booked energy of each step; step ``i`` leads from reading ``i`` to reading ``i + 1``.

    Attributes:
        readings: The readings with a figure, in time order.
        energy_j: Energy of each step, 0 if not covered.
        evidence: Evidence of each step.
        flags: For each flag, the indices of its steps, ascending.
        has_model: Whether the integral comes from a model.
        rules: Version of the booking rules.
    """

    readings: Sequence[Reading]
    energy_j: array[float]
    evidence: list[Evidence]
    flags: dict[str, list[int]] = field(default_factory=dict)
    has_model: bool = False
    rules: int = BOOKING_RULES

    def flag(self, name: str, step: int) -> None:
        """Mark a step."""
        self.flags.setdefault(name, []).append(step)

    def covered_s(self) -> array[float]:
        """Metered time of each step: all of it, or none.

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
    if method == "estimated":
        return "estimated"
    if evidence == "counter":
        return "counter"
    return "modelled" if has_model or method == "modelled" else "integrated"


def book(
    readings: Sequence[Reading],
    *,
    method: Method,
    max_gap_s: float,
    has_model: bool = False,
    rules: int = BOOKING_RULES,
) -> Booking:
    """Book the energy of every step between consecutive readings, in linear time.

    Args:
        readings: Readings of one component, in order of time.
        method: How the component is measured.
        max_gap_s: Maximum duration of a step for which an integral is trusted, in s.
        has_model: Whether the integral beside a counter comes from a model.
        rules: Version of the booking rules.

    Returns:
        The booking; a reading that goes back in time is dropped and flagged
        :data:`CLOCK_WENT_BACK`.
    """
    informative, went_back = _informative(align(readings) if method == "counter" else readings)
    steps = max(len(informative) - 1, 0)
    none: list[Evidence] = ["none"] * steps
    booking = Booking(
        informative, array("d", bytes(8 * steps)), none, has_model=has_model, rules=rules
    )
    for step in range(steps):
        _book_step(booking, step, method, max_gap_s)
    if method == "counter":
        for first, last in _standstills(informative, has_model):
            book_standstill(booking, first, last, max_gap_s)
    for index in went_back:
        booking.flag(CLOCK_WENT_BACK, min(index, steps) - 1)
    booking.flags = {name: sorted(set(marked)) for name, marked in booking.flags.items()}
    return booking


def _informative(readings: Sequence[Reading]) -> tuple[list[Reading], list[int]]:
    """Readings with figures, in time order, and the indices at which a clock went back."""
    informative: list[Reading] = []
    went_back: list[int] = []
    pending_flags: set[str] = set()
    for reading in readings:
        silent = reading.counter_j is None and reading.integrated_j is None
        if silent and LOST not in reading.flags:
            pending_flags.update(reading.flags)
            continue
        if informative and reading.t_s < informative[-1].t_s:
            went_back.append(len(informative))
            continue
        if pending_flags:
            flags = (*reading.flags, *sorted(pending_flags.difference(reading.flags)))
            reading = replace(reading, flags=flags)
            pending_flags.clear()
        informative.append(reading)
    return informative, went_back


def _book_step(booking: Booking, step: int, method: Method, max_gap_s: float) -> None:
    before, after = booking.readings[step], booking.readings[step + 1]
    for name in after.flags:
        if name != EDGE_ALIGNED:  # it belongs to a time, not to the step that leads to it
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
    """Integrated energy in J between two readings; None if it cannot be trusted."""
    if before.integrated_j is None or after.integrated_j is None:
        return None
    delta_j = after.integrated_j - before.integrated_j
    return delta_j if delta_j >= 0 else None


def _standstills(readings: Sequence[Reading], has_model: bool) -> list[tuple[int, int]]:
    """First and last reading of each interval in which the counter did not move for too long."""
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


def book_standstill(booking: Booking, first: int, last: int, max_gap_s: float) -> None:
    """Books the steps of an interval in which the counter did not move, and those beside it.

    Args:
        booking: All other steps are booked.
        first: First reading of the interval.
        last: Its last reading.
        max_gap_s: Maximum duration of a step for which an integral is trusted, in s.
    """
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
    """Complete a step beside a standstill, in which the counter stopped or continued midway."""
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
    """Whether the step after a standstill contains all the energy that the counter missed."""
    if last >= len(booking.evidence) or booking.evidence[last] != "counter":
        return False
    if booking.has_model:
        return _has_jumped(booking, first, last)
    missed_j = integral_delta(booking.readings[first], booking.readings[last + 1])
    own_j = integral_delta(booking.readings[last], booking.readings[last + 1])
    if missed_j is None or own_j is None:
        return False
    jump_j = booking.energy_j[last]
    if booking.rules > 1:  # nearer by ratio: the jump pays for a part of the step before, too
        return jump_j > math.sqrt(missed_j * own_j)
    distance_j = abs(jump_j - missed_j)
    return distance_j <= CATCH_UP_TOLERANCE_RATIO * missed_j and distance_j <= abs(jump_j - own_j)


def _has_jumped(booking: Booking, first: int, last: int) -> bool:
    """Whether a host counter's jump is closer to the whole standstill than to its own step."""
    before, after = booking.readings[first], booking.readings[last + 1]
    modelled_j = integral_delta(before, after)
    power_w = _power_before_w(booking, first)
    own_s, whole_s = after.t_s - booking.readings[last].t_s, after.t_s - before.t_s
    if power_w is None and modelled_j is not None and modelled_j > 0:
        power_w = modelled_j / whole_s
    if power_w is None or not modelled_j or own_s <= 0:
        return False
    # Closer by ratio: above the geometric mean of the two.
    return booking.energy_j[last] > power_w * math.sqrt(own_s * whole_s)


def _power_before_w(booking: Booking, first: int) -> float | None:
    """Mean power by the counter before a standstill; None if it had not counted before."""
    end_s, energy_j, counted_s = booking.readings[first].t_s, 0.0, 0.0
    for step in range(first - 1, -1, -1):
        if booking.evidence[step] != "counter" or end_s - booking.readings[step].t_s > BEFORE_S:
            break
        energy_j += booking.energy_j[step]
        counted_s += booking.readings[step + 1].t_s - booking.readings[step].t_s
    return energy_j / counted_s if counted_s > 0 and energy_j > 0 else None


def _spread_jump(booking: Booking, first: int, last: int) -> None:
    """Divide a jump over the standstill and its own step, in proportion to the integral."""
    jump_j = booking.energy_j[last]
    start_j = booking.readings[first].integrated_j
    end_j = booking.readings[last + 1].integrated_j
    assert start_j is not None  # _caught_up has checked both
    assert end_j is not None
    paid_j, reached_j = 0.0, start_j
    for step in range(first, last + 1):
        here_j = booking.readings[step + 1].integrated_j
        # A missing or decreasing integral moves nothing; the next one does.
        reached_j = max(reached_j, min(here_j, end_j)) if here_j is not None else reached_j
        due_j = jump_j * (reached_j - start_j) / (end_j - start_j)
        booking.energy_j[step] = due_j - paid_j
        booking.evidence[step] = "counter"
        booking.flag(COUNTER_CAUGHT_UP, step)
        paid_j = due_j
