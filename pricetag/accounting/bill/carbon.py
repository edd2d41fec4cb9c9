"""Facility energy and operational carbon emissions."""

from __future__ import annotations

from pricetag.accounting.quantity.checks import (
    require_number,
    require_pue,
)
from pricetag.accounting.units import grams_to_kg


def facility_energy_kwh(it_energy_kwh: float, pue: float) -> float:
    """Energy drawn by the building for an IT energy: IT x PUE, both in kWh.

    Raises:
        InvalidFactor: If the energy is negative or the PUE below 1.
    """
    return require_number("it_energy_kwh", it_energy_kwh) * require_pue("pue", pue)


def operational_co2e_kg(facility_kwh: float, carbon_intensity_g_per_kwh: float) -> float:
    """Emissions in kg CO2e of the facility's energy (kWh) at an intensity (g CO2e/kWh).

    The basis (location or market) is that of the intensity; a market-based figure is reported
    beside the location-based one and never replaces it.

    Raises:
        InvalidFactor: If either is negative or not finite.
    """
    energy = require_number("facility_kwh", facility_kwh)
    intensity = require_number("carbon_intensity_g_per_kwh", carbon_intensity_g_per_kwh)
    return grams_to_kg(energy * intensity)
