"""Worker machines: their meters, their energy, and the part that no run is charged for."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from app.schemas.energy import EnergyAccount, EnergyItem
from app.schemas.nodes import IdlePowerRead, NodeRead
from app.web.views.figures import FigureView, figure, shared_units, unknown
from pricetag.tag.figure import Figure
from pricetag.tag.figures import Unit, column_unit, counted, percent

HOUR = timedelta(hours=1)
NO_HOUR = "no hour of this period was metered"
HEIGHT = 20
COLUMNS = ("hour", "total_kwh", "low", "high", "charged_kwh", "unallocated_kwh", "source", "reason")


@dataclass(frozen=True, slots=True)
class Account:
    """Energy of some components: total = charged + running + unallocated + undecided."""

    total: FigureView
    charged: FigureView
    running: FigureView
    unallocated: FigureView
    share: str
    unit: str


@dataclass(frozen=True, slots=True)
class NodeRow:
    """A node of the list.

    Attributes:
        node: The node.
        state: In words: live, late, or the time of the last report.
        is_live: Whether a worker of it takes runs.
        devices: Its accelerators in words.
        meters: The meters that it can use.
        account: Its energy of the period.
    """

    node: NodeRead
    state: str
    is_live: bool
    devices: str
    meters: str
    account: Account


@dataclass(frozen=True, slots=True)
class Hour:
    """A column of the heat strip.

    Attributes:
        x: Its place.
        state: used, idle or unmetered.
        used: Height of the charged part.
        title: What it shows, in words.
    """

    x: int
    state: str
    used: float
    title: str


@dataclass(frozen=True, slots=True)
class DayRow:
    """A day of the strip as a row."""

    day: str
    total: FigureView
    charged: FigureView
    unallocated: FigureView
    unmetered: int


@dataclass(frozen=True, slots=True)
class Strip:
    """Hours of a node: used, idle, unmetered."""

    hours: Sequence[Hour]
    days: Sequence[DayRow]
    summary: str
    coverage: str
    unit: str


@dataclass(frozen=True, slots=True)
class Meter:
    """A meter of a node."""

    name: str
    is_available: bool
    detail: str
    command: str | None


@dataclass(frozen=True, slots=True)
class Idle:
    """The newest idle power of a component in one state."""

    read: IdlePowerRead
    power: FigureView


def rows(nodes: Sequence[NodeRead], account: EnergyAccount) -> list[NodeRow]:
    """All nodes, with their energy in one unit."""
    by_name = {item.node: item for item in account.items}
    unit = column_unit([item.total_kwh.value for item in account.items], "kWh")
    return [
        NodeRow(
            node,
            state(node),
            bool(node.workers),
            devices(node),
            ", ".join(meter.name for meter in meters(node) if meter.is_available) or "none",
            _account(by_name.get(node.name), unit),
        )
        for node in nodes
    ]


def state(node: NodeRead) -> str:
    """Whether workers of a node take runs, in words."""
    late = sum(worker.late for worker in node.workers)
    if not node.workers:
        return "no live worker"
    return counted(len(node.workers), "live worker") + (f", {late} late" if late else "")


def devices(node: NodeRead) -> str:
    """The accelerators of a node in words."""
    names = [str(device.get("name") or "accelerator") for device in node.devices]
    counts = {name: names.count(name) for name in dict.fromkeys(names)}
    return ", ".join(f"{count} x {name}" for name, count in counts.items()) or "none"


def meters(node: NodeRead) -> list[Meter]:
    """Meters of a node, as examined by its worker."""
    examined: Sequence[Mapping[str, Any]] = node.capabilities.get("meters") or ()
    return [
        Meter(
            str(each.get("name")),
            bool(each.get("available")),
            str(each.get("detail") or ""),
            each.get("command"),
        )
        for each in examined
    ]


def limits(node: NodeRead) -> Mapping[str, FigureView]:
    """Power limit of each device, by UUID."""
    examined: Sequence[Mapping[str, Any]] = node.capabilities.get("devices") or ()
    figures = {}
    for device in examined:
        limit_w = device.get("power_limit_w")
        is_stated = isinstance(limit_w, int | float)
        figures[str(device.get("uuid"))] = (
            figure(Figure.exact(float(limit_w), "W", None))
            if is_stated and limit_w is not None
            else unknown("the driver states none")
        )
    return figures


def idle(node: NodeRead) -> list[Idle]:
    """Idle powers of a node in one unit, newest first of each component."""
    unit = column_unit([each.power_w for each in node.baselines], "W")
    return [
        Idle(each, figure(Figure(each.power_w, None, None, "W", each.source), shown=unit))
        for each in node.baselines
    ]


def units(account: EnergyAccount, hours: EnergyAccount) -> tuple[Unit, Unit, Unit]:
    """The units of a node's total, of its components and of its days: a common one where it is
    legible."""
    days: dict[date, float] = {}
    for item in hours.items:
        if item.hour is not None and item.total_kwh.value is not None:
            day = item.hour.date()
            days[day] = days.get(day, 0.0) + item.total_kwh.value
    total, parts, of_days = shared_units(
        [account.total.total_kwh.value] if account.items else [],
        [item.total_kwh.value for item in account.items],
        list(days.values()),
        unit="kWh",
    )
    return total, parts, of_days


def components(account: EnergyAccount, unit: Unit) -> list[tuple[EnergyItem, Account]]:
    """The account of each component, in one unit."""
    return [(item, _account(item, unit)) for item in account.items]


def total(account: EnergyAccount, unit: Unit) -> Account:
    """The account of the node."""
    return _account(account.total if account.items else None, unit)


def _account(item: Any, unit: Unit) -> Account:
    if item is None:
        nothing = unknown(NO_HOUR)
        return Account(nothing, nothing, nothing, nothing, "", "")
    share = ""
    if item.total_kwh.value and item.charged_kwh.value is not None:
        running = item.running_kwh.value or 0.0
        share = percent(min(1.0, (item.charged_kwh.value + running) / item.total_kwh.value))
    views = [
        figure(getattr(item, name), shown=unit, provisional=name == "running_kwh")
        for name in ("total_kwh", "charged_kwh", "running_kwh", "unallocated_kwh")
    ]
    return Account(views[0], views[1], views[2], views[3], share, unit[0])


def strip(account: EnergyAccount, unit: Unit) -> Strip:
    """The heat strip of an account by hour.

    Args:
        unit: Unit of the days.
        account: The hours of a node; those that are missing were not metered.
    """
    by_hour = {item.hour: item for item in account.items}
    count = round((account.stop - account.start) / HOUR)
    hours = [_hour(n, account.start + n * HOUR, by_hour) for n in range(count)]
    used = sum(hour.state == "used" for hour in hours)
    idle_hours = sum(hour.state == "idle" for hour in hours)
    unmetered = count - used - idle_hours
    return Strip(
        hours=hours,
        days=_days(account, by_hour, unit),
        summary=f"Of {counted(count, 'hour')}, runs used the node in {used}, it was idle in "
        f"{idle_hours}, and nothing was metered in {unmetered}.",
        coverage=percent((used + idle_hours) / count) if count else "",
        unit=unit[0],
    )


def _hour(number: int, at: datetime, by_hour: Mapping[datetime | None, EnergyItem]) -> Hour:
    item = by_hour.get(at)
    when = f"{at:%Y-%m-%d %H:%M} UTC"
    if item is None or item.total_kwh.value is None:
        return Hour(number, "unmetered", 0.0, f"{when}: not metered")
    total_kwh = item.total_kwh.value
    charged = (item.charged_kwh.value or 0.0) + (item.running_kwh.value or 0.0)
    ratio = min(1.0, max(0.0, charged / total_kwh)) if total_kwh else 0.0
    state_ = "used" if charged > 0 else "idle"
    return Hour(number, state_, round(HEIGHT * ratio, 2), f"{when}: {percent(ratio)} used by runs")


def _days(
    account: EnergyAccount, by_hour: Mapping[datetime | None, EnergyItem], unit: Unit
) -> list[DayRow]:
    days = []
    day = account.start.replace(hour=0)
    while day < account.stop:
        begin, end = max(day, account.start), min(day + 24 * HOUR, account.stop)
        count = round((end - begin) / HOUR)
        items = [by_hour.get(begin + n * HOUR) for n in range(count)]
        metered = [item for item in items if item and item.total_kwh.value is not None]
        days.append(
            DayRow(
                f"{day:%Y-%m-%d}",
                _sum(metered, "total", unit),
                _sum(metered, "charged", unit),
                _sum(metered, "unallocated", unit),
                count - len(metered),
            )
        )
        day += 24 * HOUR
    return days


def _sum(items: Sequence[EnergyItem], name: str, unit: Unit) -> FigureView:
    """Sum of some hours; their errors are not independent, so that it has no interval here."""
    quantities = [getattr(item, f"{name}_kwh") for item in items]
    known_quantities = [quantity for quantity in quantities if quantity.value is not None]
    missing = len(items) - len(known_quantities)
    if not known_quantities:
        return unknown(NO_HOUR)
    order = ("counter", "integrated", "modelled", "estimated", "assumed")
    source = max((str(quantity.source) for quantity in known_quantities), key=order.index)
    value = sum(quantity.value for quantity in known_quantities)
    reason = f"at least: it is unknown in {counted(missing, 'hour')}" if missing else None
    return figure(Figure(value, None, None, "kWh", source, reason), shown=unit)


def as_csv(account: EnergyAccount) -> str:
    """The hours of an account, unrounded, in kWh and UTC."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for item in account.items:
        energy = item.total_kwh
        writer.writerow(
            [
                item.hour.isoformat() if item.hour else "",
                *(_cell(value) for value in (energy.value, energy.low, energy.high)),
                _cell(item.charged_kwh.value),
                _cell(item.unallocated_kwh.value),
                energy.source or "",
                energy.reason or "",
            ]
        )
    return out.getvalue()


def _cell(value: float | None) -> str:
    return "" if value is None else repr(value)
