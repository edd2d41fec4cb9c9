"""The burn-down of a budget: its chart, its open runs, and its state after a change."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.schemas.budgets import BudgetRead
from app.schemas.burn_down import BurnDownRead, BurnExpectation, WhatIfRead
from app.web.views import budgets as budget_views
from app.web.views import plots
from app.web.views.budgets import BudgetView, CrossingView, amount
from app.web.views.figures import FigureView, figure, unknown
from app.web.views.plots import Bar, Path, Plot
from pricetag.tag.figures import ratio_text

UNKNOWN_USE = "its use, start or end cannot be estimated"
UNKNOWN_NAME = "a run further back in the queue"
ADMISSIONS = {
    "admitted": "It would be admitted.",
    "too-much": "It would be rejected: it is expected to need more than is left.",
    "exhausted": "It would be rejected: nothing is left.",
}
PART_COLORS = {"spent": 0, "running": 1, "reserved": 3, "left": 9}
WARNS = "It would be admitted with a warning: the budget does not reject runs."


@dataclass(frozen=True, slots=True)
class PointRow:
    """A row of the chart's table."""

    at: datetime
    used: FigureView
    is_expected: bool


@dataclass(frozen=True, slots=True)
class PartRow:
    """Who spent how much."""

    name: str
    spent: FigureView
    share_text: str
    share_ratio: float


@dataclass(frozen=True, slots=True)
class OpenRow:
    """An open run and what it will use."""

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
        summary: The chart in one sentence.
        bar: What is spent, running, reserved and left, as one bar.
    """

    view: BudgetView
    crossing: CrossingView
    expected: FigureView
    open_text: str
    summary: str
    plot: Plot
    bar: Sequence[Bar]
    points: Sequence[PointRow]
    parts: Sequence[PartRow]
    by: str
    open_runs: Sequence[OpenRow]
    unknown_runs: int


def burn_down(read: BudgetRead, burn: BurnDownRead, skipped: Collection[UUID] = ()) -> BurnDownView:
    """The view of a budget's burn-down.

    Args:
        read: The budget.
        burn: Its burn-down as it is.
        skipped: Runs that the reader has dropped.
    """
    view = budget_views.budget(read)
    crossing = budget_views.crossing(burn.crossing, is_over=view.is_over)
    expected = _expected(burn.expected, read)
    return BurnDownView(
        view=view,
        crossing=crossing,
        expected=expected,
        open_text=budget_views.open_runs_text(burn.expected.open_runs, burn.expected.unknown_runs),
        summary=_summary(view, burn, expected),
        plot=_plot(burn, read),
        bar=_bar(read),
        points=_points(burn, read),
        parts=[
            PartRow(
                part.name or "(unknown)",
                amount(part.spent, read),
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
        unknown_runs=burn.unknown_runs,
    )


def _expected(expected: BurnExpectation, read: BudgetRead) -> FigureView:
    return amount(
        expected.value,
        read,
        low=expected.low,
        high=expected.high,
        source="estimated" if expected.open_runs else None,
    )


def _summary(view: BudgetView, burn: BurnDownRead, expected: FigureView) -> str:
    limit, spent = view.amounts["limit"], view.amounts["spent"]
    used = f"{spent.text} {spent.unit} of {limit.text} {limit.unit} are spent"
    if not burn.expected.open_runs:
        return f"{used}; no open run has a known use."
    ends = f" ({expected.interval})" if expected.interval else ""
    return (
        f"{used}; once the open runs have ended, {expected.text} {expected.unit}{ends} are "
        "expected to be."
    )


def _plot(burn: BurnDownRead, read: BudgetRead) -> Plot:
    name, size = budget_views.unit_of(read)
    start = burn.points[0].at
    stop = max(burn.points[-1].at, *(point.at for point in burn.projection), burn.at)
    if burn.period_end is not None:
        stop = burn.period_end
    length = (stop - start).total_seconds() or 1.0

    def place(at: datetime) -> float:
        return (at - start).total_seconds() / length

    largest = max(burn.limit, burn.spent, *(point.high for point in burn.projection), 0.0)
    top = plots.top_of(largest / size) * size
    spent = [(place(point.at), point.spent) for point in burn.points]
    now = place(burn.points[-1].at)
    fan = [(place(point.at), point.low, point.high) for point in burn.projection]
    middle = [(place(point.at), point.value) for point in burn.projection]
    area = [(x, 0.0, y) for x, y in spent]
    paths: list[Path] = [plots.band(1, area, top)]
    if fan:
        paths.append(plots.band(2, fan, top))
        paths.append(plots.line("expected", middle, top))
    paths.append(plots.line("spent", spent, top))
    paths.append(plots.line("limit", [(0.0, burn.limit), (1.0, burn.limit)], top))
    paths.append(plots.line("now", [(now, 0.0), (now, top)], top))
    days = [start + (stop - start) * n / 4 for n in range(5)]
    pattern = "%Y-%m-%d %H:%M" if length < 4 * 86400 else "%Y-%m-%d"
    return Plot([], paths, plots.ticks(top / size), [day.strftime(pattern) for day in days], name)


def _bar(read: BudgetRead) -> list[Bar]:
    """Spent, running, reserved and left as shares of the limit, or of what is promised."""
    total = sum(getattr(read, part) for part in PART_COLORS) or 1.0
    bars, x = [], 0.0
    for part, series in PART_COLORS.items():
        width = getattr(read, part) / total * plots.WIDTH
        bars.append(Bar(series, round(x, 2), 0.0, round(width, 2), plots.HEIGHT, part))
        x += width
    return bars


def _points(burn: BurnDownRead, read: BudgetRead) -> list[PointRow]:
    """Past and expected use, point by point."""
    past = [PointRow(point.at, amount(point.spent, read), False) for point in burn.points]
    coming = [
        PointRow(
            point.at,
            amount(
                point.value,
                read,
                low=point.low,
                high=point.high,
                source="estimated",
                provisional=True,
            ),
            True,
        )
        for point in burn.projection[1:]
    ]
    return [*past, *coming]


@dataclass(frozen=True, slots=True)
class WhatIfView:
    """The budget before and after a change of its open runs.

    Attributes:
        before: Expected use as it is.
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
        crossing_before=budget_views.crossing(asked.before_crossing, is_over=is_over),
        crossing_after=budget_views.crossing(asked.burn_down.crossing, is_over=is_over),
        quote=quote,
        basis=basis,
        verdict=verdict,
        is_rejected=is_rejected,
    )
