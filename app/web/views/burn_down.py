"""The burn-down of a budget: its chart, its open runs, and its state after a change."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from app.charts import burn_down as charts
from app.charts.burn_down import Use
from app.charts.chart import LAB, Chart
from app.schemas.budgets import BudgetRead
from app.schemas.burn_down import BurnDownRead, BurnExpectation, WhatIfRead
from app.web.views import budgets as budget_views
from app.web.views.budgets import BudgetView, CrossingView, amount
from app.web.views.figures import FigureView, figure, unknown
from pricetag.tag.figures import counted, ratio_text

UNKNOWN_USE = "its use, start or end cannot be estimated"
UNKNOWN_NAME = "a run further back in the queue"
ADMISSIONS = {
    "admitted": "It would be admitted.",
    "too-much": "It would be rejected: it is expected to need more than the amount left.",
    "exhausted": "It would be rejected: nothing is left.",
}
PART_COLORS = {"spent": 1, "running": 2, "reserved": 4, "left": 10}
WIDTH = 1000.0
FINEST = 400
STEPS = [timedelta(hours=hours) for hours in (24, 12, 6, 3, 1)]
STEPS += [timedelta(minutes=minutes) for minutes in (30, 15, 5, 1)]
"""Steps of the present time in a chart, of which one is less than a pixel wide."""

_STEPS_BEGIN = datetime(2000, 1, 1, tzinfo=UTC)
WARNS = "It would be admitted with a warning: the budget does not reject runs."


@dataclass(frozen=True, slots=True)
class Bar:
    """A piece of a bar of 1,000 units; `color` is the number of its series."""

    color: int
    x: float
    width: float
    title: str


@dataclass(frozen=True, slots=True)
class PartRow:
    """Who spent how much."""

    name: str
    spent: FigureView
    share_text: str
    share_ratio: float


@dataclass(frozen=True, slots=True)
class OpenRow:
    """An open run and its expected use."""

    run_id: UUID
    name: str
    status: str
    expected: FigureView
    ends_at: datetime | None
    is_skipped: bool


@dataclass(frozen=True, slots=True)
class BurnDownView:
    """All of a budget's page.

    Attributes:
        chart: Past and expected use.
        bar: What is spent, running, reserved and left, as one bar.
        hidden_text: How many open runs are hidden from the reader; empty for none.
    """

    view: BudgetView
    crossing: CrossingView
    expected: FigureView
    open_text: str
    chart: Chart
    bar: Sequence[Bar]
    parts: Sequence[PartRow]
    by: str
    open_runs: Sequence[OpenRow]
    hidden_text: str
    unknown_runs: int


def burn_down(read: BudgetRead, burn: BurnDownRead, skipped: Collection[UUID] = ()) -> BurnDownView:
    """The view of a budget's burn-down.

    Args:
        read: The budget.
        burn: Its burn-down as it is.
        skipped: Runs that the reader has dropped.
    """
    view = budget_views.budget(read)
    crossing = budget_views.crossing(
        burn.crossing, is_over=view.is_over, unknown_runs=burn.expected.unknown_runs
    )
    expected = _expected(burn.expected, read)
    return BurnDownView(
        view=view,
        crossing=crossing,
        expected=expected,
        open_text=budget_views.open_runs_text(burn.expected.open_runs, burn.expected.unknown_runs),
        chart=_chart(burn, read, _summary(view, burn, expected)),
        bar=_bar(read),
        parts=[
            PartRow(
                part.name or "(unknown)",
                amount(part.spent, read, source=part.source),
                "" if part.share_ratio is None else ratio_text(part.share_ratio),
                min(part.share_ratio or 0.0, 1.0),
            )
            for part in burn.parts
        ],
        by=burn.by,
        open_runs=[
            OpenRow(
                run.run_id,
                run.name or UNKNOWN_NAME,
                run.status,
                unknown(UNKNOWN_USE)
                if run.value is None
                else amount(run.value, read, low=run.low, high=run.high, source="estimated"),
                run.ends_at,
                run.run_id in skipped,
            )
            for run in burn.open_runs
        ],
        hidden_text=_hidden_text(burn),
        unknown_runs=burn.unknown_runs,
    )


def _hidden_text(burn: BurnDownRead) -> str:
    if not burn.hidden_runs:
        return ""
    runs = counted(burn.hidden_runs, "more open run" if burn.open_runs else "open run")
    are = "is" if burn.hidden_runs == 1 else "are"
    return f"{runs} under this budget {are} hidden from you."


def _expected(expected: BurnExpectation, read: BudgetRead) -> FigureView:
    return amount(
        expected.value,
        read,
        low=expected.low,
        high=expected.high,
        source=budget_views.expected_evidence(read, expected),
    )


def _summary(view: BudgetView, burn: BurnDownRead, expected: FigureView) -> str:
    limit, spent = view.amounts["limit"], view.amounts["spent"]
    used = f"{spent.text} {spent.unit} of {limit.text} {limit.unit} are spent"
    if not burn.expected.open_runs:
        return f"{used}; no open run has a known use."
    ends = f" ({expected.interval})" if expected.interval else ""
    return (
        f"{used}; once the open runs have ended, {expected.text} {expected.unit}{ends} are "
        f"expected to be spent."
    )


def _chart(burn: BurnDownRead, read: BudgetRead, summary: str) -> Chart:
    name, size = budget_views.unit_of(read)
    *past, present = burn.points
    now = drawn_at(burn)
    later = now - present.at
    return charts.burn_down(
        [Use(point.at, point.spent / size) for point in past if point.at < now]
        + [Use(now, present.spent / size)],
        [
            Use(point.at + later, point.value / size, point.low / size, point.high / size)
            for point in burn.projection
        ],
        limit=burn.limit / size,
        now=now,
        measure=budget_views.WHAT[read.metric],
        unit=name,
        title="Burn-down",
        summary=summary,
        # Everybody sees a budget of the lab or of a user, with the runs of all projects.
        projects=LAB if read.project is None else frozenset({read.project}),
    )


def drawn_at(burn: BurnDownRead) -> datetime:
    """The present time as the chart draws it: up to a 400th of the chart's width early.

    The difference is invisible, and while nothing is used or posted, the chart stays the same and
    is stored only once.
    """
    begin, present = burn.points[0].at, burn.points[-1].at
    end = max([present, *(point.at for point in burn.projection)])
    for step in STEPS:
        if end - begin >= FINEST * step:
            return max(begin, present - (present - _STEPS_BEGIN) % step)
    return present


def _bar(read: BudgetRead) -> list[Bar]:
    """Spent, running, reserved and left as shares of the limit, or of the promised amount."""
    total = sum(getattr(read, part) for part in PART_COLORS) or 1.0
    bars, x = [], 0.0
    for part, color in PART_COLORS.items():
        width = getattr(read, part) / total * WIDTH
        bars.append(Bar(color, round(x, 2), round(width, 2), part))
        x += width
    return bars


@dataclass(frozen=True, slots=True)
class WhatIfView:
    """The budget before and after a change of its open runs.

    Attributes:
        before: Expected use without the change.
        after: Expected use after the change.
        quote: Quantities of the run to add, by title.
        basis: What its quote is based on.
        verdict: Whether the budget would admit it.
    """

    before: FigureView
    after: FigureView
    crossing_before: CrossingView
    crossing_after: CrossingView
    quote: Sequence[tuple[str, FigureView]]
    basis: str
    verdict: str
    is_rejected: bool


def what_if(read: BudgetRead, asked: WhatIfRead) -> WhatIfView:
    """The view of a change."""
    is_over = read.spent + read.running >= read.limit
    quote: list[tuple[str, FigureView]] = []
    basis = verdict = ""
    is_rejected = False
    if asked.quote is not None:
        quantities = asked.quote.quantities
        named = (
            ("Duration", quantities.duration_s),
            ("Facility energy", quantities.facility_energy_kwh),
            ("Emissions", quantities.co2e_kg),
            ("Cost", quantities.cost),
        )
        quote = [(title, figure(quantity.model_dump())) for title, quantity in named]
        basis = asked.quote.text
        if not asked.is_charged:
            verdict = "It would not be charged to this budget."
        else:
            is_rejected = asked.admission != "admitted" and read.refuses
            admission = asked.admission or "admitted"
            warns = admission != "admitted" and not read.refuses
            verdict = WARNS if warns else ADMISSIONS[admission]
    return WhatIfView(
        before=_expected(asked.before, read),
        after=_expected(asked.burn_down.expected, read),
        crossing_before=budget_views.crossing(
            asked.before_crossing, is_over=is_over, unknown_runs=asked.before.unknown_runs
        ),
        crossing_after=budget_views.crossing(
            asked.burn_down.crossing,
            is_over=is_over,
            unknown_runs=asked.burn_down.expected.unknown_runs,
        ),
        quote=quote,
        basis=basis,
        verdict=verdict,
        is_rejected=is_rejected,
    )
