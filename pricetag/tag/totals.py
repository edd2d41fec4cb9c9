"""Sums over runs: every attempt of every run, including failed ones."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from pricetag.accounting.quantity.quantity import SOURCES
from pricetag.accounting.units import seconds_to_hours
from pricetag.tag.figure import Figure, Shown, scaled
from pricetag.tag.figures import partly_counted
from pricetag.tag.status import status_text
from pricetag.tag.strubell import Profile, emissions
from pricetag.tag.view import TagView

NOTHING = Figure(0.0, 0.0, 0.0, "kWh", None)


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over all runs."""

    runs: int
    runs_by_status: dict[str, int]
    attempts: int
    it_energy_kwh: Figure
    unsuccessful_it_energy_kwh: Figure
    facility_energy_kwh: Figure
    co2e_kg: Figure
    co2e_lb: Figure
    duration_s: Figure
    device_hours: Figure
    cloud_cost: Figure
    electricity_cost: Figure
    flops_dense: Figure
    flops_effective: Figure

    @property
    def statuses(self) -> str:
        """How the runs ended, in words."""
        counts = self.runs_by_status.items()
        return ", ".join(f"{count} {status_text(status)}" for status, count in counts)

    def as_dict(self) -> dict[str, Any]:
        """All sums as JSON data."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {
            name: value.as_dict() if isinstance(value, Figure) else value
            for name, value in values.items()
        }


def totals(tags: Sequence[TagView], profile: Profile) -> Totals:
    """Sums over all runs under the factors of a profile."""
    emitted = [emissions(tag.document.energy, profile) for tag in tags]
    attempts = [attempt for tag in tags for attempt in tag.document.attempts]
    statuses = dict.fromkeys(attempt.status for attempt in attempts)
    wasted = [
        attempt.energy.it_energy_kwh
        for status in statuses
        if status != "succeeded"
        for attempt in attempts
        if attempt.status == status
    ]
    hours = [
        scaled(a.energy.duration_s, seconds_to_hours(1.0) * a.device_count, "h") for a in attempts
    ]
    costs = [tag.document.cost for tag in tags]
    return Totals(
        runs=len(tags),
        runs_by_status=dict(Counter(tag.status for tag in tags)),
        attempts=len(attempts),
        it_energy_kwh=total((e.it_energy_kwh for e in emitted), "kWh"),
        unsuccessful_it_energy_kwh=total(wasted, "kWh") if wasted else NOTHING,
        facility_energy_kwh=total((e.facility_energy_kwh for e in emitted), "kWh"),
        co2e_kg=total((e.co2e_kg for e in emitted), "kg"),
        co2e_lb=total((e.co2e_lb for e in emitted), "lb"),
        duration_s=total((tag.document.energy.duration_s for tag in tags), "s"),
        device_hours=total(hours, "h"),
        cloud_cost=total((cost.cloud for cost in costs), "money"),
        electricity_cost=total((cost.electricity for cost in costs), "money"),
        flops_dense=total((tag.document.flops.dense for tag in tags), "FLOP"),
        flops_effective=total((tag.document.flops.effective for tag in tags), "FLOP"),
    )


def total(figures: Iterable[Shown], unit: str) -> Figure:
    """The sum of figures of one unit: the double nearest to the exact sum, in any order.

    Interval ends are added as they are: runs of one lab share their meters' errors and
    their factors, so that the errors do not cancel. A run whose figure is unknown is dropped
    and counted in the reason: the sum is then a lower bound, and says so. So is a sum of operations
    of which some are not counted.
    """
    items = list(figures)
    known_items = [(item, item.value) for item in items if item.value is not None]
    if not known_items:
        reasons = dict.fromkeys(str(item.reason) for item in items if item.reason)
        return Figure.unknown("; ".join(reasons) or "no run", unit)
    units = {item.unit for item, _ in known_items}
    if len(units) > 1:
        return Figure.unknown(f"different units: {', '.join(sorted(units))}", unit)
    missing = len(items) - len(known_items)
    remarks = [f"{missing} of {len(items)} are unknown and not included"] if missing else []
    remarks += filter(None, [partly_counted(items)])
    return Figure(
        math.fsum(value for _, value in known_items),
        math.fsum(value if item.low is None else item.low for item, value in known_items),
        math.fsum(value if item.high is None else item.high for item, value in known_items),
        units.pop() or unit,
        max((item.source for item, _ in known_items if item.source), key=_rank, default=None),
        f"at least: {'; '.join(remarks)}" if remarks else None,
    )


def _rank(source: str) -> int:
    return list(SOURCES).index(source) if source in SOURCES else len(SOURCES)
