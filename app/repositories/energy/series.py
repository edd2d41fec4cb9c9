"""What rows of the roll-ups are about, and in which sums of several series a series is counted."""

from __future__ import annotations

from typing import Literal, NamedTuple

from app.repositories.energy.judging import PRODUCT

Scope = Literal[
    "component", "lab", "site", "node", "charge", "lab-charge", "project", "user", "charges"
]

OWN_KEY = ("node_name", "component", "site", "project_id", "user_id")
KEY = ("scope", *OWN_KEY, *PRODUCT)
"""Columns that name a series."""


class Parent(NamedTuple):
    """A series in which others are added up.

    Attributes:
        scope: Its scope.
        of: The columns of its key that it has in common with these.
    """

    scope: Scope
    of: tuple[str, ...]


PARENTS: dict[Scope, tuple[Parent, ...]] = {
    "component": (Parent("lab", ()), Parent("site", ("site",)), Parent("node", ("node_name",))),
    # The first is not kept by hour: it would have nearly as many rows as the charges themselves.
    "charge": (
        Parent("lab-charge", ("project_id", "user_id")),
        Parent("project", ("project_id",)),
        Parent("user", ("user_id",)),
        Parent("charges", ()),
    ),
}
"""By the scope of the hours that folding writes."""

BY_DAY: Scope = "lab-charge"
"""The scope of which days and months are kept, and no hours."""

SUMMED = tuple(parent.scope for parents in PARENTS.values() for parent in parents)

_SHARED = ("node_name", "site", "project_id", "user_id")
_KINDS = ", ".join(
    f"('{child}', {place}, '{parent.scope}', "
    + ", ".join(str(name in parent.of).lower() for name in _SHARED)
    + ")"
    for child, parents in PARENTS.items()
    for place, parent in enumerate(parents, 1)
)
_NAMES = ", ".join(f"of_{name}" for name in _SHARED)

PARENT_KINDS = f"(VALUES {_KINDS}) AS p (child, place, parent_scope, {_NAMES})"
"""A row for each scope and each of its parents, in order."""


def parent_key(own: str) -> str:
    """The key of a parent ``p`` of a row, beside its scope and product."""
    kinds = {"project_id": "uuid", "user_id": "uuid"}
    columns = [
        f"CASE WHEN p.of_{name} THEN {own}.{name} END AS parent_{name}"
        if name in _SHARED
        else f"CAST(NULL AS {kinds.get(name, 'text')}) AS parent_{name}"
        for name in OWN_KEY
    ]
    return ", ".join(columns)


def summed_in(series: str, level: str) -> str:
    """The array of the series in which the hours, days or months of one are added up."""
    if level != "hour":
        return f"{series}.parents"
    return f"CASE {series}.scope WHEN 'charge' THEN {series}.parents[2:] ELSE {series}.parents END"
