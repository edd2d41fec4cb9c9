"""Rejects factors that are out of range."""

from __future__ import annotations

from collections.abc import Iterable

from pricetag.accounting.bill.inputs import Factor, Factors
from pricetag.accounting.quantity.checks import require_number, require_positive, require_pue


def require_factors(factors: Factors) -> None:
    """Rejects factors that are out of range.

    Raises:
        InvalidFactor: If a factor is negative or not finite, or the PUE is below 1.
    """
    require_pue("pue", factors.pue.value)
    for name, factor in _named(factors):
        require_number(name, factor.value)
        require_number(f"{name}.relative_std_ratio", factor.relative_std_ratio)
    for name, hourly in (
        ("carbon_hours", factors.carbon_hours),
        ("tariff_hours", factors.tariff_hours),
    ):
        for hour, value in () if hourly is None else hourly.by_hour.items():
            require_number(f"{name}.{hour}", value)
    for name, factor in factors.calibrations.items():
        require_positive(f"calibrations.{name}", factor.value)


def _named(factors: Factors) -> Iterable[tuple[str, Factor]]:
    single: dict[str, Factor | None] = {
        "pue": factors.pue,
        "carbon_intensity": factors.carbon_intensity,
        "carbon_market": factors.carbon_market,
        "cloud_price_low": factors.cloud_price_low,
        "cloud_price_high": factors.cloud_price_high,
        "electricity_tariff": factors.electricity_tariff,
        "internal_price": factors.internal_price,
        "wue": factors.wue,
        "water_intensity": factors.water_intensity,
        "carbon_hours": None if factors.carbon_hours is None else factors.carbon_hours.factor,
        "tariff_hours": None if factors.tariff_hours is None else factors.tariff_hours.factor,
    }
    yield from ((name, factor) for name, factor in single.items() if factor is not None)
    yield from ((f"calibrations.{name}", item) for name, item in factors.calibrations.items())
    yield from ((f"peaks.{name}", item) for name, item in factors.peaks.items())
    yield from ((f"embodied.{about.subject}", about.factor) for about in factors.embodied)
