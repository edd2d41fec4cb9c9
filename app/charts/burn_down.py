"""Burn-down of a budget: what was spent, what open runs will use, and the limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import altair as alt

from app.charts import forms
from app.charts.chart import Chart, Column, Row
from app.charts.energy import HEIGHT, time_axis, utc

SPENT, EXPECTED = "spent", "expected"


@dataclass(frozen=True, slots=True)
class Use:
    """Use by a time.

    Attributes:
        at: The time.
        value: Amount used by then, in the unit of the chart.
        low: Lower end of what is expected; None of what was spent.
        high: Upper end.
    """

    at: datetime
    value: float
    low: float | None = None
    high: float | None = None


def burn_down(
    spent: Sequence[Use],
    expected: Sequence[Use],
    *,
    limit: float,
    now: datetime,
    measure: str,
    unit: str,
    title: str,
    summary: str,
    projects: frozenset[str],
) -> Chart:
    """The chart of a budget.

    Args:
        spent: Past use, in order of time.
        expected: Expected use by open runs, from now on; empty if none is known.
        limit: Amount of the budget.
        now: Present time.
        measure: Title of the axis.
        unit: Unit of all amounts.
        title: Heading.
        summary: What it shows, in a sentence made from the data.
        projects: Projects whose runs it shows.
    """
    rows: list[Row] = [
        {"at": utc(use.at), "kind": kind, "value": use.value, "low": use.low, "high": use.high}
        for kind, uses in ((SPENT, spent), (EXPECTED, expected))
        for use in uses
    ]
    return Chart(
        kind="burn-down",
        title=title,
        summary=summary,
        columns=[
            Column("at", "Time (UTC)"),
            Column("kind", "Use"),
            Column("value", measure, unit),
            Column("low", f"{measure}, low", unit),
            Column("high", f"{measure}, high", unit),
        ],
        rows=rows,
        form=_form(measure, unit),
        projects=projects,
        extra={
            "limit": [{"value": limit, "text": "limit"}],
            "now": [{"at": utc(now), "text": "now"}],
        },
        height=HEIGHT,
    )


@lru_cache(maxsize=64)
def _form(measure: str, unit: str) -> dict[str, Any]:
    x = time_axis("at")
    axis = forms.axis(forms.titled(measure, unit))
    y = alt.Y("value:Q", axis=axis)
    kinds = (SPENT, EXPECTED)
    color = forms.by_color("kind", kinds, forms.top_legend())
    rows = alt.Chart(forms.ROWS)
    fan = rows.mark_area(opacity=0.25).encode(
        x=x, y=alt.Y("low:Q", axis=axis), y2="high", color=color
    )
    line = rows.mark_line().encode(
        x=x,
        y=y,
        color=color,
        strokeDash=forms.by_dash("kind", kinds),
        tooltip=forms.tooltips(
            ("at", "T", "Time"),
            ("kind", "N", "Use"),
            ("value", "Q", forms.titled(measure, unit)),
            ("low", "Q", "low"),
            ("high", "Q", "high"),
        ),
    )
    limit = alt.Chart(forms.named("limit"))
    now = alt.Chart(forms.named("now"))
    return forms.finished(
        alt.layer(
            fan,
            limit.mark_rule(style="limit").encode(y=y),
            limit.mark_text(style="note", align="left", baseline="top", dx=4, dy=4).encode(
                x=alt.value(0), y=y, text="text:N"
            ),
            now.mark_rule(style="reference").encode(x=x),
            now.mark_text(style="note", align="right", baseline="top", dx=-4).encode(
                x=x, y=alt.value(2), text="text:N"
            ),
            line,
        ),
        zoom=0,
    )
