"""Ratios to a reference group with their intervals, one line per figure and group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import altair as alt

from app.charts import forms
from app.charts.chart import Chart, Column

LINE_PX = 22
AROUND_PX = 88


@dataclass(frozen=True, slots=True)
class Ratio:
    """A group's mean over that of the reference.

    Attributes:
        figure: What is compared.
        group: The group.
        ratio: Its mean over the reference's.
        low: Lower end of the 95% interval; None where it is unknown.
        high: Upper end.
    """

    figure: str
    group: str
    ratio: float
    low: float | None
    high: float | None


def ratios(
    marks: Sequence[Ratio],
    *,
    reference: str,
    title: str,
    summary: str,
    projects: frozenset[str],
    sources: str = "",
) -> Chart:
    """The chart of ratios.

    Args:
        marks: The known ratios.
        reference: Name of the group that all are compared with.
        title: Heading.
        summary: What it shows, in a sentence.
        projects: Projects of the runs.
        sources: Runs and versions, for the caption.
    """
    figures = tuple(dict.fromkeys(mark.figure for mark in marks))
    groups = tuple(dict.fromkeys(mark.group for mark in marks))
    height = AROUND_PX + LINE_PX * max(1, len(groups)) * max(1, len(figures))
    return Chart(
        kind="comparison",
        title=title,
        summary=summary,
        columns=[
            Column("figure", "Figure"),
            Column("group", "Group"),
            Column("ratio", f"Ratio to {reference}"),
            Column("low", "Low"),
            Column("high", "High"),
        ],
        rows=[asdict(mark) for mark in marks],
        form=_form(reference, figures, groups),
        projects=projects,
        sources=sources,
        extra={"one": [{"at": 1.0}]},
        height=height,
    )


@lru_cache(maxsize=256)
def _form(reference: str, figures: tuple[str, ...], groups: tuple[str, ...]) -> dict[str, Any]:
    title = f"Ratio to {forms.short(reference)}"
    x_scale, x_axis = forms.scale(log=True, padding=24), forms.axis(title, log=True)
    y = alt.Y(
        "figure:N",
        sort=list(figures),
        scale=alt.Scale(domain=list(figures)),
        axis=alt.Axis(title=None, ticks=False, domain=False, labelLimit=150),
    )
    place = alt.YOffset("group:N", sort=list(groups), scale=alt.Scale(domain=list(groups)))
    base = alt.Chart(forms.ROWS)
    legend = forms.top_legend() if len(groups) > 1 else None
    color = forms.by_color("group", groups, legend)
    return forms.finished(
        alt.layer(
            alt.Chart(forms.named("one"))
            .mark_rule(style="reference")
            .encode(x=alt.X("at:Q", scale=x_scale, axis=x_axis)),
            base.transform_filter("isValid(datum.low) && isValid(datum.high)")
            .mark_rule(strokeWidth=1.8)
            .encode(
                x=alt.X("low:Q", scale=x_scale, axis=x_axis),
                x2="high",
                y=y,
                yOffset=place,
                color=color,
            ),
            base.mark_point(filled=True).encode(
                x=alt.X("ratio:Q", scale=x_scale, axis=x_axis),
                y=y,
                yOffset=place,
                color=color,
                shape=forms.by_marker("group", groups, legend),
                tooltip=forms.tooltips(
                    ("figure", "N", "Figure"),
                    ("group", "N", "Group"),
                    ("ratio", "Q", title),
                    ("low", "Q", "low"),
                    ("high", "Q", "high"),
                ),
            ),
        )
    )
