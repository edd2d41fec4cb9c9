"""The lab at a glance as a view model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.schemas.burn_down import BudgetOutlookItem
from app.schemas.common import Quantity
from app.schemas.overview import (
    FailedRun,
    IdleDevice,
    OverviewRead,
    PeriodUse,
    RunNow,
    RunsUse,
    SiteNow,
)
from app.schemas.runs import RunSummary
from app.schemas.sites import FactorNow
from app.web.views.budgets import evidence, missing, units_of
from app.web.views.figures import NO_INTERVAL, FigureView, figure, money, unknown
from app.web.views.power import SumView, power_sum
from pricetag.accounting.quantity.quantity import weakest
from pricetag.tag.figure import Figure
from pricetag.tag.figures import Unit, column_number, column_unit, counted, percent, short_count

UNMETERED = "no hour of a node was metered in this period"
LABELS = {
    "facility_energy_kwh": "Facility energy of runs",
    "co2e_kg": "Emissions of runs",
    "cost": "Cost of runs",
}
TWO_SIGMA = 1.96


@dataclass(frozen=True, slots=True)
class UseRow:
    """A quantity that the lab uses: today, in this month, and by its end.

    Attributes:
        label: Its name.
        today: Use of today.
        month: Use of this month so far.
        expected: Expected use by the end of the month; None where nothing is projected.
        note: Why they have no interval; empty where they have one.
    """

    label: str
    today: FigureView
    month: FigureView
    expected: FigureView | None
    note: str


@dataclass(frozen=True, slots=True)
class BudgetRow:
    """A budget and when it is used up.

    Attributes:
        used: Spent and used by running attempts.
        limit: Its limit.
        ratio: Used share, from 0 to 1, for a meter.
        share: The same in words; empty where the limit is 0.
        is_spent: Whether it is used up.
        crossing: When open runs use it up; None where they do not, or it is unknown.
        between: Earliest and latest time.
        reason: Why there is no time.
        is_unknown: Whether open runs of unknown use may use it up.
    """

    outlook: BudgetOutlookItem
    used: FigureView
    limit: FigureView
    ratio: float
    share: str
    is_spent: bool
    crossing: datetime | None
    between: tuple[datetime | None, datetime | None]
    reason: str
    is_unknown: bool


@dataclass(frozen=True, slots=True)
class RunningRow:
    """A running run."""

    run: RunSummary
    progress: float | None
    steps: str
    power: FigureView
    end: datetime | None
    between: tuple[datetime | None, datetime | None]
    reason: str


@dataclass(frozen=True, slots=True)
class FailedRow:
    """A failed run and its cost."""

    run: RunSummary
    reason: str
    energy: FigureView
    cost: FigureView


@dataclass(frozen=True, slots=True)
class IdleRow:
    """An idle accelerator or CPU node."""

    device: IdleDevice
    power: FigureView
    energy: FigureView
    cost: FigureView


@dataclass(frozen=True, slots=True)
class HourBar:
    """An hour of carbon intensity, recorded or forecast, as a bar.

    Attributes:
        x: Its place among 24 hours.
        height: Its share of the highest hour, of 20.
        title: The hour and its intensity.
    """

    x: int
    height: float
    title: str


@dataclass(frozen=True, slots=True)
class SiteRow:
    """A site with the intensity of its grid now."""

    site: SiteNow
    carbon: FigureView
    basis: str
    tariff: FigureView
    past: Sequence[HourBar]
    past_text: str
    coming: Sequence[HourBar]
    coming_text: str


@dataclass(frozen=True, slots=True)
class Overview:
    """The whole page."""

    read: OverviewRead
    power: SumView
    nodes: Sequence[tuple[str, SumView]]
    use: Sequence[UseRow]
    month: UseRow
    dearest: Mapping[str, str]
    budgets: Sequence[BudgetRow]
    running: Sequence[RunningRow]
    failures: Sequence[FailedRow]
    idle: Sequence[IdleRow]
    idle_total: FigureView
    idle_count: str
    sites: Sequence[SiteRow]


def overview(read: OverviewRead) -> Overview:
    """The view of the lab."""
    use = use_rows(read.periods)
    month = headline(use)
    idle = _idle_rows(read.idle)
    return Overview(
        read=read,
        power=power_sum(read.power),
        nodes=[(node.node, power_sum(node)) for node in read.power.nodes],
        use=use,
        month=month,
        dearest=_dearest(read.periods[1], month),
        budgets=_budget_rows(read.budgets),
        running=_running_rows(read.running),
        failures=_failed_rows(read.failures),
        idle=idle,
        idle_total=money(read.idle_cost_per_day),
        idle_count=counted(len(idle), "device"),
        sites=[_site(site) for site in read.sites],
    )


def _dearest(period: PeriodUse, month: UseRow) -> Mapping[str, str]:
    """The filters of this month's runs, most expensive (or else highest energy) first."""
    by = "cost" if month.label.startswith(LABELS["cost"]) else "it_energy_kwh"
    return {"finished_after": period.start.date().isoformat(), "sort": f"-{by}"}


def headline(rows: Sequence[UseRow]) -> UseRow:
    """The cost of this month; its energy where no cost is known."""
    costs = [row for row in rows if row.label.startswith(LABELS["cost"])]
    known_costs = [row for row in costs if row.month.value is not None]
    return known_costs[0] if known_costs else rows[2]


def use_rows(periods: Sequence[PeriodUse]) -> list[UseRow]:
    """Energy of the nodes, then what runs use, each with one unit for day and month."""
    today, month = periods
    unit = _unit_of_energy(periods)
    rows = [
        _energy("IT energy of all nodes", "total_kwh", today, month, unit),
        _energy("of it unallocated", "unallocated_kwh", today, month, unit),
    ]
    for of_day, of_month in zip(today.runs, month.runs, strict=True):
        quantities = [of_day.used, of_month.used, of_month.expected]
        label = LABELS[of_day.metric]
        if of_day.metric == "cost":
            views = [money(q, provisional=True) if q else None for q in quantities]
            label += f" in {of_day.used.unit}"
        else:
            values = [q.value for q in quantities if q is not None]
            shown = unit if of_day.used.unit == "kWh" else column_unit(values, of_day.used.unit)
            views = [
                figure(q, shown=shown, provisional=True) if q is not None else None
                for q in quantities
            ]
        rows.append(
            UseRow(label, _or_none(views[0]), _or_none(views[1]), views[2], _note(of_month))
        )
    return rows


def _note(use: RunsUse) -> str:
    """Why a sum of price tags has no interval."""
    is_sum = use.used.value is not None and use.used.low is None
    return f"Sum of price tags, {NO_INTERVAL}" if is_sum else ""


def _or_none(view: FigureView | None) -> FigureView:
    return view or unknown(None)


def _unit_of_energy(periods: Sequence[PeriodUse]) -> Unit:
    """One unit for all energy of the table."""
    nodes = [
        getattr(period.energy, name).value
        for period in periods
        if period.energy is not None
        for name in ("total_kwh", "unallocated_kwh")
    ]
    runs = [
        quantity.value
        for period in periods
        for use in period.runs
        if use.metric == "facility_energy_kwh"
        for quantity in (use.used, use.expected)
        if quantity is not None
    ]
    return column_unit([*nodes, *runs], "kWh")


def _energy(label: str, name: str, today: PeriodUse, month: PeriodUse, unit: Unit) -> UseRow:
    quantities: list[Quantity | None] = [
        getattr(period.energy, name) if period.energy else None for period in (today, month)
    ]
    views = [
        figure(q, shown=unit, provisional=True) if q is not None else unknown(UNMETERED)
        for q in quantities
    ]
    return UseRow(label, views[0], views[1], None, "")


def _budget_rows(outlooks: Sequence[BudgetOutlookItem]) -> list[BudgetRow]:
    """Budgets, with one unit for all of a quantity where it is legible."""
    units = units_of([outlook.budget for outlook in outlooks])
    return [_budget(outlook, unit) for outlook, unit in zip(outlooks, units, strict=True)]


def _budget(outlook: BudgetOutlookItem, shown: Unit) -> BudgetRow:
    budget, crossing = outlook.budget, outlook.crossing
    unit = budget.unit
    source = weakest(*evidence(budget)[:2])
    used = Figure(budget.spent + budget.running, None, None, unit, source, missing(budget))
    limit = Figure(budget.limit, None, None, unit, None)
    is_money = unit not in ("kWh", "kg")
    views = [money(each) if is_money else figure(each, shown=shown) for each in (used, limit)]
    ratio = budget.used_ratio
    return BudgetRow(
        outlook=outlook,
        used=views[0],
        limit=views[1],
        ratio=min(1.0, ratio or 0.0),
        share="" if ratio is None else percent(ratio),
        is_spent=budget.spent + budget.running >= budget.limit,
        crossing=crossing.at or crossing.low,
        between=(crossing.low, crossing.high),
        reason=crossing.reason or "",
        is_unknown=crossing.low is None and outlook.expected.unknown_runs > 0,
    )


def _running_rows(runs: Sequence[RunNow]) -> list[RunningRow]:
    """Running runs, with their power in one unit."""
    unit = column_unit((now.power_w.value for now in runs), "W")
    return [_running(now, unit) for now in runs]


def _running(now: RunNow, unit: Unit) -> RunningRow:
    progress: Mapping[str, Any] = now.run.progress or {}
    done, total = progress.get("done"), progress.get("total")
    ratio, steps = None, "not stated"
    if isinstance(done, int | float) and isinstance(total, int | float) and total > 0:
        ratio = min(1.0, done / total)
        steps = f"{short_count(done)} of {short_count(total)} {progress.get('unit') or 'steps'}"
    end = now.expected_end
    return RunningRow(
        run=now.run,
        progress=ratio,
        steps=steps,
        power=figure(now.power_w, shown=unit, provisional=now.power_w.value is not None),
        end=end.at,
        between=(end.low, end.high),
        reason=end.reason or "",
    )


def _failed_rows(runs: Sequence[FailedRun]) -> list[FailedRow]:
    """Failed runs, with their energy in one unit."""
    tags = [failed.run.price_tag for failed in runs]
    unit = column_unit((tag.it_energy_kwh for tag in tags if tag is not None), "kWh")
    return [_failed(failed, unit) for failed in runs]


def _failed(failed: FailedRun, unit: Unit) -> FailedRow:
    tag = failed.run.price_tag
    energy = (
        unknown("no price tag was issued yet")
        if tag is None
        else figure(tag.figures.it_energy_kwh, shown=unit)
    )
    reason = failed.run.status_reason
    return FailedRow(
        run=failed.run,
        reason=reason.message if reason else "no reason was recorded",
        energy=energy,
        cost=money(failed.cost),
    )


def _idle_rows(devices: Sequence[IdleDevice]) -> list[IdleRow]:
    """Idle devices, each column in one unit."""
    of_power = column_unit((device.idle_w.value for device in devices), "W")
    of_energy = column_unit((device.energy_per_day.value for device in devices), "kWh")
    return [
        IdleRow(
            device,
            figure(device.idle_w, shown=of_power),
            figure(device.energy_per_day, shown=of_energy),
            money(device.cost_per_day),
        )
        for device in devices
    ]


def _site(site: SiteNow) -> SiteRow:
    past, past_text = _past(site)
    coming, coming_text = _coming(site)
    return SiteRow(
        coming=coming,
        coming_text=coming_text,
        past=past,
        past_text=past_text,
        site=site,
        carbon=figure(_of_factor(site.carbon)),
        basis=site.carbon.basis or "basis not stated",
        tariff=unknown(site.tariff_reason) if site.tariff is None else _price(site.tariff),
    )


def _past(site: SiteNow) -> tuple[list[HourBar], str]:
    """The last 24 hours as bars, and in a sentence; no bars where none is recorded."""
    recorded = [value for value in site.carbon_hours if value is not None]
    if not recorded:
        return [], "none of the last 24 hours is recorded"
    ends = f"{column_number(min(recorded))} to {column_number(max(recorded))} g/kWh"
    text = f"{ends}, {len(recorded)} of {len(site.carbon_hours)} hours recorded"
    return _bars(site.carbon_start, site.carbon_hours), text


def _coming(site: SiteNow) -> tuple[list[HourBar], str]:
    """The forecast of the next 24 hours as bars, and in a sentence; no bars without one."""
    hours = [
        (value, site.forecast_start + timedelta(hours=number))
        for number, value in enumerate(site.forecast_hours)
        if value is not None
    ]
    if not hours:
        return [], site.forecast_reason or "no hour is forecast"
    lowest, at = min(hours)
    text = (
        f"{column_number(lowest)} to {column_number(max(hours)[0])} g/kWh, lowest at "
        f"{at:%H:%M} UTC; forecast of {site.forecast_provider}"
    )
    return _bars(site.forecast_start, site.forecast_hours), text


def _bars(start: datetime, values: Sequence[float | None]) -> list[HourBar]:
    """Bars of the hours since a time that have a value."""
    highest = max(value for value in values if value is not None)
    return [
        HourBar(
            x=number,
            height=round(20 * value / highest, 2) if highest else 0.0,
            title=f"{start + timedelta(hours=number):%m-%d %H:%M} UTC: "
            f"{column_number(value)} g/kWh",
        )
        for number, value in enumerate(values)
        if value is not None
    ]


def _price(factor: FactorNow) -> FigureView:
    return money(_of_factor(factor))


def _of_factor(factor: FactorNow) -> Figure:
    """A factor with its 95% interval."""
    spread = TWO_SIGMA * factor.relative_std_ratio
    low = factor.value / (1 + spread) if factor.multiplicative else factor.value * (1 - spread)
    return Figure(
        factor.value, max(low, 0.0), factor.value * (1 + spread), factor.unit, factor.evidence
    )
