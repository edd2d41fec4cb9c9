"""The burn-down of a budget on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pricetag.cli.views.budgets import PARTS, amount, share
from pricetag.tag.figures import counted, display_unit

MOST_PARTS = 10


def burn_down_lines(state: Mapping[str, Any]) -> Iterator[str]:
    """Lines about past and expected use, when the limit is reached, and the use by user."""
    unit = display_unit(state["limit"] or max(state[part] for part in PARTS), state["unit"])
    yield f"{state['name']}  {state['budget_id']}"
    for part in PARTS:
        yield f"  {part:<9}{amount(state[part], unit):>16}"
    expected = state["expected"]
    if expected["open_runs"]:
        low, value, high = (amount(expected[name], unit) for name in ("low", "value", "high"))
        runs = counted(expected["open_runs"], "open run")
        yield f"  expected after {runs}: {value} ({low} to {high})"
    if expected["unknown_runs"]:
        unknown = counted(expected["unknown_runs"], "open run")
        yield f"  {unknown} with unknown use or end, not in this figure"
    yield f"  {crossing_text(state['crossing'])}"
    yield f"  by {state['by']}:" if state["parts"] else "  nothing was spent in this period"
    for part in state["parts"][:MOST_PARTS]:
        name = "(unknown)" if part["name"] is None else part["name"]
        yield f"    {amount(part['spent'], unit):>16}  {share(part['share_ratio']):>6}  {name}"
    if len(state["parts"]) > MOST_PARTS:
        yield f"    and {len(state['parts']) - MOST_PARTS} more: --json has them"


def crossing_text(crossing: Mapping[str, Any]) -> str:
    """When open runs reach the limit of a budget, in words."""
    if crossing["low"] is None:
        return f"limit not reached: {crossing['reason']}"
    low, at, high = (crossing[name] for name in ("low", "at", "high"))
    if at is None:
        return f"limit reached at {_minute(low)} at the earliest ({crossing['reason']})"
    until = "perhaps not at all" if high is None else f"to {_minute(high)}"
    return f"limit reached about {_minute(at)} UTC ({_minute(low)} {until})"


def _minute(text: str) -> str:
    return str(text)[:16].replace("T", " ")
