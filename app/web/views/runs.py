"""Runs as rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.schemas.runs import RunCount, RunSummary
from app.web.views.figures import FigureView, figure, unknown
from pricetag.tag.figure import Figure
from pricetag.tag.figures import column_unit

NO_TAG = "no price tag was issued yet"


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run of a table."""

    run: RunSummary
    duration: FigureView
    energy: FigureView
    co2e: FigureView
    energy_unit: str
    co2e_unit: str


def rows(runs: Sequence[RunSummary]) -> Sequence[RunRow]:
    """The rows of some runs; each column has one unit."""
    energies = [run.price_tag.it_energy_kwh if run.price_tag else None for run in runs]
    masses = [run.price_tag.co2e_kg if run.price_tag else None for run in runs]
    energy_unit, co2e_unit = column_unit(energies, "kWh"), column_unit(masses, "kg")
    made = []
    for run, energy, mass in zip(runs, energies, masses, strict=True):
        duration_s = run.price_tag.duration_s if run.price_tag else None
        made.append(
            RunRow(
                run,
                _cell(run, duration_s, "s", None),
                _cell(run, energy, "kWh", energy_unit),
                _cell(run, mass, "kg", co2e_unit),
                energy_unit[0],
                co2e_unit[0],
            )
        )
    return made


def _cell(
    run: RunSummary, value: float | None, unit: str, shown: tuple[str, float] | None
) -> FigureView:
    if value is None:
        return unknown(None if run.price_tag else NO_TAG)
    # Of a run that goes on, the attempts so far.
    is_open = run.status in {"queued", "running"}
    return figure(Figure(value, None, None, unit, None), shown=shown, provisional=is_open)


def count(runs: RunCount | None) -> str:
    """A number of runs in words."""
    if runs is None:
        return ""
    noun = "run" if runs.runs == 1 else "runs"
    return f"{runs.runs:,}{'+' if runs.at_least else ''} {noun}"
