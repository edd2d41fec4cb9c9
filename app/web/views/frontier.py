"""The frontier of quality and cost as a view model: chart, table, and the waste of a sweep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from app.charts.chart import Chart
from app.charts.frontier import Axes, Mark
from app.charts.frontier import frontier as frontier_chart
from app.schemas.insights import FrontierPoint, FrontierRead
from app.web.views.figures import FigureView, figure, unknown
from app.web.views.insights import (
    AXES,
    axis_unit,
    score_name,
    sources_text,
    without_unreadable,
)
from pricetag.tag.axes import Axis
from pricetag.tag.figure import Figure, scaled
from pricetag.tag.figure import figure_of as read_figure
from pricetag.tag.figures import Unit, counted, number, with_unit
from pricetag.tag.scores import LOWER_IS_BETTER
from pricetag.tag.trials import summed_text

POINT = 0.01
"""A point of quality of a score between 0 and 1."""

GROUPINGS = (("", "Nothing"), ("kind", "Stage kinds"), ("project", "Project"), ("status", "Status"))
NO_GROUP = "run"
NO_TAG = "without the tag"


@dataclass(frozen=True, slots=True)
class Settings:
    """Choices in the page's address.

    Attributes:
        metric: The cost.
        by: Grouping: a field, or `tag:PREFIX`.
        log: Axes with a logarithmic scale: `cost`, `quality`.
        whiskers: Whether intervals are drawn.
    """

    metric: Axis
    by: str
    log: Sequence[str]
    whiskers: bool


@dataclass(frozen=True, slots=True)
class FrontierRow:
    """A run of the table."""

    point: FrontierPoint
    group: str
    cost: FigureView
    quality: FigureView
    place: str
    price: FigureView | None
    remark: str


@dataclass(frozen=True, slots=True)
class FrontierView:
    """The page.

    Attributes:
        chart: The chart; None where no run has a known cost.
        rows: The runs: the frontier from cheapest to best, then all others by cost.
        cost_name: Name of the cost.
        cost_unit: Unit of its column.
        quality_name: Name of the score.
        price_unit: Unit of the marginal price.
        wasted: Cost of the runs after the last improvement.
        remarks: Important remarks on these runs, in sentences.
        groupings: Possible groupings of the points.
        by: Name of the chosen grouping; empty without one.
    """

    chart: Chart | None
    rows: Sequence[FrontierRow]
    cost_name: str
    cost_unit: str
    quality_name: str
    price_unit: str
    wasted: FigureView
    remarks: Sequence[str]
    groupings: Sequence[tuple[str, str]]
    by: str


def frontier_view(read: FrontierRead, settings: Settings) -> FrontierView:
    """The view of a frontier."""
    costs = [point.cost.value for point in read.points if point.cost.unit == read.unit]
    unit = axis_unit(costs, read.unit)
    options = [*GROUPINGS, *((f"tag:{tag}", f"Tag {tag}") for tag in _prefixes(read.points))]
    by = next((label for value, label in options if value == settings.by and value), "")
    group_of = _grouping(settings.by if by else "")
    cost_name, quality_name = AXES[settings.metric], score_name(read.kind)
    part, price_unit = _price_unit(read, unit)
    return FrontierView(
        chart=_chart(read, settings, unit, by, group_of),
        rows=_rows(read, unit, part, group_of),
        cost_name=cost_name,
        cost_unit=unit[0],
        quality_name=quality_name,
        price_unit=price_unit,
        wasted=figure(read_figure(read.wasted_cost.model_dump())),
        remarks=_remarks(read),
        groupings=options,
        by=by,
    )


def _prefixes(points: Sequence[FrontierPoint]) -> list[str]:
    """Prefixes of tags such as `seed:1`."""
    tags = {tag.partition(":")[0] for point in points for tag in point.tags if ":" in tag}
    return sorted(tags)[:20]


def _grouping(by: str) -> Callable[[FrontierPoint], str]:
    if by.startswith("tag:"):
        start = by.removeprefix("tag:") + ":"
        return lambda point: next((tag for tag in point.tags if tag.startswith(start)), NO_TAG)
    return lambda point: str(getattr(point, by)) if by else NO_GROUP


def _price_unit(read: FrontierRead, unit: Unit) -> tuple[float, str]:
    """The part of a unit of quality that a price is for, and the price's unit."""
    is_open = read.score is not None and read.score.metric in LOWER_IS_BETTER
    part, words = (1.0, "unit") if is_open else (POINT, f"{POINT:g}")
    name = read.score.metric if read.score is not None else "quality"
    return part, f"{unit[0]} per {words} of {name}"


def _chart(
    read: FrontierRead,
    settings: Settings,
    unit: Unit,
    by: str,
    group_of: Callable[[FrontierPoint], str],
) -> Chart | None:
    best = {step.run_id for step in read.steps}
    drawn = [p for p in read.points if p.cost.value is not None and p.cost.unit == read.unit]
    if not drawn:
        return None
    marks = [
        Mark(
            name=point.name,
            group=group_of(point),
            cost=(point.cost.value or 0.0) / unit[1],
            low=None if point.cost.low is None else point.cost.low / unit[1],
            high=None if point.cost.high is None else point.cost.high / unit[1],
            quality=point.quality,
            status=point.status,
            is_best=point.run_id in best,
        )
        for point in drawn
    ]
    axes = Axes(
        cost=AXES[settings.metric],
        unit=unit[0],
        quality=score_name(read.kind),
        log_cost="cost" in settings.log and all(mark.cost > 0 for mark in marks),
        log_quality="quality" in settings.log
        and all(mark.quality is None or mark.quality > 0 for mark in marks),
        whiskers=settings.whiskers,
        grouped_by=by,
    )
    return frontier_chart(
        marks,
        axes,
        title=f"{axes.quality} against {axes.cost}",
        summary=summary(read),
        projects=frozenset(point.project for point in read.points),
        sources=sources_text([(str(point.run_id), point.version) for point in drawn]),
    )


def summary(read: FrontierRead) -> str:
    """The frontier in a sentence."""
    steps = read.steps
    if not steps:
        return f"No frontier: {read.reason}."
    points = {point.run_id: point for point in read.points}
    first, last = points[steps[0].run_id], points[steps[-1].run_id]
    ranked = sum(point.is_dominated is not None for point in read.points)
    verb = "is" if len(steps) == 1 else "are"
    text = f"{len(steps)} of {counted(ranked, 'scored run')} {verb} beaten by no other run"
    if first is last:
        return f"{text}: {_reach(first)}."
    return f"{text}, from {_reach(first)} to {_reach(last)}."


def _reach(point: FrontierPoint) -> str:
    return (
        f"{number(point.quality or 0.0)} at {with_unit(point.cost.value or 0.0, point.cost.unit)}"
    )


def _rows(
    read: FrontierRead, unit: Unit, part: float, group_of: Callable[[FrontierPoint], str]
) -> list[FrontierRow]:
    points = {point.run_id: point for point in read.points}
    rows = []
    for step in read.steps:
        stored = read_figure(step.marginal_price.model_dump())
        price = figure(scaled(stored, part, read.unit), shown=unit)
        if stored.value is not None:  # the plain value is that of the API, for a unit of quality
            exact = f"{stored.value!r} {stored.unit} for 1 of quality"
            price = replace(price, value=stored.value, exact=exact)
        rows.append(
            _row(
                points[step.run_id],
                read,
                unit,
                group_of,
                "on the frontier",
                price,
                "cost differs from the previous step by less than both intervals"
                if step.is_costlier is False
                else "",
            )
        )
    best = {step.run_id for step in read.steps}
    others = [point for point in read.points if point.run_id not in best]
    for point in sorted(others, key=lambda p: (p.quality is None, p.cost.value or 0.0)):
        place = "beaten by another run" if point.is_dominated else "not ranked"
        rows.append(_row(point, read, unit, group_of, place, None, point.quality_reason or ""))
    return rows


def _row(
    point: FrontierPoint,
    read: FrontierRead,
    unit: Unit,
    group_of: Callable[[FrontierPoint], str],
    place: str,
    price: FigureView | None,
    remark: str,
) -> FrontierRow:
    cost = read_figure(point.cost.model_dump())
    shown = unit if cost.unit == read.unit else None
    quality = (
        unknown(point.quality_reason)
        if point.quality is None
        else figure(Figure(point.quality, None, None, "1", None))
    )
    return FrontierRow(
        point, group_of(point), figure(cost, shown=shown), quality, place, price, remark
    )


def _remarks(read: FrontierRead) -> list[str]:
    remarks = []
    if read.kind is not None and read.kind.data_reason:
        remarks.append(
            "The data that the runs were scored on are not recorded; they are ranked as if they"
            " were the same."
        )
    if read.without_quality and read.kind is not None:
        remarks.append(
            f"{counted(read.without_quality, 'run')} without this score, such as failed ones, "
            "are shown as crosses below the axis and in the table."
        )
    if read.summed_trials:
        remarks.append(summed_text(read.summed_trials, read.summed_runs))
    if read.unreadable:
        remarks.append(without_unreadable(read.unreadable))
    if not read.is_whole:
        remarks.append(f"These are the newest {len(read.points)} of the selected runs.")
    return remarks
