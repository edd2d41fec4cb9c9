"""HTML: one file with its own style, which loads nothing."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from app.reports.shape import Context
from app.reports.text import clean_all

MEDIA_TYPE = "text/html; charset=utf-8"
TEMPLATES = Path(__file__).parent / "templates"


def render(context: Context) -> bytes:
    """The report as an HTML page; the template engine escapes all texts."""
    style = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    page = _template().render(report=clean_all(context), style=style)
    return page.encode()


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
