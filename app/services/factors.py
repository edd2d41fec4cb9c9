"""The factors of a site: its settings first, then the catalog, each with where it is from."""

from __future__ import annotations

from collections.abc import Sequence

from app.settings import Settings
from pricetag.accounting.inputs import Factor, Factors


def of_site(settings: Settings, *, accelerators: Sequence[str] = ()) -> Factors:
    """The factors that this site's price tags are built with.

    Args:
        settings: What the site has told of itself.
        accelerators: Product names of the accelerators to price.
    """
    return Factors(
        pue=_pue(settings),
        carbon_intensity=_carbon(settings),
        electricity_tariff=_tariff(settings),
        currency=settings.currency if settings.electricity_per_kwh is not None else None,
    )


def _pue(settings: Settings) -> Factor:
    if settings.pue is not None:
        return Factor(settings.pue, "1", 0.03, "estimated", "PRICETAG_PUE, set by the site")
    return Factor(
        1.54, "1", 0.10, "assumed", "Uptime Institute, Global Data Center Survey 2025", 2025
    )


def _carbon(settings: Settings) -> Factor | None:
    if settings.grid_g_per_kwh is None:
        return None
    return Factor(
        settings.grid_g_per_kwh,
        "g/kWh",
        0.07,
        "estimated",
        settings.grid_source or "PRICETAG_GRID_G_PER_KWH, set by the site",
        settings.grid_year,
        "as stated by the site",
    )


def _tariff(settings: Settings) -> Factor | None:
    if settings.electricity_per_kwh is None:
        return None
    return Factor(
        float(settings.electricity_per_kwh),
        f"{settings.currency}/kWh",
        0.0,
        "estimated",
        "PRICETAG_ELECTRICITY_PER_KWH, set by the site",
    )
