"""Filters of a list of runs: in the page's address, for `curl` and for the command line."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

PLACE = ("cursor", "limit")
"""Parameters that say where on the list the page is, and not which list."""

OPTIONS = {
    "project": "--project",
    "experiment": "--experiment",
    "user": "--user",
    "tag": "--tag",
    "status": "--status",
    "kind": "--kind",
    "q": "--search",
    "sort": "--sort",
}
"""Options of `pricetag runs` by parameter."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What the page's form holds.

    Attributes:
        values: ``(parameter, value)`` of each filter that is set.
        count: Number of filters, without the order.
        curl: The same request to the API.
        command: The same on the command line; None if it has no such filter.
    """

    values: Sequence[tuple[str, str]]
    count: int
    curl: str
    command: str | None

    def get(self, name: str) -> str:
        """The value of a filter; empty without one."""
        return next((value for key, value in self.values if key == name), "")

    def all(self, name: str) -> list[str]:
        """The values of a repeatable filter."""
        return [value for key, value in self.values if key == name]

    def query(self, **changes: str | int | None) -> dict[str, list[str]]:
        """The parameters of a link to this list, changed."""
        kept: dict[str, list[str]] = {}
        for name, value in self.values:
            kept.setdefault(name, []).append(value)
        for name, change in changes.items():
            kept.pop(name, None)
            if change is not None:
                kept[name] = [str(change)]
        return kept


def filters(query: Iterable[tuple[str, str]]) -> Filters:
    """The filters of a page's address.

    Args:
        query: Its parameters, of which empty ones are of fields that nobody filled in.
    """
    values = [(name, value) for name, value in query if value and name not in PLACE]
    address = "$PRICETAG_URL/v1/runs" + (f"?{urlencode(values)}" if values else "")
    options = [f"{OPTIONS[name]}={value}" for name, value in values if name in OPTIONS]
    is_whole = len(options) == len(values)
    return Filters(
        values=values,
        count=sum(name != "sort" for name, _ in values),
        curl=f'curl -H "Authorization: Bearer $PRICETAG_TOKEN" "{address}"',
        command=shlex.join(["pricetag", "runs", *options]) if is_whole else None,
    )
