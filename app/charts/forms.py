"""Parts that the forms of charts share. A form has no data, so that it is made once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from app.charts.chart import DRAWN
from app.charts.theme import DASHES, MARKERS

ROWS = alt.NamedData(name=DRAWN)
LOG_NUMBERS = ",~g"
NUMBERS = ",.4~r"
COUNTS = "~s"
PLAIN_ZERO = "datum.value === 0 ? '0' : datum.label"
"""Labels in which zero has no SI prefix."""
SHORT = 26
"""Maximum length of a name beside its mark, in characters."""


def named(data: str) -> alt.NamedData:
    """A further data set of a chart."""
    return alt.NamedData(name=data)


def finished(form: Any, *, zoom: int | None = None) -> dict[str, Any]:
    """The Vega-Lite document of an Altair chart, without what every chart gets later.

    Args:
        form: The layers.
        zoom: Number of the layer whose two axes "Explore" zooms.
    """
    document: dict[str, Any] = form.to_dict()
    for name in ("$schema", "config", "datasets"):
        document.pop(name, None)
    if zoom is not None:
        selection = {"name": "zoom", "select": "interval", "bind": "scales"}
        document["layer"][zoom]["params"] = [selection]
    return document


def axis(title: str, *, log: bool = False, ticks: int = 6, **options: Any) -> alt.Axis:
    """An axis with its title and unit; a logarithmic one shows fewer labels."""
    if log:
        options = {"format": LOG_NUMBERS, "labelOverlap": "greedy", **options}
    return alt.Axis(title=title, tickCount=ticks, **options)


Domain = tuple[float, float]


def around_one(
    values: Sequence[float], *, log: bool = False, is_share: bool = False
) -> Domain | None:
    """The domain of an axis whose marks all have the same value; None otherwise. Without it, the
    ticks would differ only in their last digits.
    """
    if len(set(values)) != 1:
        return None
    value = values[0]
    if log:
        return value / 10, value * 10
    if is_share and 0 <= value <= 1:
        return 0.0, 1.0
    return (min(0.0, 2 * value), max(0.0, 2 * value)) if value else (0.0, 1.0)


def scale(
    *,
    log: bool = False,
    zero: bool = False,
    padding: float = 0,
    domain: Domain | None = None,
) -> alt.Scale:
    """A linear or logarithmic scale, with a margin of a few pixels at both ends."""
    if domain is not None:
        return alt.Scale(type="log" if log else "linear", nice=True, domain=list(domain))
    around: dict[str, Any] = {"padding": padding} if padding else {}
    if log:
        return alt.Scale(type="log", nice=False, **around)
    return alt.Scale(type="linear", zero=zero, nice=not padding, **around)


def by_color(field: str, series: Sequence[str], legend: Any = None) -> alt.Color:
    """Color by series, in the order of the theme's."""
    return alt.Color(f"{field}:N", scale=alt.Scale(domain=list(series)), legend=legend)


def by_dash(field: str, series: Sequence[str], legend: Any = None) -> alt.StrokeDash:
    """Dash by series."""
    dashes = [list(dash) for dash in DASHES[: len(series)]]
    return alt.StrokeDash(
        f"{field}:N", scale=alt.Scale(domain=list(series), range=dashes), legend=legend
    )


def by_marker(field: str, series: Sequence[str], legend: Any = None) -> alt.Shape:
    """Marker by series."""
    markers = list(MARKERS[: len(series)])
    return alt.Shape(
        f"{field}:N", scale=alt.Scale(domain=list(series), range=markers), legend=legend
    )


def top_legend(title: str | None = None) -> alt.Legend:
    """A legend above the chart."""
    return alt.Legend(orient="top", title=title, direction="horizontal", columns=0)


def tooltips(*fields: tuple[str, str, str]) -> list[alt.Tooltip]:
    """Values of a mark, for "Explore": `(field, type, title)`."""
    return [
        alt.Tooltip(f"{name}:{kind}", title=title, format=NUMBERS if kind == "Q" else "")
        for name, kind, title in fields
    ]


def titled(title: str, unit: str) -> str:
    """The title of an axis with its unit."""
    return f"{title} ({unit})" if unit else title


def short(name: str, most: int = SHORT) -> str:
    """A name of at most this many characters, for a label."""
    return name if len(name) <= most else name[: most - 1].rstrip() + "…"
