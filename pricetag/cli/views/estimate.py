"""An estimate on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pricetag.tag.figures import money_range, number, with_unit

if TYPE_CHECKING:
    from rich.console import RenderableType


def estimate_view(figures: Mapping[str, Any]) -> RenderableType:
    """The figures of ``pricetag estimate``, one per line."""
    from rich.table import Table
    from rich.text import Text

    cost = _cost(figures.get("cost_low"), figures.get("cost_high"), figures.get("currency"))
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


def _cost(low: float | None, high: float | None, currency: str | None) -> str:
    """The range of the cloud cost; one end of it says which."""
    if low is not None and high is not None:
        return money_range(min(low, high), max(low, high), currency)
    if low is not None:
        return f"at least {money_range(low, low, currency)} (no high price supplied)"
    if high is not None:
        return f"at most {money_range(high, high, currency)} (no low price supplied)"
    return "n/a (no price supplied)"
