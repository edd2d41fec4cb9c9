"""What a factor would change, on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pricetag.cli.views.tables import ListTable
from pricetag.tag.figures import counted, percent, quantity_text

if TYPE_CHECKING:
    from rich.console import RenderableType

OF_SITE = {"co2e_kg": "emissions", "electricity_cost": "cost of electricity"}
OF_RUN = {"co2e_kg": "emissions", "embodied_co2e_kg": "embodied emissions", "cost": "cost"}


def preview_parts(preview: Mapping[str, Any]) -> Iterator[str | RenderableType]:
    """The factor, the number of runs that it concerns, and figures without and with it."""
    place = preview["site"] or "the lab"
    unit = "" if preview["unit"] == "1" else f" {preview['unit']}"
    yield f"{preview['kind']} {preview['value']}{unit} of {place}: not entered, this is a preview"
    least = "at least " if preview["at_least"] else ""
    attempts = counted(preview["attempts"], "ended attempt")
    yield (
        f"It covers the time of {least}{attempts} of {counted(preview['runs'], 'run')}; their "
        "price tags change only if they are re-priced."
    )
    rows = [
        (site["site"], "this month", words, *_effect(site[name]))
        for site in preview["sites"]
        for name, words in OF_SITE.items()
    ]
    rows += [
        (run["name"], "re-priced", words, *_effect(run[name]))
        for run in preview["examples"]
        for name, words in OF_RUN.items()
    ]
    if rows:
        yield ListTable(
            ("~Site or run", "", "+Figure", "+Now", "+With the factor", ">Change"), rows
        )


def _effect(effect: Mapping[str, Any]) -> tuple[str, str, str]:
    ratio = effect["change_ratio"]
    change = "n/a" if ratio is None else f"{'+' if ratio > 0 else ''}{percent(ratio)}"
    return quantity_text(effect["before"]), quantity_text(effect["after"]), change
