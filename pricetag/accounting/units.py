"""Exact constants, and the only unit conversions in Pricetag."""

from __future__ import annotations

from typing import Final

J_PER_KWH: Final = 3_600_000.0
"""Joules in a kilowatt-hour, exact by definition."""

S_PER_H: Final = 3_600.0
"""Seconds in an hour."""

W_PER_KW: Final = 1_000.0
"""Watts in a kilowatt."""

G_PER_KG: Final = 1_000.0
"""Grams in a kilogram."""

KG_PER_LB: Final = 0.45359237
"""Kilograms in an international avoirdupois pound, exact since 1959."""


def joules_to_kwh(energy_j: float) -> float:
    """Joules to kilowatt-hours."""
    return energy_j / J_PER_KWH


def kwh_to_joules(energy_kwh: float) -> float:
    """Kilowatt-hours to joules."""
    return energy_kwh * J_PER_KWH


def seconds_to_hours(duration_s: float) -> float:
    """Seconds to hours."""
    return duration_s / S_PER_H


def kg_to_lb(mass_kg: float) -> float:
    """Kilograms to pounds."""
    return mass_kg / KG_PER_LB


def grams_to_kg(mass_g: float) -> float:
    """Grams to kilograms."""
    return mass_g / G_PER_KG


def kg_to_grams(mass_kg: float) -> float:
    """Kilograms to grams."""
    return mass_kg * G_PER_KG


def power_to_kwh(power_w: float, duration_h: float) -> float:
    """Energy in kWh of a constant power (W) held for some hours."""
    return power_w * duration_h / W_PER_KW
