"""Water, on site for cooling and off site for making the electricity."""

from __future__ import annotations

from pricetag.accounting.quantity.checks import require_number, require_pue


def water_l(
    it_energy_kwh: float, *, wue_l_per_kwh: float, pue: float, ewif_l_per_kwh: float
) -> float:
    """Litres of water for an IT energy.

    Args:
        it_energy_kwh: IT energy.
        wue_l_per_kwh: Water usage effectiveness of the site, per kWh of IT energy.
        pue: Power usage effectiveness of the site.
        ewif_l_per_kwh: Water that a kWh of the grid's electricity takes.

    Raises:
        InvalidFactor: If a figure is negative, or the PUE below 1.

    Source:
        Li et al. 2023, "Making AI Less Thirsty": E_IT x (WUE + PUE x EWIF).
    """
    parts_l_per_kwh = water_l_per_kwh(wue_l_per_kwh, pue, ewif_l_per_kwh)
    return require_number("it_energy_kwh", it_energy_kwh) * sum(parts_l_per_kwh)


def water_l_per_kwh(wue_l_per_kwh: float, pue: float, ewif_l_per_kwh: float) -> tuple[float, float]:
    """Litres for a kWh of IT energy: on the site, and where the electricity is made.

    Raises:
        InvalidFactor: If a figure is negative, or the PUE below 1.
    """
    on_site = require_number("wue_l_per_kwh", wue_l_per_kwh)
    return on_site, require_pue("pue", pue) * require_number("ewif_l_per_kwh", ewif_l_per_kwh)
