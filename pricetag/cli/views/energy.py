"""The lab's account on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pricetag.cli.views.tables import Figures, FittedTable
from pricetag.tag.figures import (
    column_number,
    column_unit,
    counted,
    quantity_text,
    ratio_text,
    with_unit,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

COLUMNS = {
    "total_kwh": "Used",
    "charged_kwh": "Charged",
    "running_kwh": "Running",
    "unallocated_kwh": "Unallocated",
    "undecided_kwh": "Undecided",
}
PASSING = ("running_kwh", "undecided_kwh")
"""Columns shown only if some of their figures are not zero."""

HEADS = {
    "node": "Node",
    "component": "Component",
    "site": "Site",
    "project": "Project",
    "user": "User",
    "hour": "Hour (UTC)",
    "day": "Day (UTC)",
    "month": "Month (UTC)",
}
NOBODY = {"project": "(no project)", "user": "(no run)", "site": "(no site)"}
REMARKS = {
    "node_not_metered": "In some hours, a node's own meter did not run all the time: its use "
    "outside runs is unknown.",
    "node_total_awaited": "A node has not reported its total for the current hour yet (it arrives "
    "up to a minute late): its use outside runs is unknown until then.",
    "runs_open": "Some runs are in progress: their charges, and the unallocated energy of their "
    "hours, are provisional until they end.",
}


def energy_view(account: Mapping[str, Any]) -> RenderableType:
    """The lab's energy, and the part of each node, component, project or hour."""
    from rich.console import Group
    from rich.text import Text

    total, items = account["total"], account["items"]
    where = f" on {account['node']}" if account["node"] else ""
    parts: list[RenderableType] = [
        Text(f"{_hour(account['from'])} to {_hour(account['to'])} UTC{where}", style="dim"),
        _totals(total),
    ]
    if items:
        parts += [Text(""), _table(account["by"], items)]
    parts += [Text(line) for line in _further(account)]
    parts += [Text(line, style="yellow") for line in _remarks(total)]
    return Group(*parts)


def _further(account: Mapping[str, Any]) -> Iterator[str]:
    """The change from the previous period, and failed work, if requested."""
    if (change := account.get("change")) is not None:
        before = account["before"]
        yield f"Compared with {_hour(before['from'])} to {_hour(before['to'])} UTC:"
        for name, difference in change.items():
            yield f"  {COLUMNS[name]}: {_change(difference)}"
    if (failed := account.get("failed")) is not None:
        yield from _failed(failed)


def _failed(failed: Mapping[str, Any]) -> Iterator[str]:
    """Failed work: all figures in one unit, so that they can be compared."""
    every = [failed, *failed["items"]]
    unit = column_unit((group["it_energy_kwh"] for group in every), "kWh")

    def text(group: Mapping[str, Any], between: str) -> str:
        share = "n/a" if group["share_ratio"] is None else ratio_text(group["share_ratio"])
        return f"{column_number(group['it_energy_kwh'] / unit[1])} {unit[0]}{between}{share}"

    attempts = counted(failed["attempts"], "attempt")
    yield f"Failed work: {text(failed, f' in {attempts}, ')} of the energy of all ended attempts"
    for item in failed["items"]:
        yield f"  {item['name']}: {text(item, ', ')}"


def _change(change: Mapping[str, Any]) -> str:
    if change["difference_kwh"] is None:
        return "unknown"
    if not change["is_larger_than_error"]:
        return "no difference that these measurements could show"
    value, low, high = (
        f"{'+' if change[name] > 0 else ''}{with_unit(change[name], 'kWh')}"
        for name in ("difference_kwh", "low", "high")
    )
    return f"{value} ({low} to {high})"


def _totals(total: Mapping[str, Any]) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    shown = column_unit((total[name]["value"] for name in COLUMNS), "kWh")
    for name, label in COLUMNS.items():
        if name not in PASSING or total[name]["value"]:
            table.add_row(Text(label, style="dim"), Text(quantity_text(total[name], shown)))
    return table


def _table(by: str, items: Sequence[Mapping[str, Any]]) -> FittedTable:
    columns = []
    # One unit for the whole table, so that the parts of a row can be added up.
    every = (item[name]["value"] for item in items for name in COLUMNS)
    unit, size = column_unit(every, "kWh")
    for name, label in COLUMNS.items():
        values = [item[name]["value"] for item in items]
        if name in PASSING and not any(values):
            continue
        cells = ["n/a" if value is None else column_number(value / size) for value in values]
        columns.append(Figures(f"{label}\n{unit}", cells))
    return FittedTable(HEADS[by], [_name(by, item) for item in items], columns)


def _name(by: str, item: Mapping[str, Any]) -> str:
    if by == "component":
        return f"{item['node']} {item['component']} ({item['name']})"
    if by == "hour":
        return _hour(item["hour"])
    name = item[by]
    return NOBODY[by] if name is None else str(name)


def _hour(text: str) -> str:
    return text[:16].replace("T", " ")


def _remarks(total: Mapping[str, Any]) -> Iterator[str]:
    if total["overallocated_kwh"] > 0:
        over = with_unit(total["overallocated_kwh"], "kWh")
        yield f"Runs were charged {over} more than their devices used: see --by component."
    for flag, remark in REMARKS.items():
        if flag in total["flags"]:
            yield remark
