"""Names as they are stored and shown: one short line, without characters that disrupt display."""

from __future__ import annotations

import unicodedata

from pricetag.reported import MAX_NAME, cut

BIDIRECTIONAL = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
"""Characters that change the direction of the text after them."""


def one_line(name: str, most: int = MAX_NAME) -> str:
    """The name in one line of at most ``most`` characters.

    Line breaks, tabs and control characters become blanks, direction marks are removed, characters
    that UTF-8 cannot hold are replaced; the end of a long name becomes an ellipsis.
    """
    if len(name) <= most and name.isascii() and name.isprintable():
        return name
    name = name[: 4 * most]
    plain = "".join(_plain(character) for character in name if character not in BIDIRECTIONAL)
    return cut(" ".join(plain.split()) if plain != name else plain, most)


def _plain(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cs":
        return "\N{REPLACEMENT CHARACTER}"
    return " " if category in ("Cc", "Zl", "Zp") else character
