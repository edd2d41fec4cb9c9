"""JSON documents in a tenth of their size: numbers as doubles, the rest by a shared dictionary.

A price tag has the same keys and sentences a hundred times, and some hundred figures of 17
digits. Its text is stored in two parts. In the first, every long number is a mark; it is deflated
with a dictionary of what price tags have in common. The second has each number once, as a double.

A mark names its number from where the mark before was: the following number of the second part,
the same one, the first that is not used yet, or one at a distance. So a component or a stage that
is listed twice has the same marks both times, and is deflated to a few bytes.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

NEWEST = 1
"""The dictionary of new documents. Earlier ones stay for the documents that were written then."""

FOLLOWING, SAME, UNUSED, FROM, TO = "\x01", "\x02", "\x03", "\x04", "\x05"
"""Marks; the last two enclose a distance. JSON text has no such characters."""

MARKS = FOLLOWING + SAME + UNUSED + FROM + TO

SHORTEST = 8
"""Numbers of fewer characters stay text."""

_NUMBER = re.compile(r"[:,\[]-?[0-9]+\.[0-9]+(?:e[-+]?[0-9]+)?")  # behind what is before a value
_MARK = re.compile(f"([{FOLLOWING}{SAME}{UNUSED}]|{FROM}-?[0-9]+{TO})")
_ANY_MARK = re.compile(f"[{MARKS}]")
_HEAD = struct.Struct("<BI")  # number of the dictionary, bytes of the numbers
_DOUBLE_BYTES = 8


class DamagedDocumentError(ValueError):
    """Stored bytes are not those of a document, or need a later version."""


def encode(document: Mapping[str, Any]) -> bytes:
    """A JSON document in its stored form.

    Raises:
        ValueError: If a number is not finite.
        TypeError: If a value is not JSON.
    """
    return encode_text(to_text(document))


def decode(stored: bytes) -> dict[str, Any]:
    """A document as it was, with integers as integers and 1.0 as 1.0.

    Raises:
        DamagedDocumentError: If the bytes are not those of a document.
    """
    try:
        document: dict[str, Any] = json.loads(decode_text(stored))
    except json.JSONDecodeError as error:
        raise DamagedDocumentError(f"a stored document is damaged: {error}") from error
    return document


def stored_again(json_text: str) -> bytes:
    """A JSON text from elsewhere in its stored form, after a check that decoding restores it.

    Raises:
        ValueError: If it would not.
    """
    text = to_text(json.loads(json_text))
    stored = encode_text(text)
    if decode_text(stored) != text:
        raise ValueError("a document does not come back as it was stored")
    return stored


def to_text(document: Mapping[str, Any]) -> str:
    """The JSON text of a document that is stored: keys sorted, without spaces."""
    return json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def encode_text(text: str) -> bytes:
    """A JSON text in its stored form.

    Raises:
        ValueError: If the text has control characters, which JSON text does not have.
    """
    return join(*without_numbers(text))


def decode_text(stored: bytes) -> str:
    """The text that was stored, to the last byte.

    Raises:
        DamagedDocumentError: If the bytes are not those of a document.
    """
    try:
        version, size = _HEAD.unpack_from(stored)
        rest = memoryview(stored)[_HEAD.size :]
        numbers = _numbers(zlib.decompress(rest[:size]))
        inflate = zlib.decompressobj(zdict=dictionary(version))
        marked = inflate.decompress(rest[size:])
        if not inflate.eof:
            raise DamagedDocumentError("the end of a stored document is missing")
        return with_numbers(marked.decode(), numbers)
    except (struct.error, zlib.error, IndexError, UnicodeDecodeError) as error:
        raise DamagedDocumentError(f"a stored document is damaged: {error}") from error


def without_numbers(text: str) -> tuple[str, list[float]]:
    """A JSON text with marks instead of its long numbers, and these numbers.

    Raises:
        ValueError: If the text has control characters.
    """
    if _ANY_MARK.search(text):
        raise ValueError("a JSON text has no control characters")
    places: dict[str, int] = {}
    numbers: list[float] = []
    parts: list[str] = []
    end, last = 0, -1
    for match in _NUMBER.finditer(text):
        digits = match.group()[1:]
        if len(digits) < SHORTEST or repr(float(digits)) != digits:
            continue
        is_new = digits not in places
        place = places.setdefault(digits, len(numbers))
        if is_new:
            numbers.append(float(digits))
        parts += (text[end : match.start() + 1], _mark(place, last, is_new))
        end, last = match.end(), place
    parts.append(text[end:])
    return "".join(parts), numbers


def _mark(place: int, last: int, is_new: bool) -> str:
    if place == last + 1:
        return FOLLOWING
    if place == last:
        return SAME
    return UNUSED if is_new else f"{FROM}{place - last}{TO}"


def with_numbers(marked: str, numbers: list[float]) -> str:
    """The text of ``without_numbers``.

    Raises:
        IndexError: If a mark names a number that is not there.
    """
    texts = [repr(number) for number in numbers]
    used, last = -1, -1
    parts = _MARK.split(marked)  # text and marks in turn
    for place in range(1, len(parts), 2):
        mark = parts[place]
        if mark == FOLLOWING:
            last += 1
        elif mark == UNUSED:
            last = used + 1
        elif mark != SAME:
            last += int(mark[1:-1])
        if last < 0:
            raise IndexError("a mark names a number before the first")
        used = max(used, last)
        parts[place] = texts[last]
    return "".join(parts)


def join(marked: str, numbers: list[float]) -> bytes:
    """The two parts of a text as they are stored."""
    packed = zlib.compress(_packed(numbers), 9)
    deflate = zlib.compressobj(9, zdict=dictionary(NEWEST))
    body = deflate.compress(marked.encode()) + deflate.flush()
    return b"".join((_HEAD.pack(NEWEST, len(packed)), packed, body))


def _packed(numbers: list[float]) -> bytes:
    """Doubles by byte: signs and exponents, which are much alike, stand together."""
    raw = struct.pack(f"<{len(numbers)}d", *numbers)
    return b"".join(raw[byte::_DOUBLE_BYTES] for byte in range(_DOUBLE_BYTES))


def _numbers(packed: bytes) -> list[float]:
    count = len(packed) // _DOUBLE_BYTES
    raw = bytearray(len(packed))
    for byte in range(_DOUBLE_BYTES):
        raw[byte::_DOUBLE_BYTES] = packed[byte * count : (byte + 1) * count]
    return list(struct.unpack(f"<{count}d", raw))


@cache
def dictionary(version: int) -> bytes:
    """Text that documents have in common; each version stays part of the code.

    Raises:
        DamagedDocumentError: If there is no such version.
    """
    path = Path(__file__).with_name(f"dictionary-{version}.bin")
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DamagedDocumentError(
            f"a stored document has the dictionary {version}, which this version does not have"
        ) from error
