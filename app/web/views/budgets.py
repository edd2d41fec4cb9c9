"""Budgets as rows, with their state in words and their crossing dates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Literal
from uuid import UUID

from app.schemas.budgets import BudgetRead
from app.schemas.burn_down import BudgetOutlookItem, BurnCrossing, BurnExpectation
from app.web.views.figures import FigureView, figure, money, shared_units
from pricetag.accounting.quantity.quantity import SOURCES, Source, weakest
from pricetag.tag.figure import Figure
from pricetag.tag.figures import Unit, column_unit, counted, ratio_text

METRICS = {"facility_energy_kwh": "energy", "co2e_kg": "emissions", "cost": "cost"}
WHAT = {
    "facility_energy_kwh": "Facility energy",
    "co2e_kg": "Emissions (CO2e, location-based)",
    "cost": "Cost",
}
PERIODS = {
    "total": "in total",
    "week": "a week",
    "month": "a month",
    "quarter": "a quarter",
    "year": "a year",
}
PARTS = ("limit", "spent", "running", "reserved", "left")

Tone = Literal["bad", "near", "calm"]
UNKNOWN_END = "the time at which it is used up is unknown"


@dataclass(frozen=True, slots=True)
class CrossingView:
    """When a limit is reached, in words and times.

    Attributes:
        tone: `bad` if it is used up, `near` if it will or may be.
        text: What happens; the times follow.
        at: Expected time.
        low: Earliest time.
        high: Latest time.
        note: A further remark.
    """

    tone: Tone
    text: str
    at: datetime | None = None
    low: datetime | None = None
    high: datetime | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class BudgetView:
    """A budget with its amounts in one unit.

    Attributes:
        budget: As the API returns it.
        about: What it limits, in words.
        repeats: Its period, in words.
        amounts: `limit`, `spent`, `running`, `reserved` and `left`.
        used_text: Share of the limit that is used.
        used_ratio: The same as a number; None if the limit is 0.
        does: What it does when it is used up.
        evidence: The spent amount by evidence.
        alerts: Crossed thresholds and their times.
        thresholds: All thresholds.
    """

    budget: BudgetRead
    about: str
    repeats: str
    amounts: Mapping[str, FigureView]
    used_text: str
    used_ratio: float | None
    does: str
    evidence: Sequence[tuple[str, FigureView]]
    alerts: Sequence[tuple[str, datetime]]
    thresholds: str

    @property
    def is_over(self) -> bool:
        """Whether the limit is used up."""
        return self.budget.spent + self.budget.running >= self.budget.limit


@dataclass(frozen=True, slots=True)
class OutlookRow:
    """A budget of the list."""

    view: BudgetView
    crossing: CrossingView
    expected: FigureView


def unit_of(budget: BudgetRead) -> Unit:
    """The one unit of all of a budget's amounts."""
    return column_unit((getattr(budget, part) for part in PARTS), budget.unit)


def amount(
    value: float,
    budget: BudgetRead,
    *,
    low: float | None = None,
    high: float | None = None,
    source: str | None = None,
    provisional: bool = False,
    reason: str | None = None,
    shown: Unit | None = None,
) -> FigureView:
    """An amount in the unit of its budget, or in one that it shares with others."""
    shape = Figure(value, low, high, budget.unit, source, reason)
    if budget.metric == "cost":
        return money(shape, provisional=provisional)
    return figure(shape, shown=shown or unit_of(budget), provisional=provisional)


def units_of(budgets: Sequence[BudgetRead]) -> list[Unit]:
    """The unit of each budget of a list: one for all of a quantity, where it is legible."""
    units: dict[UUID, Unit] = {}
    for base in dict.fromkeys(read.unit for read in budgets):
        alike = [read for read in budgets if read.unit == base]
        columns = [[getattr(read, part) for part in PARTS] for read in alike]
        shared = shared_units(*columns, unit=base)
        units |= {read.id: unit for read, unit in zip(alike, shared, strict=True)}
    return [units[read.id] for read in budgets]


def budget(read: BudgetRead, shown: Unit | None = None) -> BudgetView:
    """The view of a budget.

    Args:
        read: The budget.
        shown: Unit of its amounts; by default the one that suits them.
    """
    spent, running, reserved = evidence(read)
    of_budget = partial(amount, budget=read, shown=shown)
    amounts = {
        "limit": of_budget(read.limit),
        "spent": of_budget(read.spent, source=spent, reason=missing(read)),
        "running": of_budget(read.running, source=running, provisional=read.running > 0),
        "reserved": of_budget(read.reserved, source=reserved),
        "left": of_budget(read.left, source=weakest(spent, running, reserved)),
    }
    return BudgetView(
        budget=read,
        about=f"{METRICS[read.metric].capitalize()} of {scope(read)}",
        repeats=PERIODS[read.period],
        amounts=amounts,
        used_text="" if read.used_ratio is None else ratio_text(read.used_ratio),
        used_ratio=read.used_ratio,
        does=_does(read),
        evidence=[
            (source, amount(value, read, source=source))
            for source, value in sorted(read.by_source.items(), key=lambda item: -item[1])
        ],
        alerts=[(_percent(alert.threshold_ratio), alert.at) for alert in read.alerts],
        thresholds=", ".join(_percent(ratio) for ratio in read.thresholds),
    )


def expected_evidence(read: BudgetRead, expected: BurnExpectation) -> Source:
    """Weakest evidence behind the expected use: open runs are estimated, spent amounts not."""
    spent, running, _ = evidence(read)
    return weakest(spent, running, "estimated" if expected.open_runs else "counter")


def missing(read: BudgetRead) -> str | None:
    """A remark on amounts missing from a budget; None if all uses are known."""
    if not read.unknown_runs:
        return None
    return f"at least: the use of {counted(read.unknown_runs, 'run')} is unknown"


def _percent(ratio: float) -> str:
    return f"{100 * ratio:.10g}%"


def evidence(read: BudgetRead) -> tuple[Source, Source, Source]:
    """Weakest evidence behind the amounts spent, used by running attempts, and reserved.

    That nothing is spent is counted; the use of an attempt is estimated until its price tag.
    """
    spent = weakest(*(source for source in SOURCES if read.by_source.get(source)), "counter")
    return (
        spent,
        "estimated" if read.running else "counter",
        "estimated" if read.reserved else "counter",
    )


def scope(read: BudgetRead) -> str:
    """Scope of a budget, in words."""
    if read.scope == "lab":
        return "the lab"
    if read.scope == "experiment":
        return f"experiment {read.experiment} of {read.project}"
    return f"{read.scope} {read.project or read.user or 'unknown'}"


def _does(read: BudgetRead) -> str:
    does = ["rejects runs that would exceed it"] if read.refuses else []
    does += ["stops running jobs once it is used up"] if read.stops else []
    return " and ".join(does) if does else "only warns"


def crossing(read: BurnCrossing, *, is_over: bool, unknown_runs: int) -> CrossingView:
    """When a budget is used up, in words.

    Args:
        read: The expectation.
        is_over: Whether it is used up.
        unknown_runs: Number of open runs whose use is unknown.
    """
    if is_over:
        return CrossingView("bad", "used up")
    if read.low is None and unknown_runs:
        note = f"The use of {counted(unknown_runs, 'open run')} is unknown."
        return CrossingView("near", UNKNOWN_END, note=note)
    if read.low is None:
        return CrossingView("calm", "not expected to be used up", note=_sentence(read.reason))
    if read.at is None:
        return CrossingView(
            "near", "may be used up from", low=read.low, note=_sentence(read.reason)
        )
    return CrossingView("near", "expected to be used up", at=read.at, low=read.low, high=read.high)


def _sentence(text: str | None) -> str:
    return "" if not text else f"{text[0].upper()}{text[1:]}."


def outlook(items: Sequence[BudgetOutlookItem]) -> list[OutlookRow]:
    """The rows of the list, in its order."""
    rows = []
    units = units_of([item.budget for item in items])
    for item, unit in zip(items, units, strict=True):
        view = budget(item.budget, unit)
        expected = item.expected
        rows.append(
            OutlookRow(
                view,
                crossing(item.crossing, is_over=view.is_over, unknown_runs=expected.unknown_runs),
                amount(
                    expected.value,
                    item.budget,
                    low=expected.low,
                    high=expected.high,
                    source=expected_evidence(item.budget, expected),
                    shown=unit,
                ),
            )
        )
    return rows


def closed_rows(budgets: Sequence[BudgetRead]) -> list[BudgetView]:
    """Closed budgets."""
    return [budget(read) for read in budgets if read.closed_at is not None]


def open_runs_text(known: int, unknown: int) -> str:
    """How many open runs an expectation has, in words."""
    if not known:
        return f"{counted(unknown, 'open run')} of unknown use" if unknown else "no open run"
    text = counted(known, "open run")
    return text if not unknown else f"{text}, without {unknown:,} of unknown use"
