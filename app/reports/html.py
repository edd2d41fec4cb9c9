"""HTML: one file with its own style, which loads nothing."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from app.reports.charts import Picture
from app.reports.shape import Context
from app.reports.text import clean_all

MEDIA_TYPE = "text/html; charset=utf-8"
TEMPLATES = Path(__file__).parent / "templates"


def render(context: Context, pictures: Sequence[Picture] | None = ()) -> bytes:
    """The report as an HTML page; the template engine escapes all texts.

    Args:
        context: Content of the report.
        pictures: Its drawn charts; None if they could not be drawn.
    """
    style = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    page = _template().render(
        report=clean_all(context),
        style=style,
        pictures=[_shown(picture) for picture in pictures or ()],
        is_undrawn=pictures is None,
    )
    return page.encode()


def _shown(picture: Picture) -> dict[str, Any]:
    """A picture within the page, which loads nothing."""
    address = f"data:image/svg+xml;base64,{base64.b64encode(picture.content).decode()}"
    texts = clean_all({"title": picture.title, "summary": picture.summary})
    return {**texts, "address": address, "width": picture.width, "height": picture.height}


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html")
