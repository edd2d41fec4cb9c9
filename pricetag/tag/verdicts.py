"""A sentence about the ratio of two groups of runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pricetag.tag.figures import number, ratio_text
from pricetag.tag.ratios import Metric

NO_DIFFERENCE = "no difference that these measurements could show"

NAMES: dict[Metric, str] = {
    "it_energy_kwh": "IT energy",
    "facility_energy_kwh": "facility energy",
    "co2e_kg": "CO2e",
    "cost": "cost",
    "duration_s": "time",
}


def verdict(metric: Metric, ratio: Mapping[str, Any], group: str, reference: str) -> str:
    """A sentence about a group against the reference.

    Args:
        metric: The compared figure.
        ratio: Mean of the group divided by that of the reference, with its 95% interval.
        group: Name of the group.
        reference: Name of the reference.

    Returns:
        For example ``IT energy: c has 22.0% less than b (ratio 0.780, 0.701 to 0.868)``; a
        difference within the interval is none.
    """
    name = NAMES[metric]
    start = name[0].upper() + name[1:]
    value, low, high = ratio["value"], ratio["low"], ratio["high"]
    if value is None:
        return f"{start}: unknown ({ratio['reason']})"
    if low is None or high is None:
        why = ratio["reason"] or "there is no interval"
        return f"{start}: no verdict, {why} (ratio {number(float(value))})"
    figures = f"ratio {number(float(value))}, {number(float(low))} to {number(float(high))}"
    if low <= 1 <= high:
        return f"{start}: {NO_DIFFERENCE} ({figures})"
    amount = f"{ratio_text(abs(1 - value))} {'more' if value > 1 else 'less'} than"
    if value > 2:
        amount = f"{ratio_text(value)} that of"
    return f"{start}: {group} has {amount} {reference} ({figures})"
