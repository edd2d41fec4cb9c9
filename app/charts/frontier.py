"""Quality against cost: runs, whiskers, and the line that no run beats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

import altair as alt

from app.charts import forms
from app.charts.chart import Chart, Column
from app.charts.labels import LINE_PX
from app.charts.theme import MAX_SERIES
from pricetag.tag.status import status_text

OTHER = "other groups"

NAME = 20
"""Maximum number of characters of a run's name."""

CHARACTER_PX = 6.5
PLOT_PX = (600.0, 300.0)
"""Approximate size of a wide chart's plot, and width of a character of its labels."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A run on the chart, in the units of the axes.

    Attributes:
        name: Name of the run.
        group: Group that it is colored by.
        cost: Its cost.
        low: Lower end of the cost's interval.
        high: Upper end.
        quality: Its score; None without one.
        status: Status of the run.
        is_best: Whether no other run beats it.
    """

    name: str
    group: str
    cost: float
    low: float | None
    high: float | None
    quality: float | None
    status: str
    is_best: bool


@dataclass(frozen=True, slots=True)
class Axes:
    """What the axes show.

    Attributes:
        cost: Title of the cost.
        unit: Its unit.
        quality: Title of the quality.
        log_cost: Whether the cost's axis is logarithmic.
        log_quality: Whether that of the quality is.
        whiskers: Whether intervals are drawn.
        grouped_by: Name of the grouping; empty without one.
        cost_domain: Domain of the cost's axis; by default that of the marks.
        quality_domain: The same of the quality.
    """

    cost: str
    unit: str
    quality: str
    log_cost: bool = False
    log_quality: bool = False
    whiskers: bool = True
    grouped_by: str = ""
    cost_domain: forms.Domain | None = None
    quality_domain: forms.Domain | None = None


def groups_of(marks: Sequence[Mark]) -> tuple[str, ...]:
    """The groups, largest first; those beyond what the eye can distinguish are merged into one."""
    sizes: dict[str, int] = {}
    for mark in marks:
        sizes[mark.group] = sizes.get(mark.group, 0) + 1
    order = sorted(sizes, key=lambda group: (-sizes[group], group))
    if len(order) <= MAX_SERIES:
        return tuple(order)
    return (*order[: MAX_SERIES - 1], OTHER)


def frontier(
    marks: Sequence[Mark],
    axes: Axes,
    *,
    title: str,
    summary: str,
    projects: frozenset[str],
    sources: str = "",
) -> Chart:
    """The chart of quality against cost.

    Args:
        marks: The runs with a known cost.
        axes: What the axes show.
        title: Heading.
        summary: What it shows, in a sentence.
        projects: Projects of the runs.
        sources: Runs and versions, for the caption.
    """
    groups = groups_of(marks)
    axes = _with_domains(axes, marks)
    rows = [
        {
            **asdict(mark),
            "group": mark.group if mark.group in groups else OTHER,
            "status": status_text(mark.status),
        }
        for mark in marks
    ]
    best = sorted((mark for mark in marks if mark.is_best), key=lambda mark: mark.cost)
    line = [{"cost": mark.cost, "quality": mark.quality} for mark in best]
    labels = [
        {"cost": mark.cost, "quality": mark.quality, "label": forms.short(mark.name, NAME)}
        for mark in _labeled(best, axes)
    ]
    columns = [
        Column("name", "Run"),
        *([Column("group", axes.grouped_by)] if axes.grouped_by else []),
        Column("status", "Status"),
        Column("cost", axes.cost, axes.unit),
        Column("low", f"{axes.cost}, low", axes.unit),
        Column("high", f"{axes.cost}, high", axes.unit),
        Column("quality", axes.quality),
        Column("is_best", "On the frontier"),
    ]
    return Chart(
        kind="frontier",
        title=title,
        summary=summary,
        columns=columns,
        rows=rows,
        form=_form(axes, groups),
        projects=projects,
        sources=sources,
        extra={"line": line, "labels": labels},
        height=400,
    )


def _labeled(best: Sequence[Mark], axes: Axes) -> list[Mark]:
    """The runs of the frontier whose names do not overlap; the best and the cheapest first.

    Args:
        best: The runs of the frontier, cheapest first.
        axes: What the axes show.
    """
    xs = _places([mark.cost for mark in best], PLOT_PX[0], log=axes.log_cost)
    ys = _places([mark.quality or 0.0 for mark in best], PLOT_PX[1], log=axes.log_quality)
    kept: list[int] = []
    for place in dict.fromkeys([len(best) - 1, *range(len(best))] if best else []):
        width = CHARACTER_PX * min(len(best[place].name), NAME)
        if all(
            abs(ys[place] - ys[other]) >= LINE_PX
            or xs[other] - xs[place] >= width
            or xs[place] - xs[other] >= CHARACTER_PX * min(len(best[other].name), NAME)
            for other in kept
        ):
            kept.append(place)
    return [best[place] for place in sorted(kept)]


def _places(values: Sequence[float], size_px: float, *, log: bool) -> list[float]:
    """Approximate places on an axis, in pixels."""
    scaled = [math.log(value) if log and value > 0 else value for value in values]
    low, high = min(scaled, default=0.0), max(scaled, default=0.0)
    return [size_px * (value - low) / ((high - low) or 1.0) for value in scaled]


def _with_domains(axes: Axes, marks: Sequence[Mark]) -> Axes:
    """The axes, extended where all marks have the same value."""
    ends = [end for mark in marks for end in (mark.low, mark.high) if end is not None]
    costs = [*(mark.cost for mark in marks), *(ends if axes.whiskers else [])]
    qualities = [mark.quality for mark in marks if mark.quality is not None]
    return replace(
        axes,
        cost_domain=forms.around_one(costs, log=axes.log_cost),
        quality_domain=forms.around_one(qualities, log=axes.log_quality, is_share=True),
    )


@lru_cache(maxsize=256)
def _form(axes: Axes, groups: tuple[str, ...]) -> dict[str, Any]:
    x = alt.X(
        "cost:Q",
        scale=forms.scale(log=axes.log_cost, padding=18, domain=axes.cost_domain),
        axis=forms.axis(forms.titled(axes.cost, axes.unit), log=axes.log_cost),
    )
    y = alt.Y(
        "quality:Q",
        scale=forms.scale(log=axes.log_quality, padding=22, domain=axes.quality_domain),
        axis=forms.axis(axes.quality, log=axes.log_quality),
    )
    legend = forms.top_legend(axes.grouped_by) if axes.grouped_by else None
    tips = forms.tooltips(
        ("name", "N", "Run"),
        ("status", "N", "Status"),
        ("cost", "Q", forms.titled(axes.cost, axes.unit)),
        ("low", "Q", "low"),
        ("high", "Q", "high"),
        ("quality", "Q", axes.quality),
    )
    scored = alt.Chart(forms.ROWS).transform_filter("isValid(datum.quality)")
    layers: list[Any] = [
        alt.Chart(forms.named("line"))
        .mark_line(interpolate="step-after", style="frontier")
        .encode(x=x, y=y)
    ]
    if axes.whiskers:
        layers.append(
            scored.transform_filter("isValid(datum.low) && isValid(datum.high)")
            .mark_rule(style="whisker")
            .encode(x=alt.X("low:Q"), x2="high", y=y)
        )
    color = forms.by_color("group", groups, legend)
    layers.append(
        scored.mark_point(filled=True).encode(
            x=x,
            y=y,
            color=color,
            shape=forms.by_marker("group", groups, legend),
            fillOpacity=alt.condition("datum.is_best", alt.value(1), alt.value(0.25)),
            stroke=alt.Stroke("group:N", scale=alt.Scale(domain=list(groups)), legend=None),
            tooltip=tips,
        )
    )
    layers.append(
        alt.Chart(forms.ROWS)
        .transform_filter("!isValid(datum.quality)")
        .mark_point(shape="cross", angle=45, size=70, style="failed")
        .encode(x=x, y=alt.value(alt.ExprRef("height - 7")), tooltip=tips)
    )
    layers.append(
        alt.Chart(forms.named("labels"))
        .mark_text(style="label", clip=False, align="left", baseline="bottom", dx=6, dy=-5)
        .encode(x=x, y=y, text="label:N")
    )
    return forms.finished(alt.layer(*layers), zoom=0)
