"""LaTeX: one document that needs booktabs and nothing else, for pdflatex as it comes."""

from __future__ import annotations

from app.reports.latex_text import breakable
from app.reports.shape import Column, Context, Row, Section, Table

MEDIA_TYPE = "application/x-tex"
TEXT_WIDTH_CM = 17.0
GAP_CM = 0.29  # 4 pt on both sides of a column
ROWS_PER_TABLE = 28  # no package for tables over several pages: they are cut instead


def render(context: Context) -> bytes:
    """The report as a LaTeX document in plain ASCII."""
    parts = [
        r"\documentclass[10pt]{article}",
        r"\usepackage{booktabs}",
        r"\setlength{\textwidth}{17cm}\setlength{\oddsidemargin}{-0.5cm}",
        r"\setlength{\evensidemargin}{-0.5cm}\setlength{\textheight}{23cm}",
        r"\setlength{\topmargin}{-1.2cm}\setlength{\tabcolsep}{4pt}\sloppy",
        rf"\title{{{breakable(context['title'])}}}",
        r"\author{Pricetag}",
        rf"\date{{{breakable(context['profile_label'] + ', ' + context['generated_label'])}}}",
        r"\begin{document}",
        r"\maketitle",
        breakable(context["lead"]),
        *map(_section, context["sections"]),
        r"\end{document}",
    ]
    return ("\n".join(parts) + "\n").encode("ascii")


def _section(section: Section) -> str:
    parts = [rf"\section*{{{breakable(section['heading'])}}}"]
    parts += [breakable(paragraph) + "\n" for paragraph in section["paragraphs"]]
    parts += map(_table, section["tables"])
    return "\n".join(parts)


def _table(table: Table) -> str:
    rows = table["rows"]
    starts = range(0, max(len(rows), 1), ROWS_PER_TABLE)
    pieces = [
        _piece(table, rows[start : start + ROWS_PER_TABLE], continued=start > 0) for start in starts
    ]
    notes = [rf"{{\footnotesize {breakable(note)}\par}}" for note in table["notes"]]
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
            rf"\textbf{{{breakable(caption)}}}\par\nopagebreak\smallskip",
            r"\footnotesize",
            rf"\begin{{tabular}}{{{_column_types(table['columns'])}}}",
            r"\toprule",
            head,
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{center}",
        ]
    )


def _column_types(columns: list[Column]) -> str:
    return "".join(f"p{{{width_cm:.2f}cm}}" for width_cm in _widths_cm(columns))


def _widths_cm(columns: list[Column]) -> list[float]:
    room_cm = TEXT_WIDTH_CM - len(columns) * GAP_CM
    whole = sum(column["weight"] for column in columns)
    return [room_cm * column["weight"] / whole for column in columns]


def _row(cells: list[str], columns: list[Column]) -> str:
    # In these cells the usual row end would belong to \raggedright.
    set_ = {"left": r"\raggedright", "right": r"\raggedleft"}
    body = " & ".join(
        f"{set_[column['align']]} {breakable(cell, width_cm)}"
        for cell, column, width_cm in zip(cells, columns, _widths_cm(columns), strict=True)
    )
    return body + r" \tabularnewline"
