"""Finds characters of a report that no font on this machine can show."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import typst

FONTS = ("Libertinus Serif", "DejaVu Sans Mono")
"""Fonts in the typst package; other characters come from the machine's fonts."""

LAST_LATIN = "\u024f"
_SOURCE = b"""
#set document(date: datetime(year: 2000, month: 1, day: 1), title: "glyphs")
#set text(font: json(bytes(sys.inputs.fonts)))
#sys.inputs.text
"""
_MISSING = re.compile(r'the text `"(.*)"` could not be displayed')
_ESCAPE = re.compile(r"\\u\{([0-9a-f]+)\}")


def warning(context: Any, fonts: str) -> str | None:
    """A warning for readers of a PDF with missing characters; None if there are none.

    Args:
        context: Texts, at any depth.
        fonts: Names of the fonts with priority over the machine's own, as a JSON list.
    """
    characters = sorted({char for text in _texts(context) for char in text if char > LAST_LATIN})
    missing = first_missing(" ".join(characters), fonts) if characters else None
    if missing is None:
        return None
    named = " ".join(f"U+{ord(char):04X} {unicodedata.name(char, '')}".strip() for char in missing)
    return (
        "Some characters of this report are boxes in this PDF, since no font on the machine that "
        f"drew it has them; the first is {named}. HTML, Markdown, CSV and JSON show them all."
    )


def first_missing(text: str, fonts: str) -> str | None:
    """The first character (with its combining marks) that no font has.

    Raises:
        typst.TypstError: If the compiler reports another error.
    """
    inputs = {"text": text, "fonts": fonts}
    try:
        # This archive standard forbids characters without a glyph, so the compiler reports one.
        typst.compile(_SOURCE, format="pdf", pdf_standards="a-2b", sys_inputs=inputs, timestamp=0)
    except typst.TypstError as error:
        match = _MISSING.search(str(error))
        if match is None:
            raise
        return _ESCAPE.sub(lambda code: chr(int(code[1], 16)), match[1])
    return None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, Sequence) and not isinstance(value, bytes):
        for item in value:
            yield from _texts(item)
