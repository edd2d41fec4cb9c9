"""Columns of the table of runs: their content and their sort order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["status", "name", "text", "time", "figure", "score", "money", "list"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    Attributes:
        title: Its head.
        kind: Type of its cells.
        unit: Stored unit of its figures, which all have one shown unit; empty for others.
        sort: Order of the API by this column, ascending; None without one.
        tail: Text of the head after the unit.
    """

    title: str
    kind: Kind
    unit: str = ""
    sort: str | None = None
    tail: str = ""

    @property
    def is_number(self) -> bool:
        """Whether its cells are numbers, which end at the same place."""
        return self.kind in ("figure", "score", "money")


COLUMNS = {
    "status": Column("Status", "status"),
    "name": Column("Run", "name", sort="name"),
    "project": Column("Project", "text"),
    "experiment": Column("Experiment", "text"),
    "user": Column("User", "text"),
    "created_at": Column("Submitted", "time", sort="created_at"),
    "started_at": Column("Started", "time"),
    "finished_at": Column("Finished", "time", sort="finished_at"),
    "duration_s": Column("Duration", "figure", "s"),
    "it_energy_kwh": Column("IT energy", "figure", "kWh", sort="it_energy_kwh"),
    "facility_energy_kwh": Column("Facility energy", "figure", "kWh"),
    "co2e_kg": Column("Emissions", "figure", "kg", tail=" CO2e"),
    "co2e_market_kg": Column("Emissions, market", "figure", "kg", tail=" CO2e"),
    "cost": Column("Cost", "money", sort="cost"),
    "score": Column("Quality", "score"),
    "kwh_per_score": Column("Energy per quality", "figure", "kWh"),
    "flops_dense": Column("Operations", "figure", "FLOP"),
    "hardware": Column("Hardware", "text"),
    "pool": Column("Pool", "text"),
    "kind": Column("Stages", "text"),
    "origin": Column("Origin", "text"),
    "measured_by": Column("Measured by, says its sender", "text"),
    "tags": Column("Tags", "list"),
    "flags": Column("Flags", "list"),
    "second_opinion": Column("Second opinion", "figure"),
}
"""All columns, by the name that the address has."""

DEFAULT_COLUMNS = (
    *("name", "it_energy_kwh", "status", "co2e_kg", "cost", "score"),
    *("duration_s", "project", "user", "created_at", "hardware"),
)
"""The name and the energy come first: a narrow screen shows no more at once."""

ALWAYS = "name"
"""The column that names the row; it is always shown."""


def chosen(ticked: Sequence[str], move: str | None) -> Sequence[str]:
    """The columns of a form, in order, with one of them moved.

    Args:
        ticked: Columns as the form lists them; unknown ones are skipped.
        move: ``NAME:up`` or ``NAME:down``.
    """
    names = list(dict.fromkeys(name for name in ticked if name in COLUMNS))
    if ALWAYS not in names:
        names.insert(0, ALWAYS)
    name, _, direction = (move or "").partition(":")
    if name in names and direction in ("up", "down"):
        place = names.index(name)
        other = place + (-1 if direction == "up" else 1)
        if 0 <= other < len(names):
            names[place], names[other] = names[other], names[place]
    return tuple(names)


@dataclass(frozen=True, slots=True)
class Choice:
    """A column in the form that chooses them."""

    name: str
    title: str
    is_shown: bool


def choices(shown: Sequence[str]) -> Sequence[Choice]:
    """All columns: those shown in their order, then the others."""
    others = [name for name in COLUMNS if name not in shown]
    return [Choice(name, COLUMNS[name].title, name in shown) for name in (*shown, *others)]
