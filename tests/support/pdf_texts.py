"""The texts of a PDF, enough to search it for a name."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

_STREAM = re.compile(rb"stream\r?\n(.*?)\r?\nendstream", re.S)
_PAIR = re.compile(rb"<([0-9A-Fa-f]{4})>\s*<([0-9A-Fa-f]+)>\s*$", re.M)
_SHOWN = re.compile(rb"\[(.*?)\]\s*TJ|(\((?:\\.|[^\\)])*\)|<[0-9A-Fa-f]+>)\s*Tj", re.S)
_PIECE = re.compile(rb"\(((?:\\.|[^\\)])*)\)|<([0-9A-Fa-f]*)>", re.S)
_ESCAPE = re.compile(rb"\\([nrtbf()\\]|[0-7]{1,3})")
_CONTROL = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}


def pdf_texts(content: bytes) -> str:
    """All texts, each by the table of every font: which font a text has is not looked up."""
    streams = list(_streams(content))
    tables = [dict(_pairs(stream)) for stream in streams if b"beginbfchar" in stream]
    lines = []
    for table in tables:
        for stream in streams:
            shown = (match[1] or match[2] for match in _SHOWN.finditer(stream))
            lines.append("".join(_decoded(piece, table) for piece in shown))
    return "\n".join(lines)


def _streams(content: bytes) -> Iterator[bytes]:
    for match in _STREAM.finditer(content):
        try:
            yield zlib.decompress(match[1])
        except zlib.error:
            yield match[1]


def _pairs(stream: bytes) -> Iterator[tuple[int, str]]:
    for match in _PAIR.finditer(stream):
        yield int(match[1], 16), bytes.fromhex(match[2].decode()).decode("utf-16-be", "replace")


def _decoded(shown: bytes, table: dict[int, str]) -> str:
    raw = b"".join(
        bytes.fromhex(piece[2].decode()) if piece[2] is not None else _plain(piece[1])
        for piece in _PIECE.finditer(shown)
    )
    codes = (int.from_bytes(raw[n : n + 2], "big") for n in range(0, len(raw), 2))
    return "".join(table.get(code, "") for code in codes)


def _plain(literal: bytes) -> bytes:
    def character(match: re.Match[bytes]) -> bytes:
        escape = match[1]
        return bytes([int(escape, 8)]) if escape[:1].isdigit() else _CONTROL.get(escape, escape)

    return _ESCAPE.sub(character, literal)
