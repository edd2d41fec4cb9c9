"""Groups of runs as rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import get_args

from app.schemas.common import Quantity
from app.schemas.run_groups import GroupBy, RunGroup, RunGroups, Spread
from app.web.views.figures import FigureView, figure, money, unknown
from pricetag.tag.figure import Figure, figure_of
from pricetag.tag.figures import Unit, column_number, column_unit, counted, number
from pricetag.tag.figures import money as money_text
from pricetag.tag.status import status_text

TITLES: dict[GroupBy, str] = {
    "tag": "Tag",
    "experiment": "Experiment",
    "recipe": "Recipe, with its seeds",
    "seeds": "Recipe, without its seeds",
}
assert set(TITLES) == set(get_args(GroupBy))

FIGURES = {
    "duration_s": ("Duration", "s", ""),
    "it_energy_kwh": ("IT energy", "kWh", ""),
    "co2e_kg": ("Emissions", "kg", " CO2e"),
    "cost": ("Cost", "", ""),
    "score": ("Quality", "", ""),
    "kwh_per_score": ("Energy per quality", "kWh", ""),
}
"""Title, stored unit and what follows the shown unit, by figure."""

MOST_COMPARED = 50


@dataclass(frozen=True, slots=True)
class GroupCell:
    """A figure over the runs of a group.

    Attributes:
        mean: The mean.
        spread: Standard deviation between the runs, in words.
        missing: Number of runs without the figure, in words; empty if all have it.
    """

    mean: FigureView
    spread: str
    missing: str


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group of runs.

    Attributes:
        group: The group.
        runs: Number of runs, in words.
        statuses: Their final statuses, in words.
        filter: Parameter and value that select its runs; None where no filter does.
        cells: Its figures.
        compared: IDs of its runs for a comparison, separated by commas; None if too many.
    """

    group: RunGroup
    runs: str
    statuses: str
    filter: dict[str, str] | None
    cells: Sequence[GroupCell]
    compared: str | None


@dataclass(frozen=True, slots=True)
class GroupsTable:
    """Groups with the heads of their columns: title and unit."""

    title: str
    heads: Sequence[tuple[str, str]]
    rows: Sequence[GroupRow]
    notes: Sequence[str]


def table(groups: RunGroups) -> GroupsTable:
    """The table of the groups; each column has one unit."""
    units = {name: _unit(groups.items, name) for name in FIGURES}
    heads = [
        (title, f"{unit[0]}{tail}" if (unit := units[name]) else "")
        for name, (title, _, tail) in FIGURES.items()
    ]
    rows = [_row(group, groups.by, units) for group in groups.items]
    return GroupsTable(TITLES[groups.by], heads, rows, list(_notes(groups)))


def _notes(groups: RunGroups) -> list[str]:
    notes = [
        "Intervals are those of errors that the runs share (meters, factors): repeats do not "
        "narrow them. “sd” is the standard deviation between the runs."
    ]
    if not groups.is_whole:
        notes.append(f"These are the newest {counted(groups.runs, 'run')} that the filters select.")
    if groups.groups_left_out:
        notes.append(f"{counted(groups.groups_left_out, 'smaller group')} not shown.")
    return notes


def _unit(groups: Sequence[RunGroup], name: str) -> Unit | None:
    unit = FIGURES[name][1]
    if not unit:
        return None
    return column_unit([getattr(group.figures, name).mean.value for group in groups], unit)


def _row(group: RunGroup, by: GroupBy, units: dict[str, Unit | None]) -> GroupRow:
    selects: dict[str, str] | None = None
    if by == "tag" and group.key is not None:
        selects = {"tag": group.key}
    statuses = ", ".join(f"{n} {status_text(status)}" for status, n in group.runs_by_status.items())
    is_small = group.runs <= MOST_COMPARED
    return GroupRow(
        group=group,
        runs=counted(group.runs, "run"),
        statuses=statuses,
        filter=selects,
        cells=[_cell(getattr(group.figures, name), name, units[name], group) for name in FIGURES],
        compared=",".join(map(str, group.run_ids)) if is_small else None,
    )


def _cell(spread: Spread, name: str, unit: Unit | None, group: RunGroup) -> GroupCell:
    missing = f"{spread.unknown} unknown" if spread.unknown and spread.known else ""
    return GroupCell(_mean(spread, name, unit, group), _std(spread, name, unit), missing)


def _mean(spread: Spread, name: str, unit: Unit | None, group: RunGroup) -> FigureView:
    shape = _shape(spread.mean)
    if shape.value is None:
        return unknown(shape.reason)
    if name == "cost":
        return money(shape)
    shown = figure(shape, shown=unit)
    return replace(shown, unit=group.metric or "") if name == "score" else shown


def _shape(quantity: Quantity) -> Figure:
    return figure_of(quantity.model_dump())


def _std(spread: Spread, name: str, unit: Unit | None) -> str:
    if spread.std is None:
        return ""
    if name == "cost":
        return f"sd {money_text(spread.std)}"
    return f"sd {column_number(spread.std / unit[1]) if unit else number(spread.std)}"


def count(groups: RunGroups) -> str:
    """Numbers of groups and runs in words."""
    all_groups = len(groups.items) + groups.groups_left_out
    return f"{counted(groups.runs, 'run')} in {counted(all_groups, 'group')}"
