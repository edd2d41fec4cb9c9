"""Pictures of pages as brightness, to find where there is ink; 8-bit RGB or RGBA."""

from __future__ import annotations

import struct
import zlib

from app.reports.pdf import compile_pages
from app.reports.shape import Context


def pages_png(context: Context, ppi: float = 100.0) -> list[bytes]:
    """The pages of a report as PNG pictures."""
    pages = compile_pages(context, "png", ppi)
    return [pages] if isinstance(pages, bytes) else pages


def luminance(png: bytes) -> list[bytes]:
    """Rows of pixels, 0 for black and 255 for white (the green channel).

    Raises:
        ValueError: If it is not an 8-bit RGB or RGBA picture without interlacing.
    """
    if not png.startswith(b"\x89PNG\r\n\x1a\n"):
        raise ValueError("no PNG")
    width, _, depth, color, *_, interlaced = struct.unpack(">IIBBBBB", png[16:29])
    if depth != 8 or color not in (2, 6) or interlaced:
        raise ValueError(f"depth {depth}, color type {color}, interlaced {interlaced}")
    size = 3 if color == 2 else 4
    data, stride = zlib.decompress(_image_data(png)), width * size
    above, rows = bytearray(stride), []
    for start in range(0, len(data), stride + 1):
        line = bytearray(data[start + 1 : start + 1 + stride])
        _unfilter(data[start], line, above, size)
        rows.append(bytes(line[1::size]))
        above = line
    return rows


def _image_data(png: bytes) -> bytes:
    parts, at = [], 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        if png[at + 4 : at + 8] == b"IDAT":
            parts.append(png[at + 8 : at + 8 + length])
        at += length + 12
    return b"".join(parts)


def _unfilter(kind: int, line: bytearray, above: bytearray, size: int) -> None:
    """PNG specification, third edition, section 9.2."""
    for i in range(len(line)):
        left = line[i - size] if i >= size else 0
        up, corner = above[i], above[i - size] if i >= size else 0
        guess = (0, left, up, (left + up) // 2, 0)[kind] if kind < 4 else _paeth(left, up, corner)
        line[i] = (line[i] + guess) & 0xFF


def _paeth(left: int, up: int, corner: int) -> int:
    guess = left + up - corner
    return min((left, up, corner), key=lambda near: abs(guess - near))
