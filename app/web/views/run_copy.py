"""A price tag as text to paste: a table of Markdown, a row of LaTeX."""

from __future__ import annotations

from app.reports.latex_text import escape
from app.reports.markdown import escape_inside
from pricetag.tag.figure import Shown
from pricetag.tag.figures import duration_text, figure_text
from pricetag.tag.summary import cost_text
from pricetag.tag.view import TagView

HEADS = ("Run", "Hardware", "Time", "IT energy", "CO2e", "Cost")


def markdown(tag: TagView) -> str:
    """A table with one row, with the interval and the source of each figure."""
    cells = [escape_inside(text) for text in _cells(tag)]
    rows = [HEADS, ("---",) * len(HEADS), cells]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def latex(tag: TagView) -> str:
    """A row of a table, and what its columns are."""
    heads = " & ".join(map(escape, HEADS))
    cells = " & ".join(map(escape, _cells(tag)))
    return f"% {heads} \\\\\n{cells} \\\\\n"


def _cells(tag: TagView) -> list[str]:
    document = tag.document
    figures: list[Shown] = [document.energy.it_energy_kwh, document.energy.co2e_kg]
    return [
        tag.name,
        tag.hardware or "n/a",
        duration_text(document.energy.duration_s.value),
        *map(figure_text, figures),
        cost_text(document.cost.total, document.cost.basis),
    ]
