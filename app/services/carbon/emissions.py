"""Scope 2 emissions of the lab by site and month: location-based and market-based."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from app.db import Session
from app.repositories.energy import account as rows
from app.repositories.energy.calendar import after
from app.repositories.energy.rollups import HOUR, Range
from app.repositories.factors import carbon_series
from app.repositories.factors.carbon_series import MonthMean
from app.schemas.common import Quantity
from app.schemas.emissions import (
    EmissionFactor,
    EmissionFigures,
    EmissionMonth,
    EmissionSite,
    EmissionsRead,
)
from app.services.energy.account import quantity, total_entry
from app.services.energy.intervals import ends_of, intervals
from app.services.energy.ranges import hours_of
from app.services.factors import monthly
from app.services.factors.monthly import SiteFactors
from app.settings import Settings
from pricetag.accounting.bill.inputs import Factor
from pricetag.accounting.bill.node_account import Account, Entry, accounts
from pricetag.accounting.bill.scope2 import Scope2, added, scope2
from pricetag.accounting.quantity.quantity import Quantity as Figure


async def read(
    session: Session,
    settings: Settings,
    *,
    start: datetime | None,
    stop: datetime | None,
    now: datetime | None = None,
) -> EmissionsRead:
    """The emissions of a range.

    The errors of one factor are common to all months and sites, so that the ends of intervals
    are added.

    Args:
        session: Database session, only read.
        settings: Factors to use if neither site nor lab has any.
        start: Beginning of the first hour; a week before ``stop`` by default.
        stop: End of the last hour; the end of the current hour by default.
        now: Present time; by default of the clocks of the server and of its database.

    Raises:
        InvalidEnergyRangeError: If the range is invalid.
    """
    span = hours_of(start, stop, "month", now or datetime.now(UTC))
    hours = Range(span.start, span.stop, None, now)
    by_site: dict[str | None, dict[datetime, list[Entry]]] = defaultdict(lambda: defaultdict(list))
    for row in await rows.sums_over_time(session, "site", "month", hours):
        by_site[row.place or None][row.start].append(total_entry(row))
    sites = []
    for site in sorted(by_site, key=lambda name: (name is None, name or "")):
        sites.append(await _site(session, settings, site, by_site[site], hours))
    return EmissionsRead(
        start=span.start,
        stop=span.stop,
        total=EmissionFigures(**_sums(sites)),
        items=sites,
    )


async def _site(
    session: Session,
    settings: Settings,
    site: str | None,
    by_month: Mapping[datetime, list[Entry]],
    hours: Range,
) -> EmissionSite:
    factors = await monthly.read(session, settings, site, list(by_month))
    means: Mapping[datetime, MonthMean] = {}
    if factors.zone is not None:
        means = await carbon_series.monthly_means(session, factors.zone, hours.start, hours.stop)
    in_order = sorted(by_month.items())
    used = accounts([entries for _, entries in in_order], intervals=intervals)
    months = [
        _month(start, entries, account, factors, means.get(start), hours)
        for (start, entries), account in zip(in_order, used, strict=True)
    ]
    return EmissionSite(site=site, months=months, **_sums(months))


@dataclass(frozen=True, slots=True)
class _Intensity:
    """The intensity of a month, and the number of its recorded hours."""

    factor: Factor
    recorded: int
    hours: int


def _month(
    start: datetime,
    entries: Sequence[Entry],
    used: Account,
    factors: SiteFactors,
    mean: MonthMean | None,
    hours: Range,
) -> EmissionMonth:
    first, last = max(start, hours.start), min(after(start, "month"), hours.stop)
    of_month = factors.months[start]
    intensity = _intensity(of_month.location, mean, (last - first) // HOUR)
    figures = scope2(entries, of_month.pue, intensity.factor, of_month.market, ends_of=ends_of)
    return EmissionMonth(
        month=f"{start:%Y-%m}",
        pue=_factor(of_month.pue),
        carbon_location=_factor(intensity.factor),
        carbon_market=None if of_month.market is None else _factor(of_month.market),
        recorded_hours=intensity.recorded,
        hours=intensity.hours,
        **_figures(used.total_kwh, figures),
    )


def _intensity(annual: Factor, mean: MonthMean | None, hours: int) -> _Intensity:
    """The mean of the recorded hours, and the annual figure for the others."""
    if mean is None:
        return _Intensity(annual, 0, hours)
    recorded = min(mean.hours, hours)
    share = recorded / hours
    value = share * mean.g_per_kwh + (1 - share) * annual.value
    std_ratio = mean.relative_std_ratio
    if value > 0 and share < 1:
        of_hours = share * mean.g_per_kwh / value
        std_ratio = of_hours * std_ratio + (1 - of_hours) * annual.relative_std_ratio
    factor = replace(
        annual,
        value=value,
        relative_std_ratio=std_ratio,
        source="estimated" if share == 1 else annual.source,
        multiplicative=annual.multiplicative and share < 1,
        citation=mean.source if share == 1 else f"{mean.source}; {annual.citation}",
        basis=f"{mean.basis}, mean of the recorded hours",
        licence=mean.license,
    )
    return _Intensity(factor, recorded, hours)


def _factor(factor: Factor) -> EmissionFactor:
    return EmissionFactor(
        value=factor.value,
        unit=factor.unit,
        source=factor.source,
        citation=factor.citation,
        basis=factor.basis,
        licence=factor.licence,
    )


def _figures(it_energy_kwh: Figure, figures: Scope2) -> dict[str, Quantity]:
    return {
        "it_energy_kwh": Quantity(**quantity(it_energy_kwh)),
        "facility_energy_kwh": Quantity(**quantity(figures.facility_energy_kwh)),
        "co2e_location_kg": Quantity(**quantity(figures.location_kg)),
        "co2e_market_kg": Quantity(**quantity(figures.market_kg)),
    }


def _sums(parts: Sequence[EmissionFigures]) -> dict[str, Any]:
    sums = {}
    for name in EmissionFigures.model_fields:
        unit = "kWh" if name.endswith("kwh") else "kg"
        each: list[Quantity] = [getattr(part, name) for part in parts]
        figures = [
            Figure(total.value, total.low, total.high, unit, total.source, total.reason)
            for total in each
        ]
        sums[name] = Quantity(**quantity(added(figures, unit)))
    return sums
