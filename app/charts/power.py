"""Power over time by component, with the stages as bands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import altair as alt

from app.charts import forms
from app.charts.chart import MAX_ROWS, Chart, Column, Row
from app.charts.theme import EVIDENCE_DASHES
from app.charts.thinning import Point, thinned

MINUTE_S, HOUR_S = 60.0, 3600.0
LETTER_PX, PLOT_PX = 7.0, 680.0
"""Widths of a letter and of the plot in the wide size."""


@dataclass(frozen=True, slots=True)
class Trace:
    """The power of one component.

    Attributes:
        name: The component.
        points: `(time in s, power in W)`; the power is None in a gap.
        source: Evidence: a counter's line is solid, a modelled one dashed, an assumed one dotted.
    """

    name: str
    points: Sequence[Point]
    source: str


@dataclass(frozen=True, slots=True)
class Band:
    """A stage, from its start to its end in s."""

    name: str
    start_s: float
    end_s: float


def power(
    traces: Sequence[Trace],
    bands: Sequence[Band],
    *,
    title: str,
    summary: str,
    projects: frozenset[str],
    sources: str = "",
) -> Chart:
    """The chart of power over time, thinned with its extremes kept.

    Args:
        traces: The components.
        bands: The stages.
        title: Heading.
        summary: What it shows, in a sentence.
        projects: Projects of the runs.
        sources: Runs and versions, for the caption.
    """
    last_s = max((trace.points[-1][0] for trace in traces if trace.points), default=0.0)
    unit, size = time_unit(last_s)
    most = MAX_ROWS // max(1, len(traces))
    rows: list[Row] = [
        {"component": trace.name, "time": time_s / size, "power": power_w, "source": trace.source}
        for trace in traces
        for time_s, power_w in thinned(trace.points, most)
    ]
    stages: list[Row] = [
        {
            "name": _fitting(
                forms.short(band.name, 18), (band.end_s - band.start_s) / (last_s or 1.0)
            ),
            "start": band.start_s / size,
            "end": band.end_s / size,
            "odd": bool(n % 2),
        }
        for n, band in enumerate(bands)
    ]
    sources_of = tuple(trace.source for trace in traces)
    return Chart(
        kind="power",
        title=title,
        summary=summary,
        columns=[
            Column("component", "Component"),
            Column("time", "Time", unit),
            Column("power", "Power", "W"),
            Column("source", "Source"),
        ],
        rows=rows,
        form=_form(unit, tuple(trace.name for trace in traces), sources_of),
        projects=projects,
        sources=sources,
        extra={"stages": stages},
    )


def _fitting(name: str, share: float) -> str:
    """The name of a stage, where its band is wide enough for it."""
    return name if LETTER_PX * len(name) <= share * PLOT_PX else ""


def time_unit(last_s: float) -> tuple[str, float]:
    """The unit of a time axis, and its length in s."""
    if last_s >= 2 * HOUR_S:
        return "h", HOUR_S
    return ("min", MINUTE_S) if last_s >= 3 * MINUTE_S else ("s", 1.0)


@lru_cache(maxsize=256)
def _form(unit: str, names: tuple[str, ...], evidence: tuple[str, ...]) -> dict[str, Any]:
    x_axis = forms.axis(forms.titled("Time", unit))
    x = alt.X("time:Q", scale=forms.scale(zero=True), axis=x_axis)
    y = alt.Y("power:Q", scale=forms.scale(zero=True), axis=forms.axis("Power (W)"))
    legend = forms.top_legend()
    stages = alt.Chart(forms.named("stages"))
    start = alt.X("start:Q", scale=forms.scale(zero=True), axis=x_axis)
    dashes = [list(EVIDENCE_DASHES.get(source, (1, 3))) for source in evidence]
    dash = alt.StrokeDash(
        "component:N", scale=alt.Scale(domain=list(names), range=dashes), legend=legend
    )
    return forms.finished(
        alt.layer(
            stages.transform_filter("datum.odd").mark_rect(style="stage").encode(x=start, x2="end"),
            stages.mark_rule(style="stage-edge").encode(x=start),
            stages.mark_text(style="note", align="left", baseline="top", dx=4).encode(
                x=start, y=alt.value(2), text="name:N"
            ),
            alt.Chart(forms.ROWS)
            .mark_line(strokeWidth=1.2, interpolate="linear", invalid="break-paths-show-domains")
            .encode(
                x=x,
                y=y,
                color=forms.by_color("component", names, legend),
                strokeDash=dash,
                tooltip=forms.tooltips(
                    ("component", "N", "Component"),
                    ("time", "Q", forms.titled("Time", unit)),
                    ("power", "Q", "Power (W)"),
                    ("source", "N", "Source"),
                ),
            ),
        ),
        zoom=3,
    )
