"""Names as accepted, stored and shown: one line, without invisible or reordering characters."""

from __future__ import annotations

import unicodedata

from pricetag.reported import MAX_NAME, cut

BIDIRECTIONAL = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
"""Characters that change the direction of the text after them."""

_JOINERS = "\u200c\u200d"
_NON_JOINER = "\u200c"
_EMOJI_SELECTORS = "\ufe0e\ufe0f"
_KEYCAP = "\u20e3"
_VIRAMA = 9  # canonical combining class
_BLANK = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
    + "".join(map(chr, (*range(0xFE00, 0xFE0E), *range(0xE0100, 0xE01F0))))
)
"""Fillers and variation selectors: not format characters in Unicode's terms, and not visible."""

VISIBLE = (
    r"[^\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u180b-\u180f\u200b\u200e"
    r"\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff9-\ufffb]"
)
"""One character of a name, for schemas (regular expression); ``hidden_in`` is stricter."""


def hidden_in(text: str) -> str | None:
    """The first character of a name that cannot be seen, or that reorders the text around it.

    Two names that look equal must be equal: control and format characters, line and paragraph
    separators, halves of surrogate pairs, fillers and variation selectors are rejected. Joiners
    (U+200C, U+200D) are accepted where they shape visible text, as in Persian, in the scripts of
    India and in emoji, and emoji selectors (U+FE0E, U+FE0F) after a symbol; elsewhere they are
    invisible. Private-use characters are accepted: they show, though each font shows its own.

    Returns:
        For example ``U+202E RIGHT-TO-LEFT OVERRIDE``; None if every character can be seen.

    Source: joiners as in RFC 5892, appendix A.1 and A.2, and in emoji ZWJ sequences (UTS 51).
    """
    if text.isascii() and text.isprintable():
        return None
    for index, character in enumerate(text):
        if _is_hidden(text, index):
            name = unicodedata.name(character, "control character")
            return f"U+{ord(character):04X} {name}"
    return None


def _is_hidden(text: str, index: int) -> bool:
    character = text[index]
    if character in _JOINERS:
        return not _shapes_text(text, index)
    if character in _EMOJI_SELECTORS:
        return not _selects_emoji(text, index)
    return character in _BLANK or unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def _shapes_text(text: str, index: int) -> bool:
    """Whether a joiner joins or separates two visible characters (never the first or last)."""
    after = text[index + 1 : index + 2]
    if index == 0 or not after:
        return False
    if unicodedata.combining(text[index - 1]) == _VIRAMA:
        return unicodedata.category(after).startswith("L")
    before = _base(text, index)
    if unicodedata.bidirectional(before) == unicodedata.bidirectional(after) == "AL":
        return True
    is_emoji = {unicodedata.category(before), unicodedata.category(after)} == {"So"}
    return text[index] != _NON_JOINER and is_emoji


def _base(text: str, index: int) -> str:
    """The character before an index, without the marks and modifiers on it."""
    while index > 1 and unicodedata.category(text[index - 1]) in ("Mn", "Me", "Sk"):
        index -= 1
    return text[index - 1]


def _selects_emoji(text: str, index: int) -> bool:
    before = text[index - 1] if index else " "
    if before in "#*0123456789":
        return text[index + 1 : index + 2] == _KEYCAP
    return not before.isascii() and unicodedata.category(before)[0] in "SP"


def one_line(name: str, most: int = MAX_NAME) -> str:
    """The name in one line of at most ``most`` characters.

    Line breaks, tabs and control characters become blanks, hidden characters are removed,
    characters that UTF-8 cannot hold are replaced; the end of a long name becomes an ellipsis.
    """
    while True:  # the remaining text around a joiner may no longer need it
        if len(name) <= most and name.isascii() and name.isprintable():
            return name
        line = _cleaned(name[: 4 * most], most)
        if line == name:
            return line
        name = line


def _cleaned(name: str, most: int) -> str:
    plain = "".join(_plain(name, index) for index in range(len(name)))
    return cut(" ".join(plain.split()) if plain != name else plain, most)


def _plain(name: str, index: int) -> str:
    character = name[index]
    category = unicodedata.category(character)
    if category == "Cs":
        return "\N{REPLACEMENT CHARACTER}"
    if category in ("Cc", "Zl", "Zp"):
        return " "
    return "" if _is_hidden(name, index) else character


def not_utf8(error: UnicodeDecodeError) -> str:
    """Where a text stops being UTF-8, and what to do about it: ``is not UTF-8 text: ...``."""
    raw = error.object
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "is not UTF-8 text: it begins as UTF-16 does; save it as UTF-8"
    line = raw.count(b"\n", 0, error.start) + 1
    return f"is not UTF-8 text: line {line}, byte 0x{raw[error.start]:02x}; save it as UTF-8"
