"""A paper as a view model: what its runs cost together, from its newest report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args
from uuid import UUID

from app.reports.text import clean_all
from app.schemas.papers import PaperFile, PaperRead
from app.web.views.figures import FigureView, figure, money
from pricetag.tag.figure import Figure, figure_of
from pricetag.tag.figures import column_unit, counted
from pricetag.tag.measured import measured_text
from pricetag.tag.published import PublishedFigure, PublishedRow, published_row

FORMATS = {"html": "HTML", "pdf": "PDF", "tex": "LaTeX", "md": "Markdown", "csv": "CSV"}
LABELS = {
    "it_energy_kwh": "IT energy",
    "facility_energy_kwh": "Facility energy",
    "co2e_kg": "CO2e",
    "cost": "Cost",
    "duration_s": "Machine time",
    "flops_dense": "Operations",
}

Content = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PurposeRow:
    """The runs of one purpose."""

    name: str
    runs: int
    unsuccessful: int
    energy: FigureView
    planned: FigureView
    used_of_planned: FigureView
    co2e: FigureView


@dataclass(frozen=True, slots=True)
class Reported:
    """What the newest report states.

    Attributes:
        at: When it was created (ISO 8601).
        coverage: How many runs it covers.
        totals: Names and sums.
        purposes: Planned and used, by purpose.
        checklist: Answers to the NeurIPS checklist.
        verdicts: Which method is better at which cost.
        missing: Runs that are not counted: name and reason.
    """

    at: str
    coverage: str
    totals: Sequence[tuple[str, FigureView]]
    purposes: Sequence[PurposeRow]
    checklist: Sequence[str]
    verdicts: Sequence[str]
    missing: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class PublishedView:
    """A row of another publication."""

    model: str
    hardware: str
    hours: str
    energy: FigureView
    co2e: FigureView
    source: str


@dataclass(frozen=True, slots=True)
class PaperView:
    """The page of a paper.

    Attributes:
        paper: The paper.
        count: Number of its runs, and how many have a price tag.
        rule: What it collects, in a sentence.
        reported: What its newest report states; None without a report.
        files: Names of its files.
        published: Rows of other publications beside its runs.
        measured: Who measured each run, in words, by its ID.
        is_signed_anew: Whether the authors were changed after the newest report.
    """

    paper: PaperRead
    count: str
    rule: str
    reported: Reported | None
    files: Sequence[str]
    published: Sequence[PublishedView]
    measured: Mapping[UUID, str]
    is_signed_anew: bool


def paper_view(paper: PaperRead, context: Content | None) -> PaperView:
    """The view of a paper.

    Args:
        paper: What the service returns.
        context: Content of its newest report; None without a report.
    """
    priced = sum(run.version is not None for run in paper.runs)
    return PaperView(
        paper=paper,
        count=f"{counted(len(paper.runs), 'run')}, {priced} with a price tag",
        rule=_rule(paper),
        reported=None if context is None else reported(context),
        files=get_args(PaperFile),
        published=[_published(published_row(row.model_dump())) for row in paper.published],
        measured={run.run_id: measured_text(run.run_origin, run.measured_by) for run in paper.runs},
        is_signed_anew=context is not None
        and context["paper"]["authors"] != clean_all(paper.authors),
    )


def _published(row: PublishedRow) -> PublishedView:
    return PublishedView(
        model=row.row.model,
        hardware=row.row.hardware,
        hours=f"{row.row.hours:,.10g}",
        energy=_without_interval(row.facility_energy_kwh),
        co2e=_without_interval(row.co2e_kg),
        source=row.row.source,
    )


def _without_interval(amount: PublishedFigure) -> FigureView:
    return figure(Figure(amount.value, None, None, amount.unit, amount.source, amount.reason))


def _rule(paper: PaperRead) -> str:
    if paper.frozen_at is not None:
        return "Its runs and their price tags are fixed."
    if paper.rule is None:
        return "It has the runs that were added, and no others."
    filters = {name: value for name, value in paper.rule.model_dump().items() if value}
    if not filters:
        return f"It collects all runs of the project {paper.project}."
    conditions = ", ".join(
        f"{name.replace('_', ' ')} {', '.join(value) if isinstance(value, list) else value}"
        for name, value in filters.items()
    )
    return f"It collects the runs of the project {paper.project} with {conditions}."


def reported(context: Content) -> Reported:
    """What a report on a paper states."""
    paper = context["paper"]
    lines = [*paper["by_purpose"], {**paper["totals"], "name": "all runs"}]
    kwh = column_unit((figure_of(line["used"]["it_energy_kwh"]).value for line in lines), "kWh")
    kg = column_unit((figure_of(line["used"]["co2e_kg"]).value for line in lines), "kg")
    sections = {section["id"]: section for section in context["sections"]}
    used = {name: figure_of(each) for name, each in paper["totals"]["used"].items()}
    return Reported(
        at=context["generated_label"],
        coverage=counted(len(paper["runs"]), "run"),
        totals=[(label, _shown(name, used[name])) for name, label in LABELS.items()],
        purposes=[_purpose(line, kwh, kg) for line in lines],
        checklist=sections["neurips"]["paragraphs"],
        verdicts=paper["curves"]["verdicts"],
        missing=[(each["name"], each["reason"]) for each in paper["not_counted"]],
    )


def _shown(name: str, amount: Figure) -> FigureView:
    return money(amount) if name == "cost" else figure(amount)


def _purpose(line: Content, kwh: tuple[str, float], kg: tuple[str, float]) -> PurposeRow:
    return PurposeRow(
        name=line["name"],
        runs=line["runs"],
        unsuccessful=line["unsuccessful"],
        energy=figure(line["used"]["it_energy_kwh"], shown=kwh),
        planned=figure(line["planned"]["it_energy_kwh"], shown=kwh),
        used_of_planned=figure(line["used_of_planned"]["it_energy_kwh"], shown=kwh),
        co2e=figure(line["used"]["co2e_kg"], shown=kg),
    )
