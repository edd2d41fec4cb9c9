"""PDF, typeset by typst from the stored context: equal contexts yield equal bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typst

from app.reports import glyphs
from app.reports.shape import Context
from app.reports.text import clean_all

MEDIA_TYPE = "application/pdf"
TEMPLATE = Path(__file__).parent / "templates" / "report.typ"

SHOWN = ("title", "profile_label", "generated_label", "lead", "sections")
"""Parts of a context on the pages."""


def render(context: Context) -> bytes:
    """The report as PDF.

    The context is passed as data, so that nothing in it can be interpreted as typst markup.
    """
    pages = compile_pages(context, "pdf")
    return pages if isinstance(pages, bytes) else b"".join(pages)


def compile_pages(context: Context, fmt: Any, ppi: float | None = None) -> bytes | list[bytes]:
    """The report in a format of typst: one document, or a picture per page.

    Args:
        context: Content of the report.
        fmt: ``pdf`` or ``png``.
        ppi: Resolution of pictures, pixels per inch.
    """
    cleaned, fonts = clean_all(context), json.dumps(glyphs.FONTS)
    shown = {name: cleaned[name] for name in SHOWN}
    inputs = {
        "context": json.dumps(shown),
        "fonts": fonts,
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
