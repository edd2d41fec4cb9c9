"""Budgets and the audit log on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pricetag.cli.views.tables import ListTable
from pricetag.tag.figures import Unit, column_number, counted, display_unit, money, ratio_text

PARTS = ("limit", "spent", "running", "reserved", "left")
METRICS = {"facility_energy_kwh": "energy", "co2e_kg": "emissions", "cost": "cost"}
CENT = 0.01
NOTES = {
    "spent": "by attempts that have ended",
    "running": "by running attempts so far",
    "reserved": "for queued and running runs",
}


def unit_of(budget: Mapping[str, Any]) -> Unit:
    """The common unit of all figures of a budget, so that they can be compared."""
    largest = max((budget[part] for part in PARTS), key=abs)
    return display_unit(budget["limit"] or largest, budget["unit"])


def amount(value: float, unit: Unit) -> str:
    """A figure of a budget in its unit."""
    name, size = unit
    is_currency = name.isupper()  # an ISO 4217 code; kWh, t and the like are not in capitals
    write = money if is_currency and not 0 < abs(value) < CENT else column_number
    return f"{write(value / size)} {name}"


def scope_of(budget: Mapping[str, Any]) -> str:
    """The scope of a budget."""
    if budget["scope"] == "experiment":
        return f"experiment {budget['project']} / {budget['experiment']}"
    named = budget["project"] or budget["user"]
    return f"{budget['scope']} {named}" if named else "the lab"


def share(ratio: float | None) -> str:
    """Used over the limit: in percent, or how many times the limit."""
    return "" if ratio is None else ratio_text(ratio)


def period_of(budget: Mapping[str, Any]) -> str:
    """Beginning and end of its period in its time zone."""
    if budget["period_end"] is None:
        return "total"
    start, end = (_minute(budget[f"period_{edge}"], budget) for edge in ("start", "end"))
    return f"{budget['period']} {start.rpartition(' ')[0]} to {end}"


def _minute(moment: str, budget: Mapping[str, Any] | None = None) -> str:
    """A time in the budget's time zone, or else in UTC."""
    at = datetime.fromisoformat(str(moment).replace("Z", "+00:00"))
    zone = str((budget or {}).get("time_zone", "UTC"))
    try:
        local = at.astimezone(ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError):  # a zone that this machine does not know
        local, zone = at.astimezone(UTC), "UTC"
    return f"{local:%Y-%m-%d %H:%M} {zone}"


def budget_lines(budget: Mapping[str, Any]) -> Iterator[str]:
    """A budget and its state, line by line."""
    unit = unit_of(budget)
    closed = f", closed {_minute(budget['closed_at'], budget)}" if budget["closed_at"] else ""
    yield f"{budget['name']}  {budget['id']}"
    yield f"{METRICS[budget['metric']]} of {scope_of(budget)}, {period_of(budget)}{closed}"
    for part in PARTS:
        note = f"  {NOTES[part]}" if part in NOTES else ""
        yield f"  {part:<9}{amount(budget[part], unit):>16}{note}"
    if budget["used_ratio"] is not None:
        yield f"  {'used':<9}{share(budget['used_ratio']):>16}"
    for source, used in budget["by_source"].items():
        yield f"  of the amount spent, {amount(used, unit)} is {source}"
    if budget["unknown_runs"]:
        unknown = counted(budget["unknown_runs"], "run")
        yield f"  {unknown} with unknown use, not included in these figures"
    for alert in budget["alerts"]:
        yield f"  warned at {share(alert['threshold_ratio'])} on {_minute(alert['at'], budget)}"
    does = [word for word, is_so in _manners(budget) if is_so]
    yield f"  {' and '.join(does) if does else 'only warns'}"


def _manners(budget: Mapping[str, Any]) -> list[tuple[str, bool]]:
    refuses = ("rejects runs that would exceed it", bool(budget["refuses"]))
    return [refuses, ("stops running jobs when it is used up", bool(budget["stops"]))]


def budgets_view(budgets: Sequence[Mapping[str, Any]]) -> ListTable:
    """A list of budgets, one per row."""
    heads = ("~Budget", "~Covers", "Period", ">Limit", ">Left", ">Used")
    rows = [
        (
            budget["name"],
            f"{METRICS[budget['metric']]} of {scope_of(budget)}",
            "closed" if budget["closed_at"] else _repeats(budget),
            amount(budget["limit"], unit_of(budget)),
            amount(budget["left"], unit_of(budget)),
            share(budget["used_ratio"]),
        )
        for budget in budgets
    ]
    return ListTable(heads, rows)


def _repeats(budget: Mapping[str, Any]) -> str:
    """``month, Europe/Berlin``: periods begin at midnight there."""
    period = str(budget["period"])
    return period if period == "total" else f"{period}, {budget['time_zone']}"


def alert_line(alert: Mapping[str, Any]) -> str:
    """A threshold that was crossed, in one line."""
    used = amount(alert["used"], display_unit(alert["used"], alert["unit"]))
    at = share(alert["threshold_ratio"])
    return f"{_minute(alert['at'], alert)}  {alert['budget']}  {at} crossed with {used}"


def _actor(entry: Mapping[str, Any]) -> str:
    if entry.get("access") != "direct-database":
        return str(entry["actor"])
    by = f" by OS user {entry['os_user']}" if entry.get("os_user") else ""
    return f"{entry['actor']} (direct database access{by})"


def audit_line(entry: Mapping[str, Any]) -> str:
    """A change in one line: old and new values, with names instead of IDs where they are known."""
    names = entry.get("names") or {}
    head = f"{_minute(entry['at'])}  {_actor(entry)}  {entry['action']} {entry['object_kind']}"
    before, after = entry["before"] or {}, entry["after"] or {}

    def named(value: object) -> object:
        return names.get(value, value) if isinstance(value, str) else value

    changes = [
        f"{name}: {named(before[name])} -> {named(value)}"
        if name in before
        else f"{name}: {named(value)}"
        for name, value in after.items()
        if before.get(name) != value
    ]
    subject = "/".join(str(named(part)) for part in str(entry["object_id"]).split("/"))
    return f"{head} {subject}  {', '.join(changes)}".rstrip()
