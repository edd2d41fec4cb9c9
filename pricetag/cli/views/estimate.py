"""An estimate on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pricetag.tag.figures import money_range, number, with_unit

if TYPE_CHECKING:
    from rich.console import RenderableType


def estimate_view(figures: Mapping[str, Any]) -> RenderableType:
    """The figures of ``pricetag estimate``, one a line."""
    from rich.table import Table
    from rich.text import Text

    cost = "n/a (no price supplied)"
    prices = [figures[name] for name in ("cost_low", "cost_high") if figures.get(name) is not None]
    if prices:
        cost = money_range(min(prices), max(prices), figures.get("currency"))
    lines = {
        "IT energy": with_unit(figures["it_energy_kwh"], "kWh"),
        "Facility energy (kWh·PUE)": with_unit(figures["facility_energy_kwh"], "kWh"),
        "CO2e": f"{with_unit(figures['co2e_kg'], 'kg')} ({number(figures['co2e_lb'])} lb)",
        "Cloud compute cost": cost,
    }
    table = Table.grid(padding=(0, 2))
    for label, text in lines.items():
        table.add_row(Text(label), Text(text, style="bold"))
    return table
