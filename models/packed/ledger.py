"""The energy of stored readings: the accounting's ledger, computed from columns."""

from __future__ import annotations

from array import array

import numpy as np

from models.packed.booking import (
    COUNTER,
    EVIDENCE,
    INTEGRAL,
    Booked,
    Trace,
    as_array,
    book,
    evidence_of,
)
from models.packed.columns import Columns, Floats, Mask
from pricetag.accounting.readings.alignment import EDGE_ALIGNED
from pricetag.accounting.readings.component import Component
from pricetag.accounting.readings.curves import KINDS, Curves
from pricetag.accounting.readings.ledger import (
    MAX_GAP_S,
    BookedSteps,
    EnergyLedger,
    Ledger,
    longest_step_s,
)
from pricetag.accounting.readings.sharing import (
    ACTIVITY_INCONSISTENT,
    ACTIVITY_MISSING,
    CLOCK_TOLERANCE_RATIO,
    CLOCK_TOLERANCE_S,
    UNKNOWN_IDLE_RATIO,
    require_share,
)
from pricetag.accounting.readings.step_energy import COUNTER_FROZEN, GAP, Evidence

BOOKED = ("t_s", "counter_j", "integrated_j", "own_busy_s", "all_busy_s")
"""The figures of a reading from which energy follows."""


def ledger_of(component: Component, columns: Columns, *, max_gap_s: float = MAX_GAP_S) -> Ledger:
    """What :meth:`EnergyLedger.of` computes from the same readings, to the last digit.

    Args:
        component: The component.
        columns: Its readings in order of time.
        max_gap_s: Maximum duration of a step for which an integral is trusted, in s.

    Raises:
        ValueError: If the component's share or its baseline is impossible.
    """
    trace = Trace.of(columns, BOOKED)
    if trace is None:  # no meter writes such figures
        return EnergyLedger.of(component, columns.readings(), max_gap_s=max_gap_s)
    max_gap_s = longest_step_s(component.method, max_gap_s)
    with np.errstate(all="ignore"):  # missing figures are NaN
        booked = book(component, columns, trace, max_gap_s)
        steps = _added_up(component, booked, max_gap_s)
    return Ledger(steps, component.method, has_model=component.has_model)


def _added_up(component: Component, booked: Booked, max_gap_s: float) -> BookedSteps:
    trace = booked.trace
    charged_j, baseline_j, flags = _shares(booked, component.reserved_ratio, component.baseline_w)
    charged = _by_evidence(booked, charged_j)
    is_alone = bool((charged_j == booked.energy_j).all())
    is_covered = (booked.evidence == COUNTER) | (
        (booked.evidence == INTEGRAL) & ~booked.flagged(GAP)
    )
    both_s, counter_j, integral_j = _comparable(booked, max_gap_s)
    curves = Curves(
        charged_j=charged,
        gross_j=charged if is_alone else _by_evidence(booked, booked.energy_j),
        baseline_j=None if baseline_j is None else _cumulative(baseline_j),
        covered_s=_by_evidence(booked, np.where(is_covered, np.diff(trace.t_s), 0.0)),
        both_counter_j=_cumulative(counter_j),
        both_integral_j=_cumulative(integral_j),
        both_s=_cumulative(both_s),
    )
    return BookedSteps(
        times_s=as_array(trace.t_s),
        evidence=evidence_of(booked.evidence),
        flags={**booked.flags, **flags},
        aligned_s=as_array(trace.t_s[trace.flag(EDGE_ALIGNED)]),
        curves=curves,
    )


def _by_evidence(booked: Booked, amounts: Floats) -> dict[Evidence, array[float]]:
    curves: dict[Evidence, array[float]] = {}
    for kind in KINDS:
        is_its = booked.evidence == EVIDENCE.index(kind)
        if is_its.any():
            curves[kind] = _cumulative(np.where(is_its, amounts, 0.0))
        else:
            curves[kind] = array("d", bytes(8 * (len(amounts) + 1)))
    return curves


def _cumulative(amounts: Floats) -> array[float]:
    return as_array(np.cumsum(np.concatenate([[0.0], amounts])))


def _comparable(booked: Booked, max_gap_s: float) -> tuple[Floats, Floats, Floats]:
    """Duration, counter and integral of each step in which both can be compared."""
    duration_s, integral_j = np.diff(booked.trace.t_s), np.diff(booked.trace.integrated_j)
    is_fit = (booked.evidence == COUNTER) & ~booked.flagged(COUNTER_FROZEN, GAP)
    is_fit &= ~(duration_s > max_gap_s) & (integral_j >= 0)
    return (
        np.where(is_fit, duration_s, 0.0),
        np.where(is_fit, booked.energy_j, 0.0),
        np.where(is_fit, integral_j, 0.0),
    )


def _shares(
    booked: Booked, reserved_ratio: float, baseline_w: float | None
) -> tuple[Floats, Floats | None, dict[str, list[int]]]:
    """The charged energy of each step, its idle part, and the flags of activity."""
    require_share(reserved_ratio, baseline_w)
    gross_j = booked.energy_j
    ratios, flags = _activity(booked)
    if baseline_w is None:
        idle_j = gross_j * UNKNOWN_IDLE_RATIO
    else:
        idle_j = _least(gross_j, baseline_w * np.diff(booked.trace.t_s))
    is_unknown = np.isnan(ratios)
    if reserved_ratio == 1 and bool(is_unknown.all()):
        return gross_j, None if baseline_w is None else idle_j, flags
    active = np.where(is_unknown, reserved_ratio, ratios)
    charged_j = gross_j * active + idle_j * (reserved_ratio - active)
    charged_j = _least(np.where(charged_j < 0.0, 0.0, charged_j), gross_j)
    baseline_j = None if baseline_w is None else _least(idle_j * reserved_ratio, charged_j)
    return charged_j, baseline_j, flags


def _least(one: Floats, other: Floats) -> Floats:
    """The smaller of two figures, as Python chooses it."""
    return np.where(other < one, other, one)


def _activity(booked: Booked) -> tuple[Floats, dict[str, list[int]]]:
    """The job's part of the activity in each step, NaN where unknown, with flags."""
    steps = len(booked.energy_j)
    ratios = np.full(steps, np.nan)
    own_s, all_s = (booked.trace.columns[name] for name in ("own_busy_s", "all_busy_s"))
    reporting = np.flatnonzero(~(np.isnan(own_s) | np.isnan(all_s)))
    if not len(reporting):
        return ratios, {}
    own_s, all_s = np.diff(own_s[reporting] + 0.0), np.diff(all_s[reporting] + 0.0)
    ratio, is_inconsistent = _activity_ratios(own_s, all_s)
    spans = np.diff(reporting)
    first, last = int(reporting[0]), int(reporting[-1])
    ratios[first:last] = np.repeat(ratio, spans)
    flags: dict[str, list[int]] = {}
    if is_inconsistent.any():
        marked = first + np.flatnonzero(np.repeat(is_inconsistent, spans))
        flags[ACTIVITY_INCONSISTENT] = marked.tolist()
    if missing := [*range(first), *range(last, steps)]:
        flags[ACTIVITY_MISSING] = missing
    return ratios, flags


def _activity_ratios(own_s: Floats, all_s: Floats) -> tuple[Floats, Mask]:
    """A job's share of the total activity, NaN where unknown, and where the two contradict."""
    is_valid = (own_s >= 0) & (all_s >= 0) & np.isfinite(own_s + all_s)
    is_idle = (own_s == 0) & (all_s == 0)
    ratio = np.where(own_s < all_s, own_s / all_s, 1.0)
    is_consistent = own_s - all_s <= CLOCK_TOLERANCE_S + CLOCK_TOLERANCE_RATIO * all_s
    is_known = is_valid & ~is_idle
    return np.where(is_known, ratio, np.nan), ~is_valid | (~is_idle & ~is_consistent)
