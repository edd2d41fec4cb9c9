"""Energy that a job may have used after the last reading of its attempt.

A meter reads once a second. If its process is killed, the job ends a moment later, and the energy
in between is in no reading. It is bounded, not estimated: the attempt's energy stays what was
read, and its interval extends by the bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from pricetag.accounting.readings.component import Component
from pricetag.accounting.readings.ledger import EnergyLedger
from pricetag.accounting.readings.reading import Reading

END_UNREAD = "end_unread"
"""Flag of a window that ends with an attempt whose last moment was not read."""

UNREAD_S = 1.5
"""Maximum time from the last reading to the end of a job that ends with its worker, in s.

Readings are at most 1.1 s apart, and a job ends as soon as its worker does.
"""

RECENT_S = 60.0
"""Duration in s whose highest power bounds the power of the last moment."""

LEAST_STEP_S = 0.5
"""A shorter interval between two readings shows no power, since counters advance in steps."""


def unread_bound_j(
    component: Component,
    readings: Sequence[Reading],
    until_s: float,
    counter_j: float | None = None,
) -> float | None:
    """The most that is charged to a job after its last reading, in J; None if there is no bound.

    The power is taken to be at most the highest between two of the readings, or the device's
    limit if there are no two, or if more time passed than the readings cover; the energy
    is at most what the counter shows later.

    Args:
        component: The component.
        readings: Its last readings, in order of time.
        until_s: Latest time at which the job may have ended.
        counter_j: Its counter at that time or later, if known.
    """
    ledger = EnergyLedger.of(component, readings)
    if ledger.read_s is None:
        return None
    last_s = ledger.read_s[1]
    if until_s <= last_s:
        return 0.0
    bounds_j = []
    power_w = _highest_power_w(component, readings, ledger)
    if until_s - last_s > RECENT_S and component.power_limit_w is not None:
        power_w = max(power_w or 0.0, component.power_limit_w)
    if power_w is not None:
        bounds_j.append(power_w * (until_s - last_s))
    last_j = next((r.counter_j for r in reversed(readings) if r.counter_j is not None), None)
    if counter_j is not None and last_j is not None and counter_j >= last_j:
        bounds_j.append(counter_j - last_j)
    return min(bounds_j, default=None)


def _highest_power_w(
    component: Component, readings: Sequence[Reading], ledger: EnergyLedger
) -> float | None:
    times_s: list[float] = []
    for reading in readings:
        if not times_s or reading.t_s - times_s[-1] >= LEAST_STEP_S:
            times_s.append(reading.t_s)
    powers_w = [
        ledger.charged_j(start_s, end_s) / (end_s - start_s) for start_s, end_s in pairwise(times_s)
    ]
    if not powers_w and component.power_limit_w is not None:
        return component.power_limit_w
    return max(powers_w, default=None)
