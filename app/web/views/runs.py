"""Runs as rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from app.schemas.common import Quantity
from app.schemas.runs import Headline, RunCount, RunSummary
from app.web.views.figures import FigureView, figure, measured_time, money, unknown
from app.web.views.run_columns import ALWAYS, COLUMNS, DEFAULT_COLUMNS, Column
from pricetag.tag.figure import Figure, figure_of
from pricetag.tag.figures import Unit, column_unit, difference, number
from pricetag.tag.flags import flag_name

NO_TAG = "no price tag has been issued yet"
NO_SCORE = "no score was reported"
NO_OPINION = "no other tool ran beside the meter"
OPEN = frozenset({"queued", "running"})


@dataclass(slots=True)
class Cell:
    """The cell of one column for one run.

    Attributes:
        kind: Type of the cell: that of its column.
        plain: The value that is compared with other rows'.
        text: The text; empty for none.
        figure: The figure, of a column of figures.
        moment: The time, of a column of times.
    """

    kind: str
    plain: Any
    text: str = ""
    figure: FigureView | None = None
    moment: datetime | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a column."""

    name: str
    column: Column
    unit: str


@dataclass(frozen=True, slots=True)
class Row:
    """A run with its cells, in the order of the columns."""

    run: RunSummary
    cells: Sequence[Cell]


@dataclass(frozen=True, slots=True)
class RunsTable:
    """A table of runs.

    Attributes:
        heads: The columns.
        rows: The runs.
        same: Omitted columns, with the common value of all rows.
    """

    heads: Sequence[Head]
    rows: Sequence[Row]
    same: Sequence[tuple[str, Cell]] = ()


def table(
    runs: Sequence[RunSummary],
    columns: Sequence[str] = DEFAULT_COLUMNS,
    *,
    only_differing: bool = False,
) -> RunsTable:
    """A table of some runs; each column has one unit.

    Args:
        runs: The runs, in order.
        columns: Names of the columns, in order.
        only_differing: Whether to omit columns with equal values in all rows.
    """
    units = {name: _column_unit(name, runs) for name in columns}
    cells = {name: [_cell(name, run, units[name]) for run in runs] for name in columns}
    alike = [
        name
        for name in columns
        if only_differing and len(runs) > 1 and name != ALWAYS and _are_alike(cells[name])
    ]
    shown = [name for name in columns if name not in alike]
    heads = [Head(name, COLUMNS[name], _unit_text(name, units[name])) for name in shown]
    rows = [Row(run, [cells[name][place] for name in shown]) for place, run in enumerate(runs)]
    return RunsTable(heads, rows, [(COLUMNS[name].title, cells[name][0]) for name in alike])


def _are_alike(cells: Sequence[Cell]) -> bool:
    return all(cell.plain == cells[0].plain for cell in cells)


def _column_unit(name: str, runs: Sequence[RunSummary]) -> Unit | None:
    unit = COLUMNS[name].unit
    if not unit:
        return None
    figures = [getattr(run.price_tag.figures, name) for run in runs if run.price_tag]
    return column_unit([item.value for item in figures], unit)


def _unit_text(name: str, unit: Unit | None) -> str:
    return f"{unit[0]}{COLUMNS[name].tail}" if unit else ""


def _cell(name: str, run: RunSummary, unit: Unit | None) -> Cell:
    kind = COLUMNS[name].kind
    tag = run.price_tag
    if kind == "time":
        moment = getattr(run, name)
        return Cell(kind, moment, moment=moment)
    if kind == "list":
        items = (
            run.tags if name == "tags" else [flag_name(flag) for flag in tag.flags] if tag else []
        )
        return Cell(kind, tuple(items), text=", ".join(items))
    if kind in ("figure", "money", "score"):
        shown = unknown(NO_TAG) if tag is None else _figure(name, tag, unit)
        is_open = run.status in OPEN and shown.value is not None
        shown = replace(shown, is_provisional=True) if is_open else shown
        return Cell(kind, (shown.value, shown.unit), figure=shown)
    text = _text(name, run)
    return Cell(kind, text, text=text)


def _text(name: str, run: RunSummary) -> str:
    if name == "pool":
        return run.resources.pool
    if name == "hardware":
        return (run.price_tag.hardware if run.price_tag else None) or ""
    return getattr(run, name) or ""


def _figure(name: str, tag: Headline, unit: Unit | None) -> FigureView:
    if name == "score":
        return _score(tag)
    if name == "second_opinion":
        return _opinion(tag)
    quantity: Quantity = getattr(tag.figures, name)
    if name == "duration_s":
        return measured_time(quantity.value, quantity.reason, shown=unit)
    if name == "cost":
        return money(quantity)
    return figure(quantity, shown=unit)


def shape(quantity: Quantity) -> Figure:
    """A quantity of the API as a figure."""
    return figure_of(quantity.model_dump())


def _score(tag: Headline) -> FigureView:
    score = tag.score
    if score is None:
        return unknown(NO_SCORE)
    split = f" on {score.split}" if score.split else ""
    exact = f"{score.metric}{split}: {score.value!r}, as the job reported it"
    return FigureView(score.value, number(score.value), score.metric, "", None, exact)


def _opinion(tag: Headline) -> FigureView:
    opinion = tag.second_opinion
    if opinion is None:
        return unknown(NO_OPINION)
    ratio = opinion.difference_ratio
    if ratio.value is None:
        return unknown(ratio.reason)
    has_interval = ratio.low is not None and ratio.high is not None and ratio.low != ratio.high
    ends = f"{difference(ratio.low)} to {difference(ratio.high)}" if has_interval else ""  # type: ignore[arg-type]
    basis = "of whole devices" if opinion.compared_with == "gross" else "charged"
    exact = f"{opinion.tool}: {ratio.value!r} of our energy {basis}"
    return FigureView(ratio.value, difference(ratio.value), "", ends, ratio.source, exact)


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run of a short table, with the most common columns."""

    run: RunSummary
    duration: FigureView
    energy: FigureView
    co2e: FigureView
    energy_unit: str
    co2e_unit: str


def rows(runs: Sequence[RunSummary]) -> Sequence[RunRow]:
    """The rows of a short table; each column has one unit."""
    page = table(runs, ("duration_s", "it_energy_kwh", "co2e_kg"))
    _, energy, co2e = page.heads
    units = energy.unit, co2e.unit.removesuffix(co2e.column.tail)
    return [RunRow(row.run, *_figures(row), *units) for row in page.rows]


def _figures(row: Row) -> tuple[FigureView, FigureView, FigureView]:
    time, energy, co2e = (cell.figure or unknown(None) for cell in row.cells)
    return time, energy, co2e


def count(runs: RunCount | None, noun: str = "run") -> str:
    """A number of runs in words."""
    if runs is None:
        return ""
    return f"{runs.runs:,}{'+' if runs.at_least else ''} {noun}{'' if runs.runs == 1 else 's'}"
