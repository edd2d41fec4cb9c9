"""The part of a shared device's energy that is charged to a job, and the rest.

For every step between two readings, on GPUs, slices and hosts alike:

    idle    = min(gross, baseline_w x dt)          gross / 2 if no baseline is known
    dynamic = gross - idle
    charged = idle x reserved_ratio + dynamic x (own activity / total activity)

A device that a job has to itself has ``reserved_ratio`` 1 and no reported activity: it is charged
in full. If activity is unknown, or nobody was active, the dynamic part is divided by
``reserved_ratio`` too. Energy that is charged to no job belongs to the node: it is unallocated.

Unknown idle energy is between zero and all of the gross energy; the middle is used, and
:func:`division_j` returns the resulting error of the charge.

Activity is cumulative, so readings without it are bridged: the ratio between two readings with
activity applies to every step between them. The rules:

* one of the two figures decreased: activity of that span is unknown, ``activity_inconsistent``;
* own activity exceeds total activity: the whole dynamic part is charged to the job, and if the
  difference exceeds the rounding of clocks, it is flagged ``activity_inconsistent``;
* before the first and after the last reading with activity: unknown,
  ``activity_missing``.

Source: idle by reservation as in SCI (ISO/IEC 21031:2024, resources reserved), dynamic by
use; the combination is the project's own.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from pricetag.accounting.readings.reading import Reading
from pricetag.accounting.readings.step_energy import Booking

ACTIVITY_INCONSISTENT = "activity_inconsistent"
ACTIVITY_MISSING = "activity_missing"
OVERALLOCATED = "overallocated"

UNKNOWN_IDLE_RATIO = 0.5
"""Idle share of the gross energy if no baseline is known: the middle of its range."""

CLOCK_TOLERANCE_S = 0.05
"""Tolerance in s, since own and total activity are read in turn, each in ticks of 10 ms."""

CLOCK_TOLERANCE_RATIO = 0.02
"""Relative tolerance, for machines with many busy cores while the two are read."""

ROUNDING_RATIO = 1e-12
"""Relative excess of charges over the gross energy that may be due to rounding."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """A job that holds a share of a device during one step.

    Attributes:
        reserved_ratio: Share reserved for the job.
        own_busy_s: Activity of the job in the step; None if unknown.
    """

    reserved_ratio: float
    own_busy_s: float | None = None


@dataclass(frozen=True, slots=True)
class Allocation:
    """Division of a device's energy in one step; the parts add up to its gross energy.

    Attributes:
        charged_j: Charge of each tenant, in order.
        unallocated_j: Energy of the node.
        claimed_j: Charges by the tenants' own readings, before any reduction to the gross
            energy.
        flags: ``overallocated`` if the claims exceed the energy of the device.
    """

    charged_j: tuple[float, ...]
    unallocated_j: float
    claimed_j: float
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shares:
    """The charged energy of each booked step, and its idle part.

    Attributes:
        charged_j: Charged energy of each step.
        baseline_j: The part of it that an idle device would have used; None if no baseline is
            known.
        flags: For each flag, the indices of its steps, ascending.
    """

    charged_j: array[float]
    baseline_j: array[float] | None
    flags: dict[str, list[int]]


def idle_j(gross_j: float, duration_s: float, baseline_w: float | None) -> float:
    """The part of a step's energy that the idle device would have used.

    Args:
        gross_j: Energy of the device, J.
        duration_s: Duration of the step, s.
        baseline_w: Idle power, W; if None, half of the energy counts as idle.
    """
    if baseline_w is None:
        return gross_j * UNKNOWN_IDLE_RATIO
    return min(gross_j, baseline_w * duration_s)


def division_j(charged_j: float, gross_j: float, reserved_ratio: float) -> float:
    """Possible error of a charge in either direction if the idle power is unknown.

    If all of the gross energy were idle, the charge would be the reserved share; if none were,
    the share by activity. The charge is the middle of the two.

    Args:
        charged_j: Energy charged to the job in an interval, J.
        gross_j: Energy of the device in this interval, J.
        reserved_ratio: Share of the device that is reserved for the job.

    Returns:
        Half of the difference, J; 0 if the idle power makes no difference.
    """
    apart_j = abs(gross_j * reserved_ratio - charged_j)
    return apart_j if apart_j > ROUNDING_RATIO * gross_j else 0.0


def charge_j(
    gross_j: float, idle_part_j: float, reserved_ratio: float, activity_ratio: float | None
) -> float:
    """Energy of one step charged to a job.

    Args:
        gross_j: Energy of the device, J.
        idle_part_j: Idle part of it, J.
        reserved_ratio: Share of the device that is reserved for the job.
        activity_ratio: The job's share of the total activity; None if unknown.
    """
    active = reserved_ratio if activity_ratio is None else activity_ratio
    # Equal to idle x reserved + dynamic x active, and exactly the gross energy if both are 1.
    charged_j = gross_j * active + idle_part_j * (reserved_ratio - active)
    return min(max(charged_j, 0.0), gross_j)


def activity_ratio(own_s: float, all_s: float) -> tuple[float | None, bool]:
    """A job's share of the total activity in an interval, and whether the two are inconsistent.

    Args:
        own_s: Activity of the job.
        all_s: Total activity, including the job.

    Returns:
        The share from 0 to 1, None if unknown or nobody was active; and whether the figures
        contradict each other.
    """
    if not (own_s >= 0 and all_s >= 0 and math.isfinite(own_s + all_s)):
        return None, False
    consistent = own_s - all_s <= CLOCK_TOLERANCE_S + CLOCK_TOLERANCE_RATIO * all_s
    if own_s == 0 and all_s == 0:
        return None, True
    return (own_s / all_s if own_s < all_s else 1.0), consistent


def share(booking: Booking, *, reserved_ratio: float, baseline_w: float | None) -> Shares:
    """The energy of each booked step charged to a job, in linear time.

    Args:
        booking: The device's gross energy by step.
        reserved_ratio: Share of the device that is reserved for the job, 0 to 1.
        baseline_w: Idle power, W; None if unknown.

    Raises:
        ValueError: If the share is not from 0 to 1, or the power is negative or not finite.
    """
    require_share(reserved_ratio, baseline_w)
    ratios, flags = _activity(booking.readings)
    if reserved_ratio == 1 and not any(ratio is not None for ratio in ratios):
        energy_j = array("d", booking.energy_j)
        return Shares(energy_j, _idle_parts_j(booking, baseline_w), flags)
    charged_j = array("d", bytes(8 * len(booking.energy_j)))
    baseline_j = None if baseline_w is None else array("d", charged_j)
    for step, (before, after) in enumerate(pairwise(booking.readings)):
        gross_j = booking.energy_j[step]
        idle = idle_j(gross_j, after.t_s - before.t_s, baseline_w)
        charged_j[step] = charge_j(gross_j, idle, reserved_ratio, ratios[step])
        if baseline_j is not None:
            baseline_j[step] = min(idle * reserved_ratio, charged_j[step])
    return Shares(charged_j, baseline_j, flags)


def _idle_parts_j(booking: Booking, baseline_w: float | None) -> array[float] | None:
    """The idle part of each step of a device that the job has to itself."""
    if baseline_w is None:
        return None
    durations_s = (after.t_s - before.t_s for before, after in pairwise(booking.readings))
    idle_limits_j = (baseline_w * duration_s for duration_s in durations_s)
    return array("d", map(min, booking.energy_j, idle_limits_j))


def allocate(
    gross_j: float,
    tenants: Sequence[Tenant],
    *,
    duration_s: float,
    baseline_w: float | None = None,
    all_busy_s: float | None = None,
) -> Allocation:
    """Divide one step of a device among its tenants and the node.

    Args:
        gross_j: Energy of the device, J.
        tenants: The jobs that hold a share of the device.
        duration_s: Duration of the step, s.
        baseline_w: Idle power, W, if known.
        all_busy_s: Total activity in the step, of tenants and others, if reported.

    Returns:
        Charges and remainder, which add up to ``gross_j``. If the tenants claim more than that,
        their charges are reduced in proportion, and a flag is set.

    Raises:
        ValueError: If a tenant's share is not from 0 to 1, or the baseline is negative.
    """
    idle = idle_j(gross_j, duration_s, baseline_w)
    claims_j = []
    for tenant in tenants:
        require_share(tenant.reserved_ratio, baseline_w)
        is_known = tenant.own_busy_s is not None and all_busy_s is not None
        ratio = activity_ratio(tenant.own_busy_s or 0.0, all_busy_s or 0.0)[0] if is_known else None
        claims_j.append(charge_j(gross_j, idle, tenant.reserved_ratio, ratio))
    claimed_j = math.fsum(claims_j)
    if claimed_j > gross_j * (1 + ROUNDING_RATIO):
        cut = tuple(claim_j * gross_j / claimed_j for claim_j in claims_j)
        return Allocation(cut, 0.0, claimed_j, (OVERALLOCATED,))
    return Allocation(tuple(claims_j), max(gross_j - claimed_j, 0.0), claimed_j)


def require_share(reserved_ratio: float, baseline_w: float | None) -> None:
    """Checks what a component's energy is divided by.

    Args:
        reserved_ratio: Share reserved for the job.
        baseline_w: Idle power, W; None if unknown.

    Raises:
        ValueError: If the share is not from 0 to 1, or the power is negative or not finite.
    """
    if not 0 <= reserved_ratio <= 1:
        raise ValueError(f"reserved_ratio must be from 0 to 1, not {reserved_ratio}")
    if baseline_w is not None and not (math.isfinite(baseline_w) and baseline_w >= 0):
        raise ValueError(f"baseline_w must be 0 W or more, not {baseline_w}")


def _activity(
    readings: Sequence[Reading],
) -> tuple[list[float | None], dict[str, list[int]]]:
    """The job's part of the activity in each step, with flags."""
    steps = max(len(readings) - 1, 0)
    ratios: list[float | None] = [None] * steps
    flags: dict[str, list[int]] = {}
    reporting = [index for index, reading in enumerate(readings) if _has_activity(reading)]
    if not reporting:
        return ratios, flags
    for first, last in pairwise(reporting):
        before, after = readings[first], readings[last]
        own_s = (after.own_busy_s or 0.0) - (before.own_busy_s or 0.0)
        all_s = (after.all_busy_s or 0.0) - (before.all_busy_s or 0.0)
        ratio, consistent = activity_ratio(own_s, all_s)
        ratios[first:last] = [ratio] * (last - first)
        if not consistent:
            flags.setdefault(ACTIVITY_INCONSISTENT, []).extend(range(first, last))
    if missing := [*range(reporting[0]), *range(reporting[-1], steps)]:
        flags[ACTIVITY_MISSING] = missing
    return ratios, flags


def _has_activity(reading: Reading) -> bool:
    return reading.own_busy_s is not None and reading.all_busy_s is not None
