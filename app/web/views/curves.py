"""Expected validation as a view model: curves by method, crossings, and the table beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.charts.chart import Chart
from app.charts.curves import Crossing, Curve, Knot, curves
from app.charts.theme import MAX_SERIES
from app.schemas.insights import ExpectedValidationRead, MethodCurve
from app.web.views.figures import FigureView, figure, unknown
from app.web.views.insights import SPENT, axis_unit, score_name, without_unreadable
from pricetag.tag.axes import Spending
from pricetag.tag.figure import Figure
from pricetag.tag.figure import figure_of as read_figure
from pricetag.tag.figures import Unit, counted, number, with_unit
from pricetag.tag.trials import summed_text

HOUR_S = 3600.0
SOME = 5
"""Number of trials in the middle of the table: the minimum of a curve."""


@dataclass(frozen=True, slots=True)
class MethodRow:
    """A method of the table."""

    method: MethodCurve
    mean_cost: FigureView
    of_one: FigureView
    of_some: FigureView
    of_all: FigureView


@dataclass(frozen=True, slots=True)
class CurvesView:
    """The page.

    Attributes:
        chart: The curves; None where no method has one.
        rows: The methods, those with the most trials first.
        verdicts: Which of two methods is better at which cost, in sentences.
        cost_name: Name of the cost.
        cost_unit: Unit of its column and of the axis.
        budget_unit: Unit in which the budget is entered.
        score: Name of the score.
        remarks: Important remarks on these runs.
        without: That some cannot be read; empty for none.
    """

    chart: Chart | None
    rows: Sequence[MethodRow]
    verdicts: Sequence[str]
    cost_name: str
    cost_unit: str
    budget_unit: str
    score: str
    remarks: Sequence[str]
    without: str


def curves_view(
    read: ExpectedValidationRead, metric: Spending, *, budget: float | None, log: bool
) -> CurvesView:
    """The view of expected validation.

    Args:
        read: What the service returns.
        metric: The cost.
        budget: Budget to mark, in `budget_unit`.
        log: Whether the cost's axis is logarithmic.
    """
    is_time = metric == "duration_s"
    ends = [method.points[-1].cost for method in read.methods if method.points]
    unit = ("h", HOUR_S) if is_time else axis_unit(ends, read.unit)
    score = score_name(read.kind)
    return CurvesView(
        chart=_chart(read, metric, unit, score, budget, log),
        rows=[_row(method, unit) for method in read.methods],
        verdicts=read.verdicts,
        cost_name=SPENT[metric],
        cost_unit=unit[0],
        budget_unit="h" if is_time else read.unit,
        score=score,
        remarks=_remarks(read),
        without=without_unreadable(read.unreadable) if read.unreadable else "",
    )


def _chart(
    read: ExpectedValidationRead,
    metric: Spending,
    unit: Unit,
    score: str,
    budget: float | None,
    log: bool,
) -> Chart | None:
    drawn = [method for method in read.methods if method.points][:MAX_SERIES]
    if not drawn or len({method.mean_cost.unit for method in drawn}) > 1:
        return None
    names = {method.name for method in drawn}
    in_stored = HOUR_S if metric == "duration_s" else 1.0
    return curves(
        [
            Curve(
                method.name,
                [
                    Knot(each.trials, each.cost / unit[1], each.expected, each.low, each.high)
                    for each in method.points
                ],
            )
            for method in drawn
        ],
        [
            Crossing(f"{each.first}, {each.second}", each.cost / unit[1])
            for each in read.crossings
            if each.first in names and each.second in names
        ],
        measure=SPENT[metric],
        unit=unit[0],
        score=score,
        budget=None if budget is None else budget * in_stored / unit[1],
        log=log,
        title=f"Expected best {score} against {SPENT[metric]}",
        summary=summary(drawn, read.unit, unit),
        projects=frozenset(read.projects),
    )


def summary(drawn: Sequence[MethodCurve], stored: str, unit: Unit) -> str:
    """The result of each method with all its trials, in a sentence."""
    parts = [
        f"{method.name} {number(method.points[-1].expected)} after "
        f"{counted(method.trials, 'trial')} ({with_unit(method.points[-1].cost, stored, unit)})"
        for method in drawn
    ]
    return f"Expected best score with all trials: {'; '.join(parts)}."


def _row(method: MethodCurve, unit: Unit) -> MethodRow:
    def of(trials: int) -> FigureView:
        if not method.points:
            return unknown(method.reason)
        point = method.points[trials - 1]
        return figure(Figure(point.expected, point.low, point.high, "1", None))

    cost = read_figure(method.mean_cost.model_dump())
    return MethodRow(method, figure(cost, shown=unit), of(1), of(SOME), of(len(method.points)))


def _remarks(read: ExpectedValidationRead) -> list[str]:
    remarks = [
        "The band holds the best score in 95% of searches with that many trials; it closes where"
        " all trials are used, because nothing is extrapolated beyond them."
        if not read.with_replacement
        else "The estimate with replacement (Dodge et al. 2019) is biased downward; without it"
        " (Tang et al. 2020), it is unbiased.",
        "The cost of a trial is the cost of all runs of its method, including failed ones,"
        " divided by the number of runs with the score.",
    ]
    if read.summed_trials:
        remarks.append(summed_text(read.summed_trials, read.summed_runs))
    if read.unreadable:
        remarks.append(without_unreadable(read.unreadable))
    if not read.is_whole:
        remarks.append("Only the newest of the selected runs are used.")
    return remarks
