"""The bill: totals over every run and attempt, the failed ones too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, TypedDict

from app.reports.cells import Notes, evidence
from app.reports.shape import Row, Section, column, row, table
from app.reports.totals import attempts_by_status, total
from pricetag.accounting.units import seconds_to_hours
from pricetag.tag.figures import counted, interval_text, not_available, percent, with_unit
from pricetag.tag.strubell import Profile, emissions, scaled
from pricetag.tag.tags import Tag, listed, quantity, repriced_text, status

NOTHING = {"value": 0.0, "low": 0.0, "high": 0.0, "unit": "kWh", "source": None, "reason": None}


class Totals(TypedDict):
    """Sums over all runs; every figure a quantity."""

    runs: int
    runs_by_status: dict[str, int]
    attempts: int
    it_energy_kwh: dict[str, Any]
    unsuccessful_it_energy_kwh: dict[str, Any]
    facility_energy_kwh: dict[str, Any]
    co2e_kg: dict[str, Any]
    co2e_lb: dict[str, Any]
    duration_s: dict[str, Any]
    device_hours: dict[str, Any]
    cloud_cost: dict[str, Any]
    electricity_cost: dict[str, Any]
    flops_dense: dict[str, Any]
    flops_effective: dict[str, Any]


def totals(tags: Sequence[Tag], profile: Profile) -> Totals:
    """Sums over all runs under the factors of a profile."""
    emitted = [emissions(tag, profile) for tag in tags]
    wasted = [
        energy
        for ended, energies in attempts_by_status(tags).items()
        if ended != "succeeded"
        for energy in energies
    ]
    return Totals(
        runs=len(tags),
        runs_by_status=dict(Counter(map(status, tags))),
        attempts=sum(len(listed(tag, "attempts")) for tag in tags),
        it_energy_kwh=total((e["it_energy_kwh"] for e in emitted), "kWh"),
        unsuccessful_it_energy_kwh=total(wasted, "kWh") if wasted else NOTHING,
        facility_energy_kwh=total((e["facility_energy_kwh"] for e in emitted), "kWh"),
        co2e_kg=total((e["co2e_kg"] for e in emitted), "kg"),
        co2e_lb=total((e["co2e_lb"] for e in emitted), "lb"),
        duration_s=total((quantity(tag, "duration_s") for tag in tags), "s"),
        device_hours=_device_hours(tags),
        cloud_cost=total((quantity(tag, "cost", "cloud") for tag in tags), "money"),
        electricity_cost=total((quantity(tag, "cost", "electricity") for tag in tags), "money"),
        flops_dense=_operations(tags, "dense"),
        flops_effective=_operations(tags, "effective"),
    )


def _device_hours(tags: Sequence[Tag]) -> dict[str, Any]:
    hours = [
        scaled(
            quantity(attempt, "duration_s"),
            seconds_to_hours(1.0) * int(attempt.get("device_count") or 0),
            "h",
        )
        for tag in tags
        for attempt in listed(tag, "attempts")
    ]
    return total(hours, "h")


def _operations(tags: Sequence[Tag], kind: str) -> dict[str, Any]:
    """The operations of all runs; a lower bound, and said so, where some are not counted."""
    counts = [quantity(tag, "flops", kind) for tag in tags]
    found = total(counts, "FLOP")
    partial = sum(count["value"] is not None and bool(count["reason"]) for count in counts)
    if not partial:
        return found
    remark = f"at least: of {counted(partial, 'run')} some operators or stages are not counted"
    return found | {"reason": "; ".join(filter(None, (found["reason"], remark)))}


def lead(sums: Totals) -> str:
    """The whole report in two sentences."""
    energy, co2e = sums["it_energy_kwh"], sums["co2e_kg"]
    runs = f"{counted(sums['runs'], 'run')} ({run_statuses(sums)})"
    if energy["value"] is None:
        return f"{runs} used an unknown amount of energy: {energy['reason']}."
    text = f"{runs} used {_most(energy)}{with_unit(energy['value'], 'kWh')} of IT energy"
    if co2e["value"] is None:
        text += f"; the emissions are not known ({co2e['reason']})."
    else:
        text += f" and caused {_most(co2e)}{with_unit(co2e['value'], 'kg')} of CO2e."
    wasted = sums["unsuccessful_it_energy_kwh"]["value"]
    if wasted and energy["value"]:
        share = percent(wasted / energy["value"])
        text += f" {share} of the energy went into attempts that did not succeed."
    return text


def _most(figure: dict[str, Any]) -> str:
    return "at least " if figure.get("reason") else ""


def run_statuses(sums: Totals) -> str:
    """How the runs ended, in words."""
    return ", ".join(f"{count} {ended}" for ended, count in sums["runs_by_status"].items())


def section(sums: Totals, tags: Sequence[Tag]) -> Section:
    """All totals, each with unit, interval and evidence."""
    notes = Notes()
    lines = {
        "IT energy": sums["it_energy_kwh"],
        "of it in attempts that did not succeed": sums["unsuccessful_it_energy_kwh"],
        "Facility energy (IT x PUE)": sums["facility_energy_kwh"],
        "CO2e": sums["co2e_kg"],
        "CO2e in pounds": sums["co2e_lb"],
        "Time on machines": sums["duration_s"],
        "Accelerator-hours": sums["device_hours"],
        "FLOPs, dense": sums["flops_dense"],
        "FLOPs, effective": sums["flops_effective"],
    }
    rows = [_line(label, figure, notes) for label, figure in lines.items()]
    for label, figure in (
        ("Cloud compute cost", sums["cloud_cost"]),
        ("Electricity cost", sums["electricity_cost"]),
    ):
        rows.append(row(label, notes.cost(figure), "", evidence(figure)))
    return {
        "id": "bill",
        "heading": "The bill",
        "paragraphs": [
            f"Totals over {counted(sums['runs'], 'run')} ({run_statuses(sums)}) and "
            f"{counted(sums['attempts'], 'attempt')}. Whatever failed, was cancelled or was "
            "repeated is counted."
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
                    "Interval ends are added as they are, because the errors of shared meters and "
                    "factors do not cancel.",
                    *_repriced(tags),
                    *notes.lines(),
                ],
            )
        ],
    }


def _repriced(tags: Sequence[Tag]) -> list[str]:
    """The runs whose newest price tag has other factors than it was first issued with."""
    return [
        f"{tag.get('name')}: version {tag.get('version')} of its price tag, {text}."
        for tag in tags
        if (text := repriced_text(tag)) is not None
    ]


def _line(label: str, figure: dict[str, Any], notes: Notes) -> Row:
    if figure["value"] is None:
        return row(label, not_available(figure["reason"]), "", "n/a")
    if figure is NOTHING:
        return row(label, "none", "", "")
    value = with_unit(figure["value"], figure["unit"])
    if figure.get("reason"):
        value += f" {notes.mark(figure['reason'])}"
    # A sum without a part of it has no upper end, however well the rest is known.
    no_interval = "at least" if figure.get("reason") else "exact"
    return row(label, value, interval_text(figure) or no_interval, evidence(figure))
