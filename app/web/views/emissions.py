"""Scope 2 emissions by site and month, and as lines of a GHG inventory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.schemas.emissions import EmissionFactor, EmissionFigures, EmissionsRead
from app.web.views.energy import NO_SITE
from app.web.views.figures import FigureView, figure, unknown
from pricetag.tag.figure import Figure
from pricetag.tag.figures import column_unit


@dataclass(frozen=True, slots=True)
class EmissionRow:
    """A site, or one of its months.

    Attributes:
        name: Site or month.
        is_site: Whether it is the sum of a site.
        intensity: Its intensity in words, of a month.
        basis: Sources of its factors.
    """

    name: str
    is_site: bool
    energy: FigureView
    location: FigureView
    market: FigureView
    pue: FigureView
    intensity: FigureView
    contract: FigureView
    recorded: str
    basis: str


@dataclass(frozen=True, slots=True)
class EmissionsView:
    """Scope 2 emissions by site and month."""

    total: EmissionRow
    rows: Sequence[EmissionRow]
    units: Mapping[str, str]


OF_MONTHS = "each month has its own"


def emissions(read: EmissionsRead) -> EmissionsView:
    """The view of scope 2 emissions."""
    figures: list[EmissionFigures] = [read.total]
    for site in read.items:
        figures += [site, *site.months]
    energy = column_unit((period.facility_energy_kwh.value for period in figures), "kWh")
    masses = [period.co2e_location_kg.value for period in figures]
    mass = column_unit([*masses, *(period.co2e_market_kg.value for period in figures)], "kg")

    def row(name: str, period: EmissionFigures, **more: Any) -> EmissionRow:
        nothing = unknown(OF_MONTHS)
        about: dict[str, Any] = {
            "is_site": True,
            "pue": nothing,
            "intensity": nothing,
            "contract": nothing,
            "recorded": "",
            "basis": "",
        }
        return EmissionRow(
            name=name,
            energy=figure(period.facility_energy_kwh.model_dump(), shown=energy),
            location=figure(period.co2e_location_kg.model_dump(), shown=mass),
            market=figure(period.co2e_market_kg.model_dump(), shown=mass),
            **(about | more),
        )

    rows = []
    for site in read.items:
        rows.append(row(site.site or NO_SITE, site))
        for month in site.months:
            market = month.carbon_market
            rows.append(
                row(
                    month.month,
                    month,
                    is_site=False,
                    pue=_factor(month.pue),
                    intensity=_factor(month.carbon_location),
                    contract=unknown(month.co2e_market_kg.reason)
                    if market is None
                    else _factor(market),
                    recorded=f"{month.recorded_hours:,} of {month.hours:,} hours",
                    basis=f"{month.carbon_location.citation}; PUE: {month.pue.citation}",
                )
            )
    return EmissionsView(
        total=row("All sites", read.total), rows=rows, units={"energy": energy[0], "mass": mass[0]}
    )


def _factor(factor: EmissionFactor) -> FigureView:
    unit = "" if factor.unit == "1" else factor.unit
    return figure(Figure(factor.value, None, None, unit, factor.source))


GHG_COLUMNS = (
    "site",
    "month",
    "scope",
    *(
        f"{name}{end}"
        for name in (
            "it_energy_kwh",
            "facility_energy_kwh",
            "co2e_location_kg",
            "co2e_market_kg",
        )
        for end in ("", "_low", "_high", "_source", "_reason")
    ),
    "pue",
    "pue_source",
    "carbon_location_g_per_kwh",
    "carbon_location_citation",
    "carbon_location_basis",
    "carbon_market_g_per_kwh",
    "carbon_market_citation",
    "recorded_hours",
    "hours",
)


def ghg_rows(read: EmissionsRead) -> list[dict[str, Any]]:
    """The lines of the GHG inventory: one a site and month, unrounded, in stored units."""
    lines = []
    for site in read.items:
        for month in site.months:
            line: dict[str, Any] = {
                "site": site.site or "",
                "month": month.month,
                "scope": 2,
                "pue": month.pue.value,
                "pue_source": month.pue.citation,
                "carbon_location_g_per_kwh": month.carbon_location.value,
                "carbon_location_citation": month.carbon_location.citation,
                "carbon_location_basis": month.carbon_location.basis or "",
                "recorded_hours": month.recorded_hours,
                "hours": month.hours,
            }
            market = month.carbon_market
            line["carbon_market_g_per_kwh"] = "" if market is None else market.value
            line["carbon_market_citation"] = "" if market is None else market.citation
            for name in EmissionFigures.model_fields:
                quantity = getattr(month, name)
                ends = {"": "value", "_low": "low", "_high": "high", "_source": "source"}
                for end, attribute in ends.items():
                    value = getattr(quantity, attribute)
                    line[f"{name}{end}"] = "" if value is None else value
                line[f"{name}_reason"] = quantity.reason or ""
            lines.append(line)
    return lines
