"""Renders a report's context in one of six formats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast, get_args

from app.reports import csv_, html, json_, latex, markdown, pdf
from app.reports.charts import Picture
from app.reports.rendered import Rendered
from app.reports.shape import Context, Format
from app.reports.text import slug

FORMATS: tuple[Format, ...] = get_args(Format)

_WRITERS = {"html": html, "pdf": pdf, "tex": latex, "md": markdown, "csv": csv_, "json": json_}


def render(
    context: Mapping[str, Any], fmt: str, pictures: Sequence[Picture] | None = ()
) -> Rendered:
    """A report in one format.

    Args:
        context: Result of ``build_context``, also from the database.
        fmt: One of ``FORMATS``.
        pictures: Drawn charts, for HTML and PDF; None if they could not be drawn.

    Raises:
        ValueError: If the format is unknown.
    """
    writer = _WRITERS.get(fmt)
    if writer is None:
        raise ValueError(f"format is {fmt!r}: use one of {', '.join(FORMATS)}")
    shown = cast(Context, context)
    more = (pictures,) if writer in (html, pdf) else ()
    content = writer.render(shown, *more)
    return Rendered(content, writer.MEDIA_TYPE, f"{slug(str(context['title']))}.{fmt}")
