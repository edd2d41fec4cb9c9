"""Water usage: on site for cooling, and off site for generating electricity."""

from __future__ import annotations

from pricetag.accounting.quantity.checks import require_number, require_pue


def water_l_per_kwh(wue_l_per_kwh: float, pue: float, ewif_l_per_kwh: float) -> tuple[float, float]:
    """Liters per kWh of IT energy: on site, and for generating the electricity.

    Raises:
        InvalidFactor: If a figure is negative, or the PUE below 1.
    """
    on_site = require_number("wue_l_per_kwh", wue_l_per_kwh)
    return on_site, require_pue("pue", pue) * require_number("ewif_l_per_kwh", ewif_l_per_kwh)
