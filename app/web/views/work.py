"""Use of a project or user: totals, trend, failed work, best run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.charts import energy as charts
from app.charts.chart import Chart
from app.schemas.projects import ProjectRead
from app.schemas.work import BestRun, WorkRead, WorkSum
from app.web.views.energy import ChangeView, change, label, lost, lost_share, part
from app.web.views.figures import NO_INTERVAL, FigureView, figure, money, shared_units
from pricetag.tag.figure import Figure
from pricetag.tag.figures import Unit, column_unit, counted, number

CHARGED = "charged to runs"


@dataclass(frozen=True, slots=True)
class Best:
    """The run with the least energy for its score, and how many were compared."""

    run: BestRun
    score: str
    energy: FigureView
    runs: str


@dataclass(frozen=True, slots=True)
class WorkView:
    """The account of a project or user.

    Attributes:
        energy: Its IT energy in the period, by running runs so far too.
        change: Against the period before.
        sums: Sums of price tags and of running attempts, by title.
        note: Terms of these sums.
        failed: Energy of failed work.
        failed_text: Its share.
        ended: Number of ended attempts, in words.
        chart: The trend; None without energy.
        best: The best run.
        best_reason: Why there is none.
    """

    energy: FigureView
    change: ChangeView
    sums: Sequence[tuple[str, FigureView]]
    note: str
    failed: FigureView
    failed_text: str
    ended: str
    chart: Chart | None
    best: Best | None
    best_reason: str


def work(read: WorkRead, projects: frozenset[str]) -> WorkView:
    """The view of an account.

    Args:
        read: The account.
        projects: Projects whose runs are in it, of which some readers may not see all.
    """
    unit = column_unit((point.energy_kwh.value for point in read.points), "kWh")
    labels = [label(point.start, read.grain) for point in read.points]
    chart = charts.stacked(
        [part(point.start, read.grain, CHARGED, point.energy_kwh, unit) for point in read.points],
        [CHARGED],
        measure="IT energy",
        unit=unit[0],
        title=f"IT energy by {read.grain}",
        summary=_summary(read, labels),
        projects=projects,
        kind="trend",
    )
    energy, facility, failed, best = shared_units(
        [read.energy_kwh.value],
        [read.facility_energy_kwh.value],
        [read.failed.it_energy_kwh],
        [None if read.best is None else read.best.it_energy_kwh.value],
        unit="kWh",
    )
    sums = [("Facility energy", read.facility_energy_kwh), ("Emissions (CO2e)", read.co2e_kg)]
    sums += [("Cost", cost) for cost in read.costs]
    note = f"sum of price tags, {NO_INTERVAL}"
    if read.running_attempts:
        note += f", and {counted(read.running_attempts, 'running attempt')} so far"
    return WorkView(
        note=note,
        energy=figure(read.energy_kwh.model_dump(), shown=energy, provisional=read.provisional),
        change=change(read.change.model_dump(), shown=energy),
        sums=[(title, _sum(item, facility)) for title, item in sums],
        failed=lost(read.failed.model_dump(), failed),
        failed_text=f"{lost_share(read.failed.model_dump())} of all ended attempts",
        ended=counted(read.attempts, "ended attempt"),
        chart=chart if read.points else None,
        best=None if read.best is None else _best(read.best, best),
        best_reason=read.best_reason or "",
    )


def _sum(item: WorkSum, of_energy: Unit) -> FigureView:
    shape = Figure(item.value, None, None, item.unit, item.source, item.reason)
    grows = item.value is not None and bool(item.running)
    if item.unit.isupper():
        return money(shape, provisional=grows)
    return figure(shape, shown=of_energy if item.unit == "kWh" else None, provisional=grows)


def _summary(read: WorkRead, labels: Sequence[str]) -> str:
    energies = [
        (point.energy_kwh.value, at)
        for point, at in zip(read.points, labels, strict=True)
        if point.energy_kwh.value
    ]
    if not energies:
        return "No energy was charged to runs in this time."
    largest, at = max(energies)
    shown = figure(Figure(largest, None, None, "kWh", None))
    return f"The {read.grain} with the most energy is {at}, {shown.text} {shown.unit}."


def _best(best: BestRun, shown: Unit) -> Best:
    split = f" ({best.split})" if best.split else ""
    return Best(
        run=best,
        score=f"{best.metric}{split} {number(best.score)}",
        energy=figure(best.it_energy_kwh.model_dump(), shown=shown),
        runs=counted(best.runs, "run"),
    )


def facts(read: ProjectRead) -> Sequence[tuple[str, str]]:
    """Description of a project, in words."""
    return [
        ("Visibility", "private" if read.visibility == "private" else "open to the lab"),
        ("Experiments", f"{read.experiments:,}"),
        ("Runs", f"{read.runs:,}"),
    ]
