"""Carbon: of the energy used (operational) and of the hardware (embodied)."""

from __future__ import annotations

from collections.abc import Sequence

from pricetag.accounting.quantity.checks import (
    InvalidFactor,
    require_number,
    require_positive,
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

    The basis (location or market) is that of the intensity handed in; a market-based
    figure stands beside the location-based one, never in its stead.

    Raises:
        InvalidFactor: If either is negative or not finite.
    """
    energy = require_number("facility_kwh", facility_kwh)
    intensity = require_number("carbon_intensity_g_per_kwh", carbon_intensity_g_per_kwh)
    return grams_to_kg(energy * intensity)


def hourly_co2e_kg(
    facility_kwh_by_hour: Sequence[float], g_per_kwh_by_hour: Sequence[float]
) -> float:
    """Emissions in kg CO2e of an hourly energy series under hourly intensities.

    Raises:
        InvalidFactor: If the two series differ in length or hold a negative figure.
    """
    if len(facility_kwh_by_hour) != len(g_per_kwh_by_hour):
        wanted = f"one intensity an hour: {len(facility_kwh_by_hour)} of them"
        raise InvalidFactor("g_per_kwh_by_hour", f"{len(g_per_kwh_by_hour)} figures", wanted)
    pairs = zip(facility_kwh_by_hour, g_per_kwh_by_hour, strict=True)
    return sum(operational_co2e_kg(energy, intensity) for energy, intensity in pairs)


def embodied_share_kg(
    total_embodied_kg: float,
    *,
    reserved_h: float,
    lifespan_h: float,
    reserved_share_ratio: float = 1.0,
) -> float:
    """A run's part of the emissions that making the hardware caused, in kg CO2e.

    Args:
        total_embodied_kg: TE, embodied emissions of the equipment.
        reserved_h: TiR, hours for which it was reserved.
        lifespan_h: EL, hours that it is expected to be used.
        reserved_share_ratio: RR/ToR, the part of the equipment that was reserved.

    Raises:
        InvalidFactor: If a figure is out of its range.

    Source:
        SCI specification, ISO/IEC 21031:2024: M = TE x (TiR / EL) x (RR / ToR).
    """
    share = require_number("reserved_share_ratio", reserved_share_ratio)
    if share > 1:
        raise InvalidFactor("reserved_share_ratio", share, "a share between 0 and 1")
    hours = require_number("reserved_h", reserved_h) / require_positive("lifespan_h", lifespan_h)
    return require_number("total_embodied_kg", total_embodied_kg) * hours * share


def software_carbon_intensity_kg(
    facility_kwh: float,
    carbon_intensity_g_per_kwh: float,
    embodied_kg: float,
    functional_units: float,
) -> float:
    """Emissions in kg CO2e per functional unit (an inference, a training).

    Raises:
        InvalidFactor: If a figure is negative, or there is no functional unit.

    Source:
        SCI specification, ISO/IEC 21031:2024: SCI = (E x I + M) / R.
    """
    operational = operational_co2e_kg(facility_kwh, carbon_intensity_g_per_kwh)
    total = operational + require_number("embodied_kg", embodied_kg)
    return total / require_positive("functional_units", functional_units)
