"""Cumulative energy of variants of a model against the number of their inferences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import altair as alt

from app.charts import forms
from app.charts.chart import HEIGHT, Chart, Column, Row
from app.charts.curves import PLOT_SHARE, upright
from app.charts.labels import apart

POINTS = 41
"""Number of points of each line."""


@dataclass(frozen=True, slots=True)
class Line:
    """A variant: its energy is `making + inferences * each`, in the unit of the axis.

    Attributes:
        name: What it is.
        making: Energy of making it.
        each: Energy of one inference.
        source: Evidence behind both.
        meets: Inferences after which it has paid back; None if it never does, or unknown.
        meets_low: Lower end of the interval.
        meets_high: Upper end.
    """

    name: str
    making: float
    each: float
    source: str
    meets: float | None = None
    meets_low: float | None = None
    meets_high: float | None = None


def break_even(
    lines: Sequence[Line],
    *,
    until: float,
    expected: float | None,
    unit: str,
    title: str,
    summary: str,
    projects: frozenset[str],
    sources: str = "",
) -> Chart:
    """The chart of cumulative energy, with crossings marked.

    Args:
        lines: The variants, with the baseline first.
        until: Number of inferences at the right end.
        expected: Expected number of inferences, to mark.
        unit: Unit of the energy.
        title: Heading.
        summary: What it shows, in a sentence.
        projects: Projects of the runs.
        sources: Runs and versions, for the caption.
    """
    rows: list[Row] = [
        {
            "variant": line.name,
            "inferences": count,
            "energy": line.making + count * line.each,
            "source": line.source,
        }
        for line in lines
        for count in (until * n / (POINTS - 1) for n in range(POINTS))
    ]
    crossings: list[Row] = [
        {
            "variant": line.name,
            "at": line.meets,
            "energy": line.making + line.meets * line.each,
            "low": line.meets_low,
            "high": None if line.meets_high is None else min(line.meets_high, until),
        }
        for line in lines
        if line.meets is not None and line.meets <= until
    ]
    mark: list[Row] = [] if expected is None else [{"at": expected, "text": "expected"}]
    return Chart(
        kind="break-even",
        title=title,
        summary=summary,
        columns=[
            Column("variant", "Variant"),
            Column("inferences", "Inferences"),
            Column("energy", "Energy so far", unit),
            Column("source", "Source"),
        ],
        rows=rows,
        form=_form(unit, tuple(line.name for line in lines)),
        projects=projects,
        sources=sources,
        extra={"crossings": crossings, "ends": _ends(lines, until), "expected": mark},
    )


def _ends(lines: Sequence[Line], until: float) -> list[dict[str, Any]]:
    last = [line.making + until * line.each for line in lines]
    height = HEIGHT * PLOT_SHARE
    places = apart(last, (0.0, max(last, default=1.0)), height_px=height)
    return [
        {"variant": line.name, "label": forms.short(line.name, 18), "at": until, "place": place}
        for line, place in zip(lines, places, strict=True)
    ]


@lru_cache(maxsize=256)
def _form(unit: str, names: tuple[str, ...]) -> dict[str, Any]:
    x_axis = forms.axis("Inferences", format=forms.COUNTS, labelExpr=forms.PLAIN_ZERO)
    x = alt.X("inferences:Q", scale=forms.scale(zero=True), axis=x_axis)
    at = alt.X("at:Q", scale=forms.scale(zero=True), axis=x_axis)
    y_axis = forms.axis(forms.titled("Energy so far", unit))
    y = alt.Y("energy:Q", scale=forms.scale(zero=True), axis=y_axis)
    color = forms.by_color("variant", names)
    met = alt.Chart(forms.named("crossings"))
    tips = forms.tooltips(
        ("variant", "N", "Variant"),
        ("inferences", "Q", "Inferences"),
        ("energy", "Q", forms.titled("Energy so far", unit)),
        ("source", "N", "Source"),
    )
    return forms.finished(
        alt.layer(
            *upright("expected", "limit", at),
            alt.Chart(forms.ROWS)
            .mark_line()
            .encode(
                x=x, y=y, color=color, strokeDash=forms.by_dash("variant", names), tooltip=tips
            ),
            met.mark_rule(style="crossing").encode(x=at, y=y, y2=alt.value("height")),
            met.transform_filter("isValid(datum.low) && isValid(datum.high)")
            .mark_rule(style="error")
            .encode(x=alt.X("low:Q", scale=forms.scale(zero=True)), x2="high", y=y),
            met.mark_point(filled=True, size=70).encode(
                x=at,
                y=y,
                color=color,
                shape=forms.by_marker("variant", names),
                tooltip=forms.tooltips(
                    ("variant", "N", "Variant"),
                    ("at", "Q", "Break-even, inferences"),
                    ("low", "Q", "low"),
                    ("high", "Q", "high"),
                ),
            ),
            alt.Chart(forms.named("ends"))
            .mark_text(clip=False, align="left", dx=7)
            .encode(x=at, y=alt.Y("place:Q", axis=y_axis), text="label:N", color=color),
        ),
        zoom=2,
    )
