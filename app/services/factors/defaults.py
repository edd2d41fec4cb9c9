"""What stands in for a factor that nobody entered: the settings, then the catalog."""

from __future__ import annotations

from dataclasses import replace

from app.services.factors.rows import Found
from app.settings import Settings
from pricetag import catalog
from pricetag.accounting.bill.inputs import EmbodiedFactor, Factor

WORLD = "WLD"
WORLD_STD_RATIO = 1.7
"""Times or divided by 2.7: how far the catalog's countries lie from the world's mean, as the root
mean square of the logarithms."""

NO_ZONE = "no grid zone configured: set PRICETAG_GRID_ZONE"
SERVER = "server"


def pue(settings: Settings) -> Found:
    """The setting's PUE, else the industry's mean, which is assumed."""
    if settings.pue is not None:
        own = catalog.site_pue(settings.pue, citation="the site's own setting PRICETAG_PUE")
        return Found(own, "settings")
    return Found(catalog.pue().as_factor(), "catalog")


def carbon(settings: Settings, used_in_year: int | None) -> Found:
    """The setting's figure, else that of its zone, else the world's mean, which is assumed."""
    if settings.grid_g_per_kwh is not None:
        own = catalog.site_carbon_intensity(
            settings.grid_g_per_kwh,
            citation=settings.grid_source or "the site's own setting PRICETAG_GRID_G_PER_KWH",
            basis="as the site states it",
            year=settings.grid_year,
        )
        return Found(own, "settings")
    if settings.grid_zone is not None:
        return carbon_of_zone(settings.grid_zone, used_in_year)
    world = catalog.grid_factor(WORLD).as_factor()
    assumed = replace(
        world,
        source="assumed",
        relative_std_ratio=WORLD_STD_RATIO,
        multiplicative=True,
        basis=f"{world.basis}; world mean, {NO_ZONE}",
    )
    return Found(assumed, "catalog")


def carbon_of_zone(zone: str, used_in_year: int | None) -> Found:
    """The catalog's annual figure of a zone.

    Raises:
        NotInCatalog: If the zone is unknown.
    """
    return Found(catalog.grid_factor(zone).as_factor(used_in_year), "catalog")


def tariff(settings: Settings) -> Found | None:
    """The setting's price of a kWh, if there is one."""
    if settings.electricity_per_kwh is None:
        return None
    own = Factor(
        value=float(settings.electricity_per_kwh),
        unit=f"{settings.currency}/kWh",
        relative_std_ratio=0.0,
        source="estimated",
        citation="the site's own setting PRICETAG_ELECTRICITY_PER_KWH",
    )
    return Found(own, "settings")


def embodied(subject: str, *, with_accelerators: bool = True) -> tuple[EmbodiedFactor, Found]:
    """The catalog's emissions of an accelerator by its product name, or of a ``server``.

    Args:
        subject: What.
        with_accelerators: Whether the run has any; a server is then counted by them, else by
            the cores that the run was given.
    """
    row = catalog.embodied("generic-server") if subject == SERVER else catalog.embodied_of(subject)
    life = catalog.lifetime(SERVER if subject == SERVER else "accelerator")
    pieces = life.pieces_per_accelerator if with_accelerators else 1.0
    factor = row.as_factor()
    found = EmbodiedFactor(subject, factor, life.lifetime_h, life.utilisation_ratio, pieces)
    return found, Found(factor, "catalog")
