"""Curves with bands: expected best score of k trials against their cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import altair as alt

from app.charts import forms
from app.charts.chart import HEIGHT, Chart, Column, Row
from app.charts.labels import apart

PLOT_SHARE = 0.8
"""Approximate share of a chart's height that its plot takes."""


@dataclass(frozen=True, slots=True)
class Knot:
    """A point of a curve.

    Attributes:
        trials: Number of trials.
        cost: What they cost, in the unit of the axis.
        expected: Expected best score.
        low: Lower end of the band.
        high: Upper end.
    """

    trials: int
    cost: float
    expected: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Curve:
    """The curve of one method."""

    name: str
    knots: Sequence[Knot]


@dataclass(frozen=True, slots=True)
class Crossing:
    """Where two curves cross."""

    text: str
    cost: float


def curves(
    lines: Sequence[Curve],
    crossings: Sequence[Crossing],
    *,
    measure: str,
    unit: str,
    score: str,
    budget: float | None,
    log: bool,
    title: str,
    summary: str,
    projects: frozenset[str],
    sources: str = "",
) -> Chart:
    """The chart of expected best scores.

    Args:
        lines: The methods.
        crossings: Where their curves cross.
        measure: Title of the cost.
        unit: Its unit.
        score: Title of the score.
        budget: A budget to mark, in the unit of the axis.
        log: Whether the cost's axis is logarithmic.
        title: Heading.
        summary: What it shows, in a sentence.
        projects: Projects of the runs.
        sources: Runs and versions, for the caption.
    """
    rows: list[Row] = [
        {
            "method": line.name,
            "trials": knot.trials,
            "cost": knot.cost,
            "expected": knot.expected,
            "low": knot.low,
            "high": knot.high,
        }
        for line in lines
        for knot in line.knots
    ]
    marks: list[Row] = [{"at": each.cost, "text": each.text} for each in crossings]
    limit: list[Row] = [] if budget is None else [{"at": budget, "text": "budget"}]
    return Chart(
        kind="expected-validation",
        title=title,
        summary=summary,
        columns=[
            Column("method", "Method"),
            Column("trials", "Trials"),
            Column("cost", measure, unit),
            Column("expected", f"Expected best {score}"),
            Column("low", "Low"),
            Column("high", "High"),
        ],
        rows=rows,
        form=_form(measure, unit, score, log, tuple(line.name for line in lines)),
        projects=projects,
        sources=sources,
        extra={"ends": _ends(lines), "crossings": marks, "budget": limit},
    )


def _ends(lines: Sequence[Curve]) -> list[dict[str, Any]]:
    """The name of each curve at its end, without overlaps."""
    knots = [knot for line in lines for knot in line.knots]
    if not knots:
        return []
    domain = (min(knot.low for knot in knots), max(knot.high for knot in knots))
    last = [line.knots[-1] for line in lines]
    height = HEIGHT * PLOT_SHARE
    places = apart([knot.expected for knot in last], domain, height_px=height)
    return [
        {"method": line.name, "label": forms.short(line.name, 18), "cost": knot.cost, "at": place}
        for line, knot, place in zip(lines, last, places, strict=True)
    ]


@lru_cache(maxsize=256)
def _form(measure: str, unit: str, score: str, log: bool, names: tuple[str, ...]) -> dict[str, Any]:
    x_scale = forms.scale(log=log)
    x_axis = forms.axis(forms.titled(measure, unit), log=log)
    x = alt.X("cost:Q", scale=x_scale, axis=x_axis)
    at = alt.X("at:Q", scale=x_scale, axis=x_axis)
    y_axis = forms.axis(f"Expected best {score}")
    y = alt.Y("expected:Q", scale=forms.scale(), axis=y_axis)
    base = alt.Chart(forms.ROWS)
    color = forms.by_color("method", names)
    band = base.mark_area(opacity=0.14, line=False).encode(
        x=x, y=alt.Y("low:Q", scale=forms.scale(), axis=y_axis), y2="high", color=color
    )
    line = base.mark_line().encode(x=x, y=y, color=color, strokeDash=forms.by_dash("method", names))
    dots = base.mark_point(filled=True, size=22).encode(
        x=x,
        y=y,
        color=color,
        shape=forms.by_marker("method", names),
        tooltip=forms.tooltips(
            ("method", "N", "Method"),
            ("trials", "Q", "Trials"),
            ("cost", "Q", forms.titled(measure, unit)),
            ("expected", "Q", f"Expected best {score}"),
            ("low", "Q", "low"),
            ("high", "Q", "high"),
        ),
    )
    ends = (
        alt.Chart(forms.named("ends"))
        .mark_text(clip=False, align="left", dx=7)
        .encode(x=x, y=alt.Y("at:Q", axis=y_axis), text="label:N", color=color)
    )
    return forms.finished(
        alt.layer(
            band,
            *upright("crossings", "crossing", at, is_below=True),
            *upright("budget", "limit", at, line=1, is_below=True),
            line,
            dots,
            ends,
        ),
        zoom=0,
    )


def upright(
    data: str, style: str, at: alt.X, *, line: int = 0, is_below: bool = False
) -> list[Any]:
    """Vertical lines of a data set of `{at, text}`, with their texts in a row.

    Args:
        data: Name of the data set.
        style: Style of the lines.
        at: Their place on the axis.
        line: Number of the row, from the edge of the plot.
        is_below: Whether the rows are at the bottom of the plot, below rising curves.
    """
    chart = alt.Chart(forms.named(data))
    place = 2 + 13 * line
    y = alt.value(alt.ExprRef(f"height - {place}")) if is_below else alt.value(place)
    baseline: Literal["bottom", "top"] = "bottom" if is_below else "top"
    return [
        chart.mark_rule(style=style).encode(x=at),
        chart.mark_text(style="note", align="left", baseline=baseline, dx=4).encode(
            x=at, y=y, text="text:N"
        ),
    ]
