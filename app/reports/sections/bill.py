"""The bill: totals over all runs and attempts, including failed ones."""

from __future__ import annotations

from collections.abc import Sequence

from app.reports.cells import Notes, evidence
from app.reports.shape import Row, Section, column, row, table
from pricetag.tag.figure import Figure
from pricetag.tag.figures import (
    counted,
    interval_text,
    money_texts,
    not_available,
    percent,
    with_unit,
)
from pricetag.tag.totals import NOTHING, Totals
from pricetag.tag.view import TagView

MOST_NAMED = 5
"""How many runs are named one by one."""


def lead(sums: Totals) -> str:
    """The whole report in two sentences."""
    energy, co2e = sums.it_energy_kwh, sums.co2e_kg
    runs = f"{counted(sums.runs, 'run')} ({sums.statuses})"
    if energy.value is None:
        return f"{runs} used an unknown amount of energy: {energy.reason}."
    text = f"{runs} used {least(energy)}{with_unit(energy.value, 'kWh')} of IT energy"
    if co2e.value is None:
        text += f"; the emissions are unknown ({co2e.reason})."
    else:
        text += f" and caused {least(co2e)}{with_unit(co2e.value, 'kg')} of CO2e."
    wasted = sums.unsuccessful_it_energy_kwh.value
    if wasted and energy.value:
        share = percent(wasted / energy.value)
        text += f" {share} of the energy was used by attempts that did not succeed."
    return text


def least(figure: Figure) -> str:
    """Prefix of a sum without some of its parts."""
    return "at least " if figure.reason else ""


def section(sums: Totals, tags: Sequence[TagView]) -> Section:
    """All totals, each with unit, interval and evidence."""
    notes = Notes()
    lines = {
        "IT energy": sums.it_energy_kwh,
        "of which in attempts that did not succeed": sums.unsuccessful_it_energy_kwh,
        "Facility energy (IT x PUE)": sums.facility_energy_kwh,
        "CO2e": sums.co2e_kg,
        "CO2e in pounds": sums.co2e_lb,
        "Machine time": sums.duration_s,
        "Accelerator-hours": sums.device_hours,
        "FLOPs, dense": sums.flops_dense,
        "FLOPs, effective": sums.flops_effective,
    }
    rows = [_line(label, figure, notes) for label, figure in lines.items()]
    cloud = sums.cloud_cost
    rows.append(row("Cloud compute cost", notes.price_range(cloud), "", evidence(cloud)))
    rows.append(_line("Electricity cost", sums.electricity_cost, notes, is_money=True))
    return {
        "id": "bill",
        "heading": "The bill",
        "paragraphs": [
            f"Totals over {counted(sums.runs, 'run')} ({sums.statuses}) and "
            f"{counted(sums.attempts, 'attempt')}. Failed, canceled and repeated attempts "
            "are included.",
            _versions(tags),
        ],
        "tables": [
            table(
                "totals",
                "Totals over all runs and attempts",
                [
                    column("Quantity", weight=1.6),
                    column("Value", "right", 1.5),
                    column("95% interval", "right", 1.6),
                    column("Weakest evidence", weight=1.2),
                ],
                rows,
                [
                    "Interval ends are added linearly, because the errors of shared meters and "
                    "factors do not cancel.",
                    *_repriced(tags),
                    *notes.lines(),
                ],
            )
        ],
    }


def _versions(tags: Sequence[TagView]) -> str:
    """Which versions of the price tags the figures are from."""
    older = [tag for tag in tags if _is_older(tag)]
    if not older:
        which = "the newest version of the run's price tag"
        if len(tags) > 1:
            which = "the newest version of each run's price tag"
        return f"The figures are those of {which}."
    others_text = (
        "" if len(older) == len(tags) else ", and of the newest version of every other run's"
    )
    named = "; ".join(
        f"version {tag.document.version} of {tag.newest} of the price tag of {tag.document.name}"
        for tag in older[:MOST_NAMED]
    )
    more = f" and {len(older) - MOST_NAMED} more (see Provenance)" * (len(older) > MOST_NAMED)
    return f"The figures are those of {named}{more}{others_text}."


def _is_older(tag: TagView) -> bool:
    return tag.newest is not None and tag.newest != tag.document.version


def _repriced(tags: Sequence[TagView]) -> list[str]:
    """The runs whose price tag was re-priced with other factors."""
    return [
        f"{tag.document.name}: version {tag.document.version} of its price tag, {tag.repriced}."
        for tag in tags
        if tag.repriced is not None
    ]


def _line(label: str, figure: Figure, notes: Notes, *, is_money: bool = False) -> Row:
    if figure.value is None:
        return row(label, not_available(figure.reason), "", "n/a")
    if figure is NOTHING:
        return row(label, "none", "", "")
    value, interval = with_unit(figure.value, figure.unit), interval_text(figure)
    if is_money:
        value, interval = money_texts(figure)
    if figure.reason:
        value += f" {notes.mark(figure.reason)}"
    # An incomplete sum has no upper end, however well its parts are known.
    no_interval = "at least" if figure.reason else "exact"
    return row(label, value, interval or no_interval, evidence(figure))
