"""LaTeX: one document for a standard pdflatex that needs only booktabs, and graphicx for figures.

The figures of a paper are PDF files beside the document; without them it compiles as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.reports.charts import charts_of
from app.reports.latex_text import breakable, widest_cm
from app.reports.shape import Column, Context, Row, Section, Table

MEDIA_TYPE = "application/x-tex"
TEXT_WIDTH_CM = 17.0
GAP_CM = 0.29  # 4 pt on both sides of a column
SPARE_CM = 0.02  # widths are printed in hundredths
MANY_COLUMNS = 12  # more of them are set smaller, with narrower gaps
SMALL_SCALE = 0.875  # of \scriptsize to \footnotesize
SMALL_GAP_CM = 0.145  # 2 pt on both sides
ROWS_PER_TABLE = 28  # longer tables are split, without a package for multi-page tables


def render(context: Context) -> bytes:
    """The report as a LaTeX document in plain ASCII."""
    figures = figures_text(context)
    parts = [
        r"\documentclass[10pt]{article}",
        r"\usepackage{booktabs}",
        *([r"\usepackage{graphicx}"] if figures else []),
        r"\setlength{\textwidth}{17cm}\setlength{\oddsidemargin}{-0.5cm}",
        r"\setlength{\evensidemargin}{-0.5cm}\setlength{\textheight}{23cm}",
        r"\setlength{\topmargin}{-1.2cm}\setlength{\tabcolsep}{4pt}\sloppy",
        rf"\title{{{breakable(context['title'])}}}",
        r"\author{Pricetag}",
        rf"\date{{{breakable(context['profile_label'] + ', ' + context['generated_label'])}}}",
        r"\begin{document}",
        r"\maketitle",
        breakable(context["lead"]),
        *figures,
        *map(_section, context["sections"]),
        r"\end{document}",
    ]
    return ("\n".join(parts) + "\n").encode("ascii")


def figure_name(number: int) -> str:
    """Name of the file of a figure, counted from 1."""
    return f"figure-{number}.pdf"


def figures_text(context: Mapping[str, Any]) -> list[str]:
    """The figures of a report on a paper; other reports come without files of figures."""
    if context.get("paper") is None:
        return []
    return [
        _figure(number, chart.title, chart.summary)
        for number, chart in enumerate(charts_of(context), 1)
    ]


def _figure(number: int, title: str, summary: str) -> str:
    name = figure_name(number)
    missing = breakable(f"[{name} is in latex.zip and in the archive of the paper]")
    return "\n".join(
        [
            r"\begin{center}",
            rf"\IfFileExists{{{name}}}{{\includegraphics[width=\linewidth]{{{name}}}}}{{{missing}}}",
            rf"\par\nopagebreak\smallskip\textbf{{Figure {number}: {breakable(title)}.}} "
            + breakable(summary),
            r"\end{center}",
        ]
    )


def _section(section: Section) -> str:
    parts = [rf"\section*{{{breakable(section['heading'])}}}"]
    parts += [breakable(paragraph) + "\n" for paragraph in section["paragraphs"]]
    parts += map(table_text, section["tables"])
    return "\n".join(parts)


def table_text(table: Table) -> str:
    """A table with its caption and notes."""
    rows = table["rows"]
    starts = range(0, max(len(rows), 1), ROWS_PER_TABLE)
    widths_cm = _widths_cm(table)
    pieces = [
        _piece(table, widths_cm, rows[start : start + ROWS_PER_TABLE], continued=start > 0)
        for start in starts
    ]
    notes = [rf"{{\footnotesize {breakable(note)}\par}}" for note in table["notes"]]
    return "\n".join([*pieces, *notes])


def _piece(table: Table, widths_cm: list[float], rows: list[Row], *, continued: bool) -> str:
    caption = table["caption"] + (" (continued)" if continued else "")
    rooms_cm = [width_cm / _scale(table) for width_cm in widths_cm]  # for text in footnotesize
    lines: list[str] = []
    for item in rows:
        if item["total"]:
            lines.append(r"\midrule")
        lines.append(_row(item["cells"], table["columns"], rooms_cm))
    head = _row(_head(table), table["columns"], rooms_cm)
    return "\n".join(
        [
            r"\begin{center}",
            rf"\textbf{{{breakable(caption)}}}\par\nopagebreak\smallskip",
            r"\scriptsize\setlength{\tabcolsep}{2pt}"
            if _is_small(table)
            else r"\footnotesize\setlength{\tabcolsep}{4pt}",
            rf"\begin{{tabular}}{{{_column_types(widths_cm)}}}",
            r"\toprule",
            head,
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{center}",
        ]
    )


def _is_small(table: Table) -> bool:
    return len(table["columns"]) > MANY_COLUMNS


def _scale(table: Table) -> float:
    return SMALL_SCALE if _is_small(table) else 1.0


def _head(table: Table) -> list[str]:
    return [column["label"] for column in table["columns"]]


def _column_types(widths_cm: list[float]) -> str:
    return "".join(f"p{{{width_cm:.2f}cm}}" for width_cm in widths_cm)


def _widths_cm(table: Table) -> list[float]:
    """Widths by the columns' weights, but if possible not less than their widest words.

    If whole words do not fit, the parts between which they may break are used.
    """
    columns = table["columns"]
    gap_cm, scale = SMALL_GAP_CM if _is_small(table) else GAP_CM, _scale(table)
    room_cm = TEXT_WIDTH_CM - len(columns) * gap_cm
    total_weight = sum(column["weight"] for column in columns)
    wanted_cm = [room_cm * column["weight"] / total_weight for column in columns]
    for of_parts in (False, True):
        least_cm = [
            scale * max(widest_cm(cell, of_parts=of_parts) for cell in cells) + SPARE_CM
            for cells in zip(_head(table), *(row["cells"] for row in table["rows"]), strict=True)
        ]
        if sum(least_cm) <= room_cm:
            return _fitted_cm(wanted_cm, least_cm, room_cm)
    return wanted_cm


def _fitted_cm(weighted_cm: list[float], least_cm: list[float], room_cm: float) -> list[float]:
    """Widths of at least the minimum, taken from columns that are wider than their minimum."""
    taken_cm = list(map(max, weighted_cm, least_cm))
    spare_cm = [width - least for width, least in zip(taken_cm, least_cm, strict=True)]
    excess_cm = sum(taken_cm) - room_cm
    if excess_cm <= 0:
        return taken_cm
    part = excess_cm / sum(spare_cm)
    return [width - part * spare for width, spare in zip(taken_cm, spare_cm, strict=True)]


def _row(cells: list[str], columns: list[Column], rooms_cm: list[float]) -> str:
    # In these cells the usual row end would be part of \raggedright.
    set_ = {"left": r"\raggedright", "right": r"\raggedleft"}
    body = " & ".join(
        f"{set_[column['align']]} {breakable(cell, room_cm)}"
        for cell, column, room_cm in zip(cells, columns, rooms_cm, strict=True)
    )
    return body + r" \tabularnewline"
