"""The energy account: totals with their change, the chart over time, and its parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.charts import energy as charts
from app.charts.chart import LAB, Chart
from app.schemas.common import Quantity
from app.schemas.energy import EnergyOverTime
from app.web.views.figures import FigureView, figure, is_legible, shared_units
from pricetag.tag.figure import Figure
from pricetag.tag.figures import Unit, column_number, column_unit, counted, ratio_text

BY_TITLES = {
    "use": "Use",
    "node": "Node",
    "component": "Component",
    "site": "Site",
    "project": "Project",
    "user": "User",
}
GRAINS = {"": "Automatic", "hour": "an hour", "day": "a day", "month": "a month"}
NO_DIFFERENCE = "no difference that these measurements could show"
NO_BEFORE = "the previous period is unknown"
NO_SITE = "(no site)"
NOBODY = {"project": "(no project)", "user": "(no run)", "site": NO_SITE}
REMARKS = {
    "node_not_metered": "In some hours, a node's own meter did not run all the time: its "
    "use outside runs is unknown.",
    "node_total_awaited": "A node has not reported its total for the current hour yet: "
    "its use outside runs is unknown until then.",
    "runs_open": "Some runs are in progress: their charges, and the unallocated energy of their "
    "hours, are provisional until they end.",
}
TOTALS = {
    "total_kwh": "Used",
    "charged_kwh": "Charged to runs",
    "unallocated_kwh": "Unallocated",
    "running_kwh": "Running runs",
    "undecided_kwh": "Undecided",
}
PASSING = ("running_kwh", "undecided_kwh")
IDLE = ("unallocated", "(not charged to runs)")
OWNED = ("total_kwh", "charged_kwh", "running_kwh")
"""Energies of a project or user; the rest of the energy belongs to nodes."""


@dataclass(frozen=True, slots=True)
class ChangeView:
    """A change against the period before.

    Attributes:
        text: In words.
        interval: Its interval.
        exact: Unrounded.
    """

    text: str
    interval: str = ""
    exact: str = ""


@dataclass(frozen=True, slots=True)
class Tile:
    """A total with its change."""

    title: str
    figure: FigureView
    change: ChangeView | None


@dataclass(frozen=True, slots=True)
class ItemRow:
    """A node, component, site, project or user."""

    name: str
    about: str
    figures: Mapping[str, FigureView]
    share_ratio: float
    share_text: str
    failed: FigureView | None
    failed_text: str


@dataclass(frozen=True, slots=True)
class AccountView:
    """The account: totals, items, failed work."""

    tiles: Sequence[Tile]
    before_text: str
    columns: Sequence[tuple[str, str]]
    unit: str
    items: Sequence[ItemRow]
    failed: FigureView
    failed_text: str
    has_owners: bool
    remarks: Sequence[str]


def change(
    difference: Mapping[str, Any] | None, unit: str = "kWh", shown: Unit | None = None
) -> ChangeView:
    """A change in words: with its sign and interval, or that none could be shown.

    Args:
        difference: The change.
        unit: Its stored unit.
        shown: The unit of the figures beside it, which is used where the change is legible in it.
    """
    if difference is None or difference["difference_kwh"] is None:
        return ChangeView(NO_BEFORE)
    if not difference["is_larger_than_error"]:
        return ChangeView(NO_DIFFERENCE)
    value, low, high = (difference[name] for name in ("difference_kwh", "low", "high"))
    name, size = shown if shown and is_legible([value], shown) else column_unit([value], unit)
    text, least, most = (_signed(end / size) for end in (value, low, high))
    return ChangeView(f"{text} {name}", f"{least} to {most}", f"{value!r} {unit}")


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else ''}{column_number(value)}"


def account(read: Mapping[str, Any], now: datetime) -> AccountView:
    """The view of an account as the API returns it, with the period before and failed work.

    Args:
        read: The account.
        now: The present time: the energy of this hour is not all in yet.
    """
    is_now = datetime.fromisoformat(read["to"]) > now
    total, items, by = read["total"], read["items"], str(read["by"])
    before, changed, failed = read["before"], read["change"] or {}, read["failed"]
    names = [
        name for name in TOTALS if name not in PASSING or total[name]["value"] not in (None, 0.0)
    ]
    has_owners = by in ("project", "user")
    shown = [name for name in names if not has_owners or name in OWNED]
    unit, column, of_lost = shared_units(
        (total[name]["value"] for name in names),
        (item[name]["value"] for item in items for name in shown),
        (work["it_energy_kwh"] for work in [failed, *failed["items"]]),
        unit="kWh",
    )
    tiles = [
        Tile(
            TOTALS[name],
            _part(total[name], unit, provisional=_is_provisional(name, total, is_now)),
            change(changed[name], shown=unit) if name in changed else None,
        )
        for name in names
    ]
    total_kwh = total["total_kwh"]["value"]
    lost_by = {item["name"]: item for item in failed["items"]}
    return AccountView(
        tiles=tiles,
        before_text=f"{_hour(before['from'])} to {_hour(before['to'])} UTC",
        columns=[(name, TOTALS[name]) for name in shown],
        unit=column[0],
        items=[
            _item(by, item, shown, column, total_kwh, lost_by.get(item.get(by)), of_lost, is_now)
            for item in sorted(items, key=_size)
        ],
        failed=lost(failed, of_lost),
        failed_text=lost_share(failed),
        has_owners=has_owners,
        remarks=_remarks(total),
    )


def _size(item: Mapping[str, Any]) -> float:
    """Largest first; unknown values come last."""
    return -(item["total_kwh"]["value"] or 0.0)


def _is_provisional(name: str, total: Mapping[str, Any], is_now: bool) -> bool:
    """Whether a part may still change: all parts in this hour, and charges of open runs."""
    if not total[name]["value"]:
        return False
    by_runs = name in ("charged_kwh", "unallocated_kwh") and "runs_open" in total["flags"]
    return is_now or name in PASSING or by_runs


def _part(quantity: Mapping[str, Any], unit: Unit, *, provisional: bool = False) -> FigureView:
    return figure(quantity, shown=unit, provisional=provisional)


def _item(
    by: str,
    item: Mapping[str, Any],
    names: Sequence[str],
    unit: Unit,
    total_kwh: float | None,
    failed: Mapping[str, Any] | None,
    of_failed: Unit,
    is_now: bool,
) -> ItemRow:
    value = item["total_kwh"]["value"]
    ratio = value / total_kwh if value and total_kwh else 0.0
    return ItemRow(
        name=_name(by, item),
        about=str(item.get("name") or ""),
        figures={
            name: _part(item[name], unit, provisional=_is_provisional(name, item, is_now))
            for name in names
        },
        share_ratio=min(max(ratio, 0.0), 1.0),
        share_text=ratio_text(ratio),
        failed=None if failed is None else lost(failed, of_failed),
        failed_text="" if failed is None else lost_share(failed),
    )


def _name(by: str, item: Mapping[str, Any]) -> str:
    if by == "component":
        return f"{item['node']} {item['component']}"
    name = item[by]
    return NOBODY.get(by, "unknown") if name is None else str(name)


def lost(failed: Mapping[str, Any], unit: Unit | None = None) -> FigureView:
    """Energy of failed work; a lower bound if that of some attempts is unknown."""
    missing = counted(failed["unknown_attempts"], "ended attempt")
    reason = f"at least: the energy of {missing} is unknown" if failed["unknown_attempts"] else None
    return figure(
        Figure(failed["it_energy_kwh"], None, None, "kWh", failed["source"], reason), shown=unit
    )


def lost_share(failed: Mapping[str, Any]) -> str:
    """Its share in words; unknown where the energy of an attempt is."""
    return "n/a" if failed["share_ratio"] is None else ratio_text(failed["share_ratio"])


def _hour(text: Any) -> str:
    return str(text)[:16].replace("T", " ")


def _remarks(total: Mapping[str, Any]) -> list[str]:
    remarks = []
    if total["overallocated_kwh"] > 0:
        over = figure(Figure(total["overallocated_kwh"], None, None, "kWh", None))
        remarks.append(f"Runs were charged {over.text} {over.unit} more than their devices used.")
    return [*remarks, *(remark for flag, remark in REMARKS.items() if flag in total["flags"])]


def over_time(read: EnergyOverTime, charged: frozenset[str]) -> Chart | None:
    """The chart of an account over time, stacked by group; None where nothing was metered.

    Args:
        read: The account.
        charged: Projects that the reader may see whose runs were charged energy.
    """
    if not read.buckets:
        return None
    unit = column_unit((bucket.total_kwh.value for bucket in read.buckets), "kWh")
    groups = [group.name for group in read.groups]
    parts = [
        part(bucket.start, read.grain, name, quantity, unit)
        for bucket in read.buckets
        for name, quantity in zip(groups, bucket.parts_kwh, strict=True)
        if quantity.value
    ]
    labels = [label(bucket.start, read.grain) for bucket in read.buckets]
    return charts.stacked(
        parts,
        groups,
        measure="IT energy",
        unit=unit[0],
        title=f"Energy by {read.grain}",
        summary=_summary(read, labels, unit),
        projects=charged if read.by in ("project", "user") else LAB,
        idle=next((name for name in groups if name in IDLE), None),
    )


def part(start: datetime, grain: str, group: str, quantity: Quantity, unit: Unit) -> charts.Part:
    """A part of a bar, in the unit of the chart."""
    _, size = unit
    ends = (quantity.value, quantity.low, quantity.high)
    value, low, high = (None if end is None else end / size for end in ends)
    return charts.Part(start, after(start, grain), group, value or 0.0, low, high)


def after(start: datetime, grain: str) -> datetime:
    """The end of an hour, day or month (UTC)."""
    if grain == "month":
        return (start + timedelta(days=32)).replace(day=1)
    return start + (timedelta(hours=1) if grain == "hour" else timedelta(days=1))


def label(start: datetime, grain: str) -> str:
    """The name of an hour, day or month (UTC)."""
    pattern = {"hour": "%m-%d %H:%M", "day": "%Y-%m-%d", "month": "%Y-%m"}[grain]
    return start.strftime(pattern)


def _summary(read: EnergyOverTime, labels: Sequence[str], unit: Unit) -> str:
    totals = [
        (bucket.total_kwh.value, at)
        for bucket, at in zip(read.buckets, labels, strict=True)
        if bucket.total_kwh.value is not None
    ]
    if not totals:
        return "Nothing was metered in this time."
    name, size = unit
    most, least = max(totals), min(totals)
    amount = f"{column_number(most[0] / size)} {name}"
    text = f"The {read.grain} with the most energy is {most[1]}, {amount}"
    if len(totals) > 1:
        text += f", the one with the least {least[1]}, {column_number(least[0] / size)} {name}"
    sums = [
        (sum(bucket.parts_kwh[number].value or 0.0 for bucket in read.buckets), group.name)
        for number, group in enumerate(read.groups)
    ]
    sum_kwh = sum(value for value, _ in totals)
    if sums and sum_kwh > 0:
        largest = max(sums)
        text += f"; {largest[1]}: {ratio_text(largest[0] / sum_kwh)} of all"
    return f"{text}."
