"""Energy over time: bars of hours, days or months, stacked by group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import altair as alt

from app.charts import forms
from app.charts.chart import Chart, Column, Row

HEIGHT = 300
IDLE_OPACITY = 0.25


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a bar.

    Attributes:
        start: Beginning of the hour, day or month.
        stop: Its end.
        group: What the part is.
        value: Its energy, in the unit of the chart.
        low: Lower end of the 95% interval.
        high: Upper end.
    """

    start: datetime
    stop: datetime
    group: str
    value: float
    low: float | None = None
    high: float | None = None


def stacked(
    parts: Sequence[Part],
    groups: Sequence[str],
    *,
    measure: str,
    unit: str,
    title: str,
    summary: str,
    projects: frozenset[str],
    kind: str = "energy",
    idle: str | None = None,
) -> Chart:
    """The chart of parts, stacked in the order of the groups.

    Args:
        parts: The parts, bar by bar; negative ones are not drawn.
        groups: The groups, from the bottom to the top.
        measure: Title of the axis.
        unit: Unit of all values.
        title: Heading.
        summary: What it shows, in a sentence made from the data.
        projects: Projects whose runs it shows.
        kind: What it is, in the names of its files.
        idle: The group that belongs to no run, which is paler.
    """
    return Chart(
        kind=kind,
        title=title,
        summary=summary,
        columns=[
            Column("start", "Start (UTC)"),
            Column("group", "Part"),
            Column("value", measure, unit),
            Column("low", f"{measure}, low", unit),
            Column("high", f"{measure}, high", unit),
        ],
        rows=_rows(parts, groups),
        form=_form(measure, unit, tuple(groups), idle),
        projects=projects,
        height=HEIGHT,
    )


def _rows(parts: Sequence[Part], groups: Sequence[str]) -> list[Row]:
    order = {group: number for number, group in enumerate(groups)}
    reached: dict[datetime, float] = {}
    rows: list[Row] = []
    for part in sorted(parts, key=lambda each: (each.start, order[each.group])):
        base = reached.get(part.start, 0.0)
        top = base + max(part.value, 0.0)
        reached[part.start] = top
        rows.append(
            {
                "start": utc(part.start),
                "stop": utc(part.stop),
                "group": part.group,
                "value": part.value,
                "low": part.low,
                "high": part.high,
                "base": base,
                "top": top,
            }
        )
    return rows


def utc(at: datetime) -> str:
    """A time in the form that charts use."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


TIMES = {
    **dict.fromkeys(("milliseconds", "seconds"), "%H:%M:%S"),
    **dict.fromkeys(("minutes", "hours"), "%H:%M"),
    **dict.fromkeys(("day", "date", "week"), "%b %d"),
    "month": "%b %Y",
    "quarter": "%b %Y",
    "year": "%Y",
}
"""Labels of a time axis, by the distance of its ticks."""


def time_axis(field: str) -> alt.X:
    """The axis of time, in UTC."""
    axis = forms.axis("Time (UTC)", format=TIMES)
    return alt.X(f"{field}:T", scale=alt.Scale(type="utc"), axis=axis)


@lru_cache(maxsize=256)
def _form(measure: str, unit: str, groups: tuple[str, ...], idle: str | None) -> dict[str, Any]:
    legend = forms.top_legend() if len(groups) > 1 else None
    bars = (
        alt.Chart(forms.ROWS)
        .mark_bar(xOffset=0.5, x2Offset=-0.5)
        .encode(
            x=time_axis("start"),
            x2="stop",
            y=alt.Y("base:Q", axis=forms.axis(forms.titled(measure, unit))),
            y2="top",
            color=forms.by_color("group", groups, legend),
            opacity=alt.condition(
                alt.datum.group == (idle or ""), alt.value(IDLE_OPACITY), alt.value(1.0)
            ),
            tooltip=forms.tooltips(
                ("group", "N", "Part"),
                ("start", "T", "Start"),
                ("value", "Q", forms.titled(measure, unit)),
                ("low", "Q", "low"),
                ("high", "Q", "high"),
            ),
        )
    )
    return forms.finished(alt.layer(bars), zoom=0)
