"""How charts look: the tokens of the stylesheet, and the styles that charts name.

A chart names styles and series, never colors, so that one chart is drawn in every theme.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, get_args

Theme = Literal["light", "dark", "print"]
THEMES: tuple[Theme, ...] = get_args(Theme)

FONT = "'Liberation Sans', Arial, Helvetica, sans-serif"
"""Fonts with the character widths that the renderer assumes; all digits have the same width."""

PRINTED_AROUND = {"left": 8, "top": 8, "right": 14, "bottom": 8}
SHOWN_AROUND = PRINTED_AROUND | {"left": 22, "right": 24}
"""Space around a chart in pixels: in a browser the font may be a sixth wider, as DejaVu Sans."""

FONT_SIZES: Mapping[Theme, int] = {"light": 13, "dark": 13, "print": 11}
"""Size of a chart's text in pixels: that of a page's text, or that of a report."""

TOKENS: Mapping[Theme, Mapping[str, str]] = {
    "light": {
        "surface": "#ffffff",
        "line": "#d9dfdc",
        "line-strong": "#7b8782",
        "ink": "#17201c",
        "muted": "#54605a",
        "bad": "#b3261e",
    },
    "dark": {
        "surface": "#181d1b",
        "line": "#313a37",
        "line-strong": "#77847e",
        "ink": "#e6ebe8",
        "muted": "#a2aea8",
        "bad": "#ff8f86",
    },
    "print": {
        "surface": "#ffffff",
        "line": "#d9dfdc",
        "line-strong": "#7b8782",
        "ink": "#000000",
        "muted": "#404a45",
        "bad": "#b3261e",
    },
}
"""Colors of surfaces, lines and text; those of light and dark are the stylesheet's."""

_LIGHT = (
    *("#0072b2", "#b45f00", "#00795a", "#a8487f"),
    *("#a94a00", "#2a7ab0", "#77700a", "#000000"),
)
_DARK = (
    *("#56b4e9", "#e69f00", "#009e73", "#cc79a7"),
    *("#d55e00", "#56b4e9", "#f0e442", "#ffffff"),
)
SERIES: Mapping[Theme, tuple[str, ...]] = {"light": _LIGHT, "dark": _DARK, "print": _LIGHT}
"""Okabe-Ito colors of the series, in their order; those of light and dark are the stylesheet's."""

DASHES: tuple[tuple[int, ...], ...] = (
    *((1, 0), (6, 3), (2, 2), (8, 3, 2, 3)),
    *((4, 2, 1, 2, 1, 2), (10, 4), (1, 3), (12, 3, 3, 3)),
)
"""Dash of each series, beside its color."""

MARKERS = (
    *("circle", "square", "triangle-up", "diamond"),
    *("cross", "triangle-down", "triangle-right", "triangle-left"),
)
"""Marker of each series, beside its color."""

EVIDENCE_DASHES: Mapping[str, tuple[int, ...]] = {
    "counter": (1, 0),
    "integrated": (1, 0),
    "modelled": (6, 3),
    "estimated": (6, 3),
    "assumed": (1, 3),
}
"""Dash of a line by the evidence behind it: solid, dashed, dotted."""

MAX_SERIES = len(MARKERS)
"""Maximum number of series of one chart that the eye can distinguish."""


@cache
def config(theme: Theme) -> Mapping[str, Any]:
    """The Vega-Lite configuration of a theme."""
    token, font_size = TOKENS[theme], FONT_SIZES[theme]
    return {
        "background": token["surface"],
        "font": FONT,
        "padding": PRINTED_AROUND if theme == "print" else SHOWN_AROUND,
        "view": {"stroke": None},
        "range": {"category": list(SERIES[theme]), "symbol": list(MARKERS)},
        "axis": {
            "domainColor": token["line-strong"],
            "gridColor": token["line"],
            "gridOpacity": 0.6,
            "labelColor": token["muted"],
            "labelFontSize": font_size,
            "labelOverlap": True,
            "labelSeparation": 6,
            "tickColor": token["line-strong"],
            "tickSize": 4,
            "titleColor": token["muted"],
            "titleFontSize": font_size,
            "titleFontWeight": "normal",
            "titlePadding": 8,
        },
        "legend": {
            "labelColor": token["ink"],
            "labelFontSize": font_size,
            "columnPadding": 16,
            "labelLimit": 220,
            "symbolStrokeWidth": 2,
            "titleColor": token["muted"],
            "titleFontSize": font_size,
            "titleFontWeight": "normal",
        },
        "mark": {"color": SERIES[theme][0]},
        "line": {"strokeWidth": 1.8, "strokeCap": "butt"},
        "point": {"size": 60, "strokeWidth": 1.6, "opacity": 1},
        "text": {"color": token["ink"], "fontSize": font_size},
        "style": {**_styles(token, font_size), "part": _outlined(SERIES[theme][0])},
    }


def _styles(token: Mapping[str, str], font_size: int) -> dict[str, Any]:
    """Styles that charts name, beside the colors of their series."""
    ink, muted = token["ink"], token["muted"]
    return {
        "whisker": {"color": muted, "strokeWidth": 1, "opacity": 0.9},
        "error": {"color": ink, "strokeWidth": 1.4},
        "frontier": {"color": ink, "strokeWidth": 1.4, "opacity": 0.8},
        "reference": {"color": muted, "strokeWidth": 1, "strokeDash": [3, 3]},
        "crossing": {"color": ink, "strokeWidth": 1, "strokeDash": [2, 3]},
        "limit": {"color": ink, "strokeWidth": 1.4, "strokeDash": [8, 3]},
        "over": {"color": token["bad"], "strokeWidth": 1.6},
        "failed": {"color": token["bad"], "strokeWidth": 1.8},
        "connector": {"color": token["line-strong"], "strokeWidth": 1},
        "total": _outlined(muted),
        "stage": {"color": muted, "opacity": 0.08},
        "stage-edge": {"color": token["line-strong"], "strokeWidth": 1, "opacity": 0.7},
        "label": {"color": ink, "fontSize": font_size},
        "note": {"color": muted, "fontSize": font_size - 1},
    }


def _outlined(color: str) -> dict[str, Any]:
    return {"color": color, "stroke": color, "strokeWidth": 1.5}


@cache
def digest() -> str:
    """Short hash of all themes: a chart drawn in other themes is another picture."""
    themes = [config(theme) for theme in THEMES]
    return hashlib.sha256(json.dumps(themes).encode()).hexdigest()[:8]
