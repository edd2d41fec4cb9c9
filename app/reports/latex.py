"""LaTeX: one document that needs booktabs and nothing else, for pdflatex as it comes."""

from __future__ import annotations

import unicodedata

from app.reports.shape import Column, Context, Row, Section, Table
from app.reports.text import clean

MEDIA_TYPE = "application/x-tex"
LONG_WORD = 15
ROWS_PER_TABLE = 28  # no package for tables over several pages: they are cut instead

# `[` and `*` are braced because either would be read as an argument of the row end before it.
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
# Two of these in a row would be set as one other sign.
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
    """Any text as LaTeX that prints it; what has no form there is printed as its code point."""
    line = clean(text)
    return "".join(map(_escaped, line, [*line[1:], ""]))


def _breakable(text: str) -> str:
    """The same with long words that may break anywhere, so that no column runs into the next."""
    words = clean(text).split(" ")
    return " ".join(
        r"\allowbreak{}".join(map(escape, word)) if len(escape(word)) > LONG_WORD else escape(word)
        for word in words
    )


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


def render(context: Context) -> bytes:
    """The report as a LaTeX document in plain ASCII."""
    parts = [
        r"\documentclass[10pt]{article}",
        r"\usepackage{booktabs}",
        r"\setlength{\textwidth}{17cm}\setlength{\oddsidemargin}{-0.5cm}",
        r"\setlength{\evensidemargin}{-0.5cm}\setlength{\textheight}{23cm}",
        r"\setlength{\topmargin}{-1.2cm}\setlength{\tabcolsep}{4pt}\sloppy",
        rf"\title{{{_breakable(context['title'])}}}",
        r"\author{Pricetag}",
        rf"\date{{{_breakable(context['profile_label'] + ', ' + context['generated_label'])}}}",
        r"\begin{document}",
        r"\maketitle",
        _breakable(context["lead"]),
        *map(_section, context["sections"]),
        r"\end{document}",
    ]
    return ("\n".join(parts) + "\n").encode("ascii")


def _section(section: Section) -> str:
    parts = [rf"\section*{{{_breakable(section['heading'])}}}"]
    parts += [_breakable(paragraph) + "\n" for paragraph in section["paragraphs"]]
    parts += map(_table, section["tables"])
    return "\n".join(parts)


def _table(table: Table) -> str:
    rows = table["rows"]
    starts = range(0, max(len(rows), 1), ROWS_PER_TABLE)
    pieces = [
        _piece(table, rows[start : start + ROWS_PER_TABLE], continued=start > 0) for start in starts
    ]
    notes = [rf"{{\footnotesize {_breakable(note)}\par}}" for note in table["notes"]]
    return "\n".join([*pieces, *notes])


def _piece(table: Table, rows: list[Row], *, continued: bool) -> str:
    caption = table["caption"] + (" (continued)" if continued else "")
    lines: list[str] = []
    for item in rows:
        if item["total"]:
            lines.append(r"\midrule")
        lines.append(_row(item["cells"], table["columns"]))
    head = _row([column["label"] for column in table["columns"]], table["columns"])
    return "\n".join(
        [
            r"\begin{center}",
            rf"\textbf{{{_breakable(caption)}}}\par\nopagebreak\smallskip",
            r"\footnotesize",
            rf"\begin{{tabular}}{{{_widths(table['columns'])}}}",
            r"\toprule",
            head,
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{center}",
        ]
    )


def _widths(columns: list[Column]) -> str:
    # 17 cm less the gaps of 4 pt on both sides of every column.
    room_cm = 17.0 - len(columns) * 0.29
    whole = sum(column["weight"] for column in columns)
    return "".join(f"p{{{room_cm * column['weight'] / whole:.2f}cm}}" for column in columns)


def _row(cells: list[str], columns: list[Column]) -> str:
    # In these cells the usual row end would belong to \raggedright.
    set_ = {"left": r"\raggedright", "right": r"\raggedleft"}
    body = " & ".join(
        f"{set_[column['align']]} {_breakable(cell)}"
        for cell, column in zip(cells, columns, strict=True)
    )
    return body + r" \tabularnewline"
