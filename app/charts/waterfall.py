"""Waterfall: how parts add up to a total, and how a total is multiplied into the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import altair as alt

from app.charts import forms
from app.charts.chart import Chart, Column
from app.charts.theme import EVIDENCE_DASHES

BAR_PX = 26
AROUND_PX = 64


@dataclass(frozen=True, slots=True)
class Step:
    """A bar.

    Attributes:
        label: What it is: a component, a stage, a total.
        amount: Its amount, in the unit of the chart; negative for a deduction.
        low: Lower end of the amount's 95% interval; None without one.
        high: Upper end.
        source: Evidence behind it: `counter`, `modelled`, `assumed`.
        text: The amount as the page writes it, with its unit.
        is_total: Whether it starts at zero, and shows the sum so far.
    """

    label: str
    amount: float
    low: float | None
    high: float | None
    source: str | None
    text: str
    is_total: bool = False


def waterfall(
    steps: Sequence[Step],
    *,
    measure: str,
    unit: str,
    title: str,
    summary: str,
    projects: frozenset[str],
    sources: str = "",
) -> Chart:
    """The chart of steps, from top to bottom.

    Args:
        steps: The bars; a step starts where the one before ended, a total at zero.
        measure: Title of the axis, e.g. `IT energy`.
        unit: Unit of all amounts.
        title: Heading.
        summary: What it shows, in a sentence made from the data.
        projects: Projects of the runs.
        sources: Runs and versions, for the caption.
    """
    rows, links = _rows(steps)
    height = AROUND_PX + BAR_PX * len(steps)
    return Chart(
        kind="waterfall",
        title=title,
        summary=summary,
        columns=[
            Column("label", "Part"),
            Column("amount", measure, unit),
            Column("low", f"{measure}, low", unit),
            Column("high", f"{measure}, high", unit),
            Column("source", "Source"),
        ],
        rows=rows,
        form=_form(measure, unit, tuple(row["label"] for row in rows)),
        projects=projects,
        sources=sources,
        extra={"links": links},
        height=height,
    )


def _rows(steps: Sequence[Step]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    links: list[dict[str, Any]] = []
    reached = 0.0
    for step, label in zip(steps, _distinct([step.label for step in steps]), strict=True):
        start = 0.0 if step.is_total else reached
        end = start + step.amount
        if rows:
            links.append({"at": reached, "from": rows[-1]["label"], "to": label})
        rows.append(
            {
                "label": label,
                "amount": step.amount,
                "low": step.low,
                "high": step.high,
                "source": step.source or "unknown",
                "text": step.text,
                "is_total": step.is_total,
                "start": start,
                "end": end,
                "right": max(start, end, start + (step.high or step.amount)),
                "from": None if step.low is None else start + step.low,
                "until": None if step.high is None else start + step.high,
            }
        )
        reached = end
    return rows, links


def _distinct(labels: Sequence[str]) -> list[str]:
    """Labels of the axis: shortened and unique."""
    distinct_labels: list[str] = []
    for label in labels:
        name, n = forms.short(label), 2
        while name in distinct_labels:
            name, n = f"{forms.short(label)} ({n})", n + 1
        distinct_labels.append(name)
    return distinct_labels


@lru_cache(maxsize=256)
def _form(measure: str, unit: str, labels: tuple[str, ...]) -> dict[str, Any]:
    y = alt.Y(
        "label:N",
        sort=list(labels),
        scale=alt.Scale(domain=list(labels), paddingInner=0.35),
        axis=alt.Axis(title=None, ticks=False, domain=False, labelLimit=150, labelOverlap=False),
    )
    x_axis = forms.axis(forms.titled(measure, unit))
    x_scale = forms.scale(zero=True)
    x = alt.X("start:Q", scale=x_scale, axis=x_axis)
    base = alt.Chart(forms.ROWS)
    tips = forms.tooltips(
        ("label", "N", "Part"),
        ("amount", "Q", forms.titled(measure, unit)),
        ("low", "Q", "low"),
        ("high", "Q", "high"),
        ("source", "N", "Source"),
    )
    solid = ["counter", "integrated"]
    is_solid = alt.FieldOneOfPredicate(field="source", oneOf=solid)
    kinds = [*EVIDENCE_DASHES, "unknown"]
    dashes = [*(list(dash) for dash in EVIDENCE_DASHES.values()), [1, 3]]
    outlines = alt.StrokeDash("source:N", scale=alt.Scale(domain=kinds, range=dashes), legend=None)
    common = {
        "x": x,
        "x2": "end",
        "y": y,
        "strokeDash": outlines,
        "fillOpacity": alt.condition(is_solid, alt.value(0.65), alt.value(0.25)),
        "tooltip": tips,
    }
    parts = base.transform_filter("!datum.is_total").mark_bar(style="part").encode(**common)
    totals = base.transform_filter("datum.is_total").mark_bar(style="total").encode(**common)
    links = (
        alt.Chart(forms.named("links"))
        .mark_rule(style="connector")
        .encode(x=alt.X("at:Q", scale=x_scale), y=alt.Y("from:N", sort=list(labels)), y2="to")
    )
    whiskers = (
        base.transform_filter("isValid(datum.from) && isValid(datum.until)")
        .mark_rule(style="error")
        .encode(x=alt.X("from:Q", scale=x_scale), x2="until", y=y)
    )
    texts = base.mark_text(style="label", align="left", dx=6).encode(
        x=alt.X("right:Q", scale=x_scale), y=y, text="text:N"
    )
    return forms.finished(alt.layer(links, parts, totals, whiskers, texts))
