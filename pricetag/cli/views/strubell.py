"""The Strubell table on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pricetag.tag.figure import Shown
from pricetag.tag.figures import number
from pricetag.tag.strubell import (
    CITATION,
    Profile,
    StrubellRow,
    paper_factors,
    strubell_row,
)
from pricetag.tag.summary import price_range_text
from pricetag.tag.view import TagView

if TYPE_CHECKING:
    from rich.console import RenderableType

# Headings of two lines, so that all columns fit into 80 characters.
COLUMNS = (
    "Model",
    "Hardware",
    "Power\n(W)",
    "Hours",
    "kWh·PUE",
    "CO2e\n(lb)",
    "CO2e\n(kg)",
    "Cloud\ncost",
)


def strubell_table(
    documents: Sequence[Mapping[str, Any]], profile: Profile = "strubell2019"
) -> RenderableType:
    """The columns of Strubell et al. 2019 for some runs, within 80 characters.

    Args:
        documents: Price tags as returned by the API.
        profile: Factors to apply: the paper's, or those of each tag.
    """
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    factors = (
        f"{paper_factors()}: {CITATION}"
        if profile == "strubell2019"
        else "PUE and carbon intensity of each price tag"
    )
    table = Table(
        box=SIMPLE,
        pad_edge=False,
        show_edge=False,
        padding=0,
        caption=Text(f"Factors: {factors}", style="dim"),
        caption_justify="left",
        expand=False,
    )
    for index, head in enumerate(COLUMNS):
        table.add_column(
            Text(head),
            justify="left" if index < 2 else "right",
            overflow="fold",
            # Names and prices may wrap, figures may not.
            no_wrap=head not in ("Model", "Hardware", "Cloud\ncost"),
        )
    for tag in map(TagView.read, documents):
        table.add_row(*map(Text, _cells(strubell_row(tag, profile))))
    return table


def _cells(row: StrubellRow) -> list[str]:
    figures = (row.power_w, row.hours, row.facility_energy_kwh, row.co2e_lb, row.co2e_kg)
    return [
        row.label,
        row.hardware or "n/a",
        *map(_bare, figures),
        price_range_text(row.cloud_cost),
    ]


def _bare(figure: Shown) -> str:
    return "n/a" if figure.value is None else number(float(figure.value))
