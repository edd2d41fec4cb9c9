"""PDF, typeset by typst from the stored context: equal contexts yield equal bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typst

from app.charts.drawer import in_pdf_font
from app.reports import glyphs
from app.reports.charts import Picture
from app.reports.shape import Context
from app.reports.text import clean_all

MEDIA_TYPE = "application/pdf"
TEMPLATE = Path(__file__).parent / "templates" / "report.typ"

UNDRAWN = "The charts of this report could not be drawn; its tables have all figures."

SHOWN = ("title", "profile_label", "generated_label", "lead", "sections")
"""Parts of a context on the pages."""


def render(context: Context, pictures: Sequence[Picture] | None = ()) -> bytes:
    """The report as PDF.

    The context is passed as data, so that nothing in it can be interpreted as typst markup.

    Args:
        context: Content of the report.
        pictures: Its drawn charts as SVG; None if they could not be drawn.
    """
    pages = compile_pages(context, "pdf", pictures=pictures)
    return pages if isinstance(pages, bytes) else b"".join(pages)


def compile_pages(
    context: Context,
    fmt: Any,
    ppi: float | None = None,
    pictures: Sequence[Picture] | None = (),
) -> bytes | list[bytes]:
    """The report in a format of typst: one document, or a picture per page.

    Args:
        context: Content of the report.
        fmt: ``pdf`` or ``png``.
        ppi: Resolution of the pages, pixels per inch.
        pictures: Drawn charts as SVG; None if they could not be drawn.
    """
    cleaned, fonts = clean_all(context), json.dumps(glyphs.FONTS)
    shown = {name: cleaned[name] for name in SHOWN}
    inputs = {
        "context": json.dumps(shown),
        "fonts": fonts,
        "pictures": json.dumps([_shown(picture) for picture in pictures or ()]),
        "undrawn": UNDRAWN if pictures is None else "",
        "warning": glyphs.warning(shown, fonts) or "",
    }
    pages: bytes | list[bytes] = typst.compile(
        TEMPLATE.read_bytes(),
        format=fmt,
        ppi=ppi,
        timestamp=0,  # with the compiler's clock, every copy would differ
        sys_inputs=inputs,
    )
    return pages


def _shown(picture: Picture) -> dict[str, Any]:
    texts = clean_all({"title": picture.title, "summary": picture.summary})
    return {**texts, "svg": in_pdf_font(picture.content.decode())}
