"""Draws charts: a separate program that reads documents and writes pictures.

A request is a line of JSON, `{format, document}`; the response a line of JSON, `{bytes}` followed
by that many bytes, or `{error}`. It ends when its input ends. It uses nothing else of this project,
so that it starts fast and stays small.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

NICER = 5
PNG_SCALE = 2.0
NOWHERE: list[str] = []
"""Addresses that a chart may load data from."""

CHART_FONTS = "'Liberation Sans', Arial, Helvetica, sans-serif"
PDF_FONT = "Libertinus Serif"
"""Part of the typesetter, so that a figure is the same on every machine, and has the font of the
report that it is in. Texts in it are narrower than those for which the chart was laid out."""

_FIGURE = b"""
#set page(width: auto, height: auto, margin: 0pt)
#set document(date: none)
#image(bytes(sys.inputs.svg), format: "svg")
"""


def drawn(document: dict[str, Any], form: str) -> bytes:
    """The picture of a Vega-Lite document as svg, png or pdf."""
    import vl_convert

    if form == "svg":
        svg: str = vl_convert.vegalite_to_svg(document, allowed_base_urls=NOWHERE)
        return svg.encode()
    if form == "png":
        png: bytes = vl_convert.vegalite_to_png(
            document, scale=PNG_SCALE, allowed_base_urls=NOWHERE
        )
        return png
    return as_pdf(vl_convert.vegalite_to_svg(document, allowed_base_urls=NOWHERE))


def as_pdf(svg: str) -> bytes:
    """A drawn chart as PDF: equal charts give equal bytes, in every process."""
    import typst

    pdf: bytes = typst.compile(
        _FIGURE, format="pdf", timestamp=0, sys_inputs={"svg": in_pdf_font(svg)}
    )
    return pdf


def in_pdf_font(svg: str) -> str:
    """A drawn chart with the font of PDFs."""
    return svg.replace(CHART_FONTS, PDF_FONT)


def main() -> None:
    """Answers requests until the input ends."""
    os.nice(NICER)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # sent by terminals to all; the server decides
    for line in sys.stdin.buffer:
        request = json.loads(line)
        picture = b""
        try:
            picture = drawn(request["document"], request["format"])
            head: dict[str, Any] = {"bytes": len(picture)}
        except Exception as error:
            head = {"error": str(error)[:2000]}
        sys.stdout.buffer.write(json.dumps(head).encode() + b"\n" + picture)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
