"""The factors of a site: its settings first, then the catalog, each with where it is from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from app.settings import Settings
from pricetag import catalog
from pricetag.accounting.inputs import Factor, Factors

WORLD = "WLD"
WORLD_STD_RATIO = 0.30
NO_ZONE = "no grid zone configured: set PRICETAG_GRID_ZONE"


def of_site(
    settings: Settings, *, accelerators: Sequence[str] = (), used_in_year: int | None = None
) -> Factors:
    """The factors that this site's price tags are built with.

    What the site has set comes first. A PUE that it has not set is the industry's mean, a
    grid zone that it has not set the world's mean: both are marked as assumed, and the
    carbon intensity says what to set.

    Args:
        settings: What the site has told of itself.
        accelerators: Product names of the accelerators that were used.
        used_in_year: When the energy was used: a factor of another year is less certain.
    """
    low, high = _cloud_prices(accelerators, settings.currency)
    tariff = _tariff(settings)
    priced = low is not None or tariff is not None
    return Factors(
        pue=_pue(settings),
        carbon_intensity=_carbon(settings, used_in_year),
        cloud_price_low=low,
        cloud_price_high=high,
        electricity_tariff=tariff,
        currency=settings.currency if priced else None,
    )


def _pue(settings: Settings) -> Factor:
    if settings.pue is not None:
        return catalog.site_pue(settings.pue, citation="the site's own setting PRICETAG_PUE")
    return catalog.pue().as_factor()


def _carbon(settings: Settings, used_in_year: int | None) -> Factor:
    if settings.grid_g_per_kwh is not None:
        return catalog.site_carbon_intensity(
            settings.grid_g_per_kwh,
            citation=settings.grid_source or "the site's own setting PRICETAG_GRID_G_PER_KWH",
            basis="as the site states it",
            year=settings.grid_year,
        )
    if settings.grid_zone is not None:
        return catalog.grid_factor(settings.grid_zone).as_factor(used_in_year)
    world = catalog.grid_factor(WORLD).as_factor()
    return replace(
        world,
        source="assumed",
        relative_std_ratio=max(world.relative_std_ratio, WORLD_STD_RATIO),
        basis=f"{world.basis}; world mean, {NO_ZONE}",
    )


def _tariff(settings: Settings) -> Factor | None:
    if settings.electricity_per_kwh is None:
        return None
    return Factor(
        value=float(settings.electricity_per_kwh),
        unit=f"{settings.currency}/kWh",
        relative_std_ratio=0.0,
        source="estimated",
        citation="the site's own setting PRICETAG_ELECTRICITY_PER_KWH",
    )


def _cloud_prices(
    accelerators: Sequence[str], currency: str
) -> tuple[Factor | None, Factor | None]:
    """Low and high price of a device-hour, where one range holds for all the hardware."""
    ranges = [catalog.price_range(name) for name in accelerators]
    if not ranges or any(found is None or found != ranges[0] for found in ranges):
        return None, None
    low, high = ranges[0] or (None, None)
    if low is None or high is None or {low.currency, high.currency} != {currency}:
        return None, None
    return low.as_factor(), high.as_factor()
