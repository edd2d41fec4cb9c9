"""Any text as LaTeX source that prints it, for a standard pdflatex."""

from __future__ import annotations

import re
import unicodedata

from app.reports.text import clean

LONG_WORD = 20  # letters; a shorter word is broken only if it does not fit into the column
# Widths in footnotesize, slightly more than in Computer Modern.
WIDTH_CM = 0.165
WIDE_CM = 0.28
CAPITAL_CM = 0.22
NARROW_CM = 0.1
LONG_CM = LONG_WORD * WIDTH_CM

_BREAK = r"\allowbreak{}"
_PARTS = re.compile(r"[^_/.,:)-]*[_/.,:)-]|[^_/.,:)-]+")

# `[` and `*` are braced, since both could be parsed as arguments of the preceding row end.
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\~{}",
    "^": r"\^{}",
    "<": r"\ensuremath{<}",
    ">": r"\ensuremath{>}",
    "|": r"\ensuremath{|}",
    '"': r"''{}",
    "[": r"{[}",
    "]": r"{]}",
    "*": r"{*}",
    "\u00a0": "~",
    "\u2013": r"--{}",
    "\u2014": r"---{}",
    "\u2018": r"`{}",
    "\u2019": r"'{}",
    "\u201c": r"``{}",
    "\u201d": r"''{}",
    "\u2026": r"\ldots{}",
    "\u2032": r"\ensuremath{'}",
    "§": r"\S{}",
    "©": r"\copyright{}",
    "£": r"\pounds{}",
    "°": r"\ensuremath{^\circ}",
    "±": r"\ensuremath{\pm}",
    "\u00d7": r"\ensuremath{\times}",
    "÷": r"\ensuremath{\div}",
    "·": r"\ensuremath{\cdot}",
    "²": r"\ensuremath{^2}",
    "³": r"\ensuremath{^3}",
    "µ": r"\ensuremath{\mu}",
    "≤": r"\ensuremath{\le}",
    "≥": r"\ensuremath{\ge}",
    "≈": r"\ensuremath{\approx}",
    "→": r"\ensuremath{\to}",
    "₂": r"\ensuremath{_2}",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "œ": r"\oe{}",
    "Œ": r"\OE{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
    "\u0131": r"\i{}",
    "¡": r"!`{}",
    "¿": r"?`{}",
}
# Two of these in a row would be typeset as another character.
_JOINING = frozenset("-'`,!?")
_ACCENTS = {
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0304": "=",
    "\u0306": "u",
    "\u0307": ".",
    "\u0308": '"',
    "\u030a": "r",
    "\u030b": "H",
    "\u030c": "v",
    "\u0323": "d",
    "\u0327": "c",
    "\u0331": "b",
}
_GREEK = {
    "GAMMA": "Gamma",
    "DELTA": "Delta",
    "THETA": "Theta",
    "LAMDA": "Lambda",
    "XI": "Xi",
    "PI": "Pi",
    "SIGMA": "Sigma",
    "UPSILON": "Upsilon",
    "PHI": "Phi",
    "PSI": "Psi",
    "OMEGA": "Omega",
}
_SMALL_GREEK = {
    **{name: command.lower() for name, command in _GREEK.items()},
    "ALPHA": "alpha",
    "BETA": "beta",
    "EPSILON": "varepsilon",
    "ZETA": "zeta",
    "ETA": "eta",
    "IOTA": "iota",
    "KAPPA": "kappa",
    "MU": "mu",
    "NU": "nu",
    "RHO": "rho",
    "TAU": "tau",
    "CHI": "chi",
}


def escape(text: str) -> str:
    """Any text as LaTeX source; characters without a LaTeX form appear as their code point."""
    line = clean(text)
    return "".join(map(_escaped, line, [*line[1:], ""]))


def breakable(text: str, room_cm: float | None = None) -> str:
    """Escaped text in which long words may break, preferably between their parts.

    With a column's width, words that would overflow the column may break.
    """
    return " ".join(_word(word, room_cm) for word in clean(text).split(" "))


def _word(word: str, room_cm: float | None) -> str:
    if not _is_long(word, room_cm):
        return escape(word)
    parts = _PARTS.findall(word)
    return _BREAK.join(
        _BREAK.join(map(escape, part)) if _is_long(part, room_cm) else escape(part)
        for part in parts
    )


def widest_cm(text: str, *, of_parts: bool) -> float:
    """Width of a text's widest word, except for words that may break anywhere.

    Args:
        text: Any text.
        of_parts: Whether words may break between their parts, after a slash or a hyphen.
    """
    words = clean(text).split(" ")
    pieces = [part for word in words for part in _PARTS.findall(word)] if of_parts else words
    widths_cm = [sum(map(_width_cm, piece)) for piece in pieces]
    return max((width_cm for width_cm in widths_cm if width_cm <= LONG_CM), default=0.0)


def _is_long(word: str, room_cm: float | None) -> bool:
    return sum(map(_width_cm, word)) > (LONG_CM if room_cm is None else room_cm)


def _width_cm(char: str) -> float:
    printed = escape(char)
    if printed.startswith(r"\texttt"):
        return WIDTH_CM * len("U+0000")
    if char in "mwMWOQ@%&\u2014\u2026" or not char.isascii():
        return WIDE_CM
    if char in "ijltf.,:;'!|()[]":
        return NARROW_CM
    return CAPITAL_CM if char.isupper() else WIDTH_CM


def _escaped(char: str, after: str) -> str:
    if char in _SPECIAL:
        return _SPECIAL[char]
    if char in _JOINING and after in _JOINING:
        return char + "{}"
    if " " <= char <= "~":
        return char
    return _accented(char) or _greek(char) or rf"\texttt{{U+{ord(char):04X}}}"


def _accented(char: str) -> str | None:
    parts = unicodedata.normalize("NFD", char)
    if len(parts) != 2 or not ("a" <= parts[0].lower() <= "z") or parts[1] not in _ACCENTS:
        return None
    base = {"i": r"\i", "j": r"\j"}.get(parts[0], parts[0])
    return rf"\{_ACCENTS[parts[1]]}{{{base}}}"


def _greek(char: str) -> str | None:
    words = unicodedata.name(char, "").split()
    if len(words) != 4 or words[0] != "GREEK" or words[2] != "LETTER":
        return None
    command = (_SMALL_GREEK if words[1] == "SMALL" else _GREEK).get(words[3])
    return rf"\ensuremath{{\{command}}}" if command else None
