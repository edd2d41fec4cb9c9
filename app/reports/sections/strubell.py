"""The table of Strubell et al. 2019: one row per run."""

from __future__ import annotations

from collections.abc import Sequence

from app.reports.cells import Notes
from app.reports.sections.methods import WHOLE_RATIO
from app.reports.shape import Section, column, row, table
from pricetag.tag.figures import not_available, percent
from pricetag.tag.strubell import CITATION, Profile, StrubellRow, paper_factors
from pricetag.tag.totals import Totals

COLUMNS = (
    column("Model", weight=2.2),
    column("Hardware", weight=1.7),
    column("Power (W)", "right", 1.1),
    column("Hours", "right", 1.2),
    column("kWh·PUE", "right", 1.1),
    column("CO2e (lb)", "right", 1.2),
    column("CO2e (kg)", "right", 1.2),
    column("Cloud compute cost", "right", 1.9),
)
"""The columns of table 3 of the paper, also for figures that others published."""


def section(rows: Sequence[StrubellRow], sums: Totals, profile: Profile) -> Section:
    """One row per run, and the sum."""
    notes = Notes()
    lines = [
        row(
            item.label,
            item.hardware or not_available(None),
            notes.figure(item.power_w),
            _hours(item, notes),
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
            f"The columns of {CITATION}. {_factors(profile)} Power is the mean of all "
            "components together; hours are over all attempts."
        ],
        "tables": [table("strubell", caption, COLUMNS, lines, notes.lines())],
    }


def _hours(item: StrubellRow, notes: Notes) -> str:
    """The hours of a run; with a note if power x hours x PUE is not the energy beside it."""
    share = item.coverage_ratio.value
    text = notes.figure(item.hours)
    if share is None or share >= WHOLE_RATIO or item.it_energy_kwh.value is None:
        return text
    remark = (
        f"{percent(share)} of the time was metered: the power is the mean over it, and the energy "
        "of the rest is not included, so that power x hours x PUE is more than kWh·PUE"
    )
    return f"{text} {notes.mark(remark)}"


def _factors(profile: Profile) -> str:
    if profile == "strubell2019":
        return (
            f"Its factors ({paper_factors()}) are applied, as exact ones, to the IT energy of "
            "each price tag."
        )
    return "PUE and carbon intensity are those of each price tag, listed under Factors."
