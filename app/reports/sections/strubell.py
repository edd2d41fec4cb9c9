"""The table of Strubell et al. 2019: one row per run."""

from __future__ import annotations

from collections.abc import Sequence

from app.reports.cells import Notes
from app.reports.shape import Section, column, row, table
from pricetag.tag.figures import not_available
from pricetag.tag.strubell import CITATION, Profile, StrubellRow, paper_factors
from pricetag.tag.totals import Totals

_COLUMNS = [
    column("Model", weight=2.4),
    column("Hardware", weight=2.0),
    column("Power (W)", "right", 1.1),
    column("Hours", "right", 1.1),
    column("kWh·PUE", "right", 1.1),
    column("CO2e (lb)", "right", 1.1),
    column("CO2e (kg)", "right", 1.1),
    column("Cloud compute cost", "right", 1.6),
]


def section(rows: Sequence[StrubellRow], sums: Totals, profile: Profile) -> Section:
    """One row per run, and the sum."""
    notes = Notes()
    lines = [
        row(
            item.label,
            item.hardware or not_available(None),
            notes.figure(item.power_w),
            notes.figure(item.hours),
            notes.figure(item.facility_energy_kwh),
            notes.figure(item.co2e_lb),
            notes.figure(item.co2e_kg),
            notes.price_range(item.cloud_cost),
        )
        for item in rows
    ]
    lines.append(
        row(
            "All runs",
            "",
            "",
            notes.figure(sums.duration_s, 3600.0),
            notes.figure(sums.facility_energy_kwh),
            notes.figure(sums.co2e_lb),
            notes.figure(sums.co2e_kg),
            notes.price_range(sums.cloud_cost),
            total=True,
        )
    )
    caption = "Energy, emissions and cost of every run"
    return {
        "id": "runs",
        "heading": "Every run",
        "paragraphs": [
            f"The columns of {CITATION}. {_factors(profile)} Power is the mean of all metered "
            "components together; hours are over all attempts."
        ],
        "tables": [table("strubell", caption, _COLUMNS, lines, notes.lines())],
    }


def _factors(profile: Profile) -> str:
    if profile == "strubell2019":
        return (
            f"Its factors ({paper_factors()}) are applied, as exact ones, to the IT energy that "
            "was measured."
        )
    return "PUE and carbon intensity are those of each price tag, listed under Factors."
