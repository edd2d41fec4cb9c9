"""Carbon intensity of a grid by hour, with gaps and the annual figure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import altair as alt

from app.charts import forms
from app.charts.chart import LAB, Chart, Column, Row
from app.charts.energy import HEIGHT, time_axis, utc

HOUR = timedelta(hours=1)
MEASURE, UNIT = "Carbon intensity", "g/kWh"


def intensity(
    hours: Sequence[tuple[datetime, float | None]],
    *,
    annual: float | None,
    title: str,
    summary: str,
    sources: str,
) -> Chart:
    """The chart of recorded hours.

    Args:
        hours: Every hour in order, with its intensity in g/kWh; None in a gap.
        annual: The annual figure, used for the gaps.
        title: Heading.
        summary: What it shows, in a sentence made from the data.
        sources: Sources of the hours.
    """
    rows: list[Row] = [{"at": utc(at), "value": value} for at, value in hours]
    if hours:  # draws the last hour at full length
        rows.append({"at": utc(hours[-1][0] + HOUR), "value": hours[-1][1]})
    limit: list[Row] = [] if annual is None else [{"value": annual, "text": "annual figure"}]
    return Chart(
        kind="carbon-intensity",
        title=title,
        summary=summary,
        columns=[Column("at", "Hour (UTC)"), Column("value", MEASURE, UNIT)],
        rows=rows,
        form=_form(),
        projects=LAB,
        sources=sources,
        extra={"annual": limit, "gaps": _gaps(hours)},
        height=HEIGHT,
    )


def _gaps(hours: Sequence[tuple[datetime, float | None]]) -> list[Row]:
    """Groups of consecutive hours without a record."""
    gaps: list[list[datetime]] = []
    for at, value in hours:
        if value is not None:
            continue
        if gaps and gaps[-1][1] == at:
            gaps[-1][1] = at + HOUR
        else:
            gaps.append([at, at + HOUR])
    return [{"from": utc(start), "until": utc(stop)} for start, stop in gaps]


@lru_cache(maxsize=1)
def _form() -> dict[str, Any]:
    axis = forms.axis(forms.titled(MEASURE, UNIT))
    x, y = time_axis("at"), alt.Y("value:Q", axis=axis, scale=forms.scale(zero=True))
    gaps = (
        alt.Chart(forms.named("gaps"))
        .mark_rect(style="stage")
        .encode(x=time_axis("from"), x2="until")
    )
    line = (
        alt.Chart(forms.ROWS)
        .mark_line(interpolate="step-after")
        .encode(
            x=x,
            y=y,
            tooltip=forms.tooltips(("at", "T", "Hour"), ("value", "Q", "g/kWh")),
        )
    )
    annual = alt.Chart(forms.named("annual"))
    return forms.finished(
        alt.layer(
            gaps,
            annual.mark_rule(style="limit").encode(y=y),
            annual.mark_text(style="note", align="left", baseline="top", dx=4, dy=4).encode(
                x=alt.value(0), y=y, text="text:N"
            ),
            line,
        ),
        zoom=3,
    )
