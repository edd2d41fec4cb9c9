"""The future of budgets on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pricetag.cli.views.budgets import PARTS, amount, share, unit_of
from pricetag.cli.views.burn_down import crossing_text
from pricetag.cli.views.quote import quote_view
from pricetag.cli.views.tables import ListTable
from pricetag.tag.figures import Unit, counted, display_unit

if TYPE_CHECKING:
    from rich.console import RenderableType

ADMISSIONS = {
    "admitted": "The run would be admitted now.",
    "too-much": "The run is expected to need more than is left.",
    "exhausted": "Nothing is left for the run.",
}


def outlook_view(items: Sequence[Mapping[str, Any]]) -> ListTable:
    """Open budgets, one per row, in the order in which they are used up."""
    heads = ("~Budget", ">Used", ">Limit", ">Expected", "+State")
    return ListTable(heads, [_row(item) for item in items])


def _row(item: Mapping[str, Any]) -> tuple[str, ...]:
    budget, expected = item["budget"], item["expected"]
    unit = unit_of(budget)
    least = "at least " if expected["unknown_runs"] else ""
    return (
        budget["name"],
        share(budget["used_ratio"]),
        amount(budget["limit"], unit),
        least + amount(expected["value"], unit),
        _state(item),
    )


def _state(item: Mapping[str, Any]) -> str:
    budget = item["budget"]
    if budget["spent"] + budget["running"] >= budget["limit"]:
        return "used up"
    return crossing_text(item["crossing"])


def what_if_lines(change: Mapping[str, Any]) -> Iterator[str | RenderableType]:
    """A budget without and with a change, then the quote of the added run."""
    burn = change["burn_down"]
    unit = display_unit(burn["limit"] or max(burn[part] for part in PARTS), burn["unit"])
    yield f"{burn['name']}  {burn['budget_id']}"
    yield f"  limit {amount(burn['limit'], unit)}"
    yield f"  without this change: {_expected(change['before'], unit)}"
    yield f"    {crossing_text(change['before_crossing'])}"
    yield f"  with this change: {_expected(burn['expected'], unit)}"
    yield f"    {crossing_text(burn['crossing'])}"
    if change["quote"] is None:
        return
    if change["admission"] is None:
        yield "The run would not be charged to this budget."
    else:
        yield ADMISSIONS[change["admission"]]
        if change["admission"] != "admitted":
            yield "A budget that rejects runs would reject it; others would warn."
    yield quote_view(change["quote"])


def _expected(expected: Mapping[str, Any], unit: Unit) -> str:
    low, value, high = (amount(expected[name], unit) for name in ("low", "value", "high"))
    runs = counted(expected["open_runs"], "open run")
    text = f"{value} ({low} to {high}) expected after {runs}"
    if expected["unknown_runs"]:
        text = f"at least {text}, without {expected['unknown_runs']} with unknown use or end"
    return text
