"""The Strubell table on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pricetag.tag.figures import money_range, number
from pricetag.tag.strubell import (
    CITATION,
    Profile,
    StrubellRow,
    paper_factors,
    strubell_row,
)
from pricetag.tag.tags import Tag

if TYPE_CHECKING:
    from rich.console import RenderableType

# Heads of two lines, so that all columns fit into 80 characters.
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


def strubell_table(tags: Sequence[Tag], profile: Profile = "strubell2019") -> RenderableType:
    """The columns of Strubell et al. 2019 for some runs, fit for 80 columns.

    Args:
        tags: Price tags as the API gives them.
        profile: Whose factors to apply: the paper's, or those of each tag.
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
    for tag in tags:
        table.add_row(*map(Text, _cells(strubell_row(tag, profile))))
    return table


def _cells(row: StrubellRow) -> list[str]:
    name = row["model"] if row["status"] == "succeeded" else f"{row['model']} ({row['status']})"
    figures = (row[key] for key in ("power_w", "hours", "facility_energy_kwh"))
    return [
        name,
        row["hardware"] or "n/a",
        *map(_bare, figures),
        _bare(row["co2e_lb"]),
        _bare(row["co2e_kg"]),
        cost_text(row["cloud_cost"]),
    ]


def _bare(quantity: Mapping[str, Any]) -> str:
    return "n/a" if quantity["value"] is None else number(float(quantity["value"]))


def cost_text(quantity: Mapping[str, Any], missing: str = "n/a") -> str:
    """A cost from low to high in its currency."""
    if quantity["value"] is None:
        return missing
    low, high = quantity.get("low"), quantity.get("high")
    value = quantity["value"]
    currency = str(quantity.get("unit") or "")
    return money_range(
        float(value if low is None else low), float(value if high is None else high), currency
    )
