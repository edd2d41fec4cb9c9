"""Draws charts: a separate program that reads documents and writes pictures.

A request is a line of JSON, `{format, document}`; the response a line of JSON, `{bytes}` followed
by that many bytes, or `{error}`. It ends when its input ends. It uses nothing else of this project,
so that it starts fast and stays small.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from typing import Any

NICER = 5
PNG_SCALE = 2.0
NOWHERE: list[str] = []
"""Addresses that a chart may load data from."""

_RESOURCES = re.compile(
    rb"(?:^ +/[a-z]{2}\d+ (?:\d+ 0 R|\[/ICCBased \d+ 0 R\])\n){2,}", re.MULTILINE
)
"""The named resources of a page or of a group, one per line."""


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
    pdf: bytes = vl_convert.vegalite_to_pdf(document, allowed_base_urls=NOWHERE)
    return in_order(pdf)


def in_order(pdf: bytes) -> bytes:
    """A PDF with its named resources in order, so that equal charts of one font give equal bytes.

    The library lists them in an order that differs by process, as it does the fonts of a chart with
    several, which stay as they are. The length of a list does not change, so that all offsets in
    the file stay valid.
    """
    return _RESOURCES.sub(lambda listed: b"".join(sorted(listed[0].splitlines(True))), pdf)


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
