"""Makes any text safe to print, with control characters made visible."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

_SPACES = re.compile("[\t\n\v\f\r\x1c-\x1f\x85\u2028\u2029]+")
# Characters that reorder text could make a report look different from its stored content.
_REORDERING = {*map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A)), "\u061c"}


def clean(text: str) -> str:
    """One line of printable text in normal form C.

    Line breaks and tabs become a space; control characters, lone surrogates,
    non-characters and characters that reorder text become U+FFFD.
    """
    if text.isascii() and text.isprintable():  # most texts, with nothing to replace
        return text
    line = _SPACES.sub(" ", text)
    return unicodedata.normalize("NFC", "".join(map(_visible, line)))


def _visible(char: str) -> str:
    if unicodedata.category(char) in ("Cc", "Cs") or char in _REORDERING:
        return REPLACEMENT
    code = ord(char)
    if code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF:
        return REPLACEMENT
    return char


def clean_all(value: Any) -> Any:
    """The same structure with all texts, including keys, made printable."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(str(key)): clean_all(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [clean_all(item) for item in value]
    return value


def slug(text: str, limit: int = 60) -> str:
    """Part of a file name with plain letters, digits and hyphens; ``report`` if empty."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:limit].strip("-") or "report"
