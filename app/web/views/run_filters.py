"""Filters of a list of runs: in the page's address, for `curl` and for the command line."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlencode

PLACE = ("cursor", "start_at", "since", "column", "move")
"""Parameters of the position in the list, not of its content."""

ONLY_HERE = ("columns", "differ", "by", "view", "limit")
"""Parameters of the presentation of the list, not of its content."""

OPTIONS = {
    "project": "--project",
    "experiment": "--experiment",
    "user": "--user",
    "tag": "--tag",
    "status": "--status",
    "kind": "--kind",
    "origin": "--origin",
    "q": "--search",
    "sort": "--sort",
}
"""Options of `pricetag runs` by parameter."""

LONGEST_LINK = 1_500
"""Length of an address above which a stored link replaces it, in characters."""

WORDS = {
    "project": "Project",
    "experiment": "Experiment",
    "user": "User",
    "tag": "Tag",
    "status": "Status",
    "kind": "Stage kind",
    "origin": "Measured by",
    "q": "Name or tag",
    "created_after": "Submitted after",
    "created_before": "Submitted before",
    "finished_after": "Finished after",
    "finished_before": "Finished before",
    "sort": "Order",
    "start_at": "Go to",
    "limit": "Rows",
    "by": "Group by",
    "cursor": "Page",
    "view": "View",
    "columns": "Columns",
}
"""Labels of the fields."""

ORDERS = {
    "-created_at": "Newest first",
    "created_at": "Oldest first",
    "-finished_at": "Last finished first",
    "finished_at": "First finished first",
    "name": "Name, A to Z",
    "-name": "Name, Z to A",
    "-cost": "Most expensive first",
    "cost": "Cheapest first",
    "-it_energy_kwh": "Most energy first",
    "it_energy_kwh": "Least energy first",
}
"""Orders of the list, as the form offers them."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Content of the page's form.

    Attributes:
        values: ``(parameter, value)`` of everything that is set, without the position in the list.
        view: The stored view that the address names; its values are among `values`.
        problems: Errors by parameter.
    """

    values: Sequence[tuple[str, str]]
    view: str | None = None
    problems: Mapping[str, str] = field(default_factory=dict)

    @property
    def curl(self) -> str:
        """The same request to the API."""
        address = f"$PRICETAG_URL/v1/runs{self.api_query}"
        return f'curl -H "Authorization: Bearer $PRICETAG_TOKEN" "{address}"'

    @property
    def command(self) -> str | None:
        """The same on the command line; None if it has no such filter."""
        options = [f"{OPTIONS[name]}={value}" for name, value in self.selecting if name in OPTIONS]
        is_whole = len(options) == len(self.selecting)
        return shlex.join(["pricetag", "runs", *options]) if is_whole else None

    @property
    def selecting(self) -> Sequence[tuple[str, str]]:
        """The parameters of the API's list: filters and order."""
        return [(name, value) for name, value in self.values if name not in ONLY_HERE]

    @property
    def count(self) -> int:
        """Number of filters, without the order."""
        return sum(name != "sort" for name, _ in self.selecting)

    @property
    def text(self) -> str:
        """The address's query, to be stored."""
        return urlencode(self.hidden())

    @property
    def is_long(self) -> bool:
        """Whether the address is too long to share."""
        return self.view is None and len(urlencode(self.values)) > LONGEST_LINK

    def get(self, name: str) -> str:
        """The value of a filter; empty without one."""
        return next((value for key, value in self.values if key == name), "")

    def all(self, name: str) -> list[str]:
        """The values of a repeatable filter."""
        return [value for key, value in self.values if key == name]

    def query(self, **changes: str | int | datetime | None) -> dict[str, list[str]]:
        """The parameters of a link to this list, changed."""
        values = self.values if self.view is None else [("view", self.view)]
        parameters: dict[str, list[str]] = {}
        for name, value in values:
            parameters.setdefault(name, []).append(value)
        for name, change in changes.items():
            parameters.pop(name, None)
            if change is not None:
                parameters[name] = [str(change)]
        return parameters

    def hidden(self, *without: str) -> list[tuple[str, str]]:
        """Hidden fields of a form that keep the rest of the address."""
        return [(name, value) for name, value in self.values if name not in (*without, "view")]

    @property
    def api_query(self) -> str:
        """The query of the API's list, with its question mark; empty without one."""
        return f"?{urlencode(self.selecting)}" if self.selecting else ""


def filters(
    query: Iterable[tuple[str, str]],
    *,
    view: str | None = None,
    problems: Mapping[str, str] | None = None,
) -> Filters:
    """The filters of a page's address.

    Args:
        query: Its parameters, of which empty ones are of fields that nobody filled in.
        view: The stored view that the address names.
        problems: Errors by parameter.
    """
    values = [(name, value) for name, value in query if value and name not in PLACE]
    return Filters(values, view, problems or {})
