"""Defaults for factors that nobody entered: the settings, then the catalog."""

from __future__ import annotations

from dataclasses import replace

from app.services.factors.rows import SourcedFactor
from app.settings import Settings
from pricetag import catalog
from pricetag.accounting.bill.inputs import EmbodiedFactor, Factor

WORLD_STD_RATIO = 1.7
"""Factor 2.7 either way: spread of the catalog's countries around the world mean, as the root mean
square of the logarithms."""

NO_ZONE = "no grid zone configured: set PRICETAG_GRID_ZONE"
SERVER = "server"


def pue(settings: Settings) -> SourcedFactor:
    """The PUE of the settings, else the industry average as an assumption."""
    if settings.pue is not None:
        own = catalog.site_pue(settings.pue, citation="the site's own setting PRICETAG_PUE")
        return SourcedFactor(own, "settings")
    return SourcedFactor(catalog.pue().as_factor(), "catalog")


def carbon(settings: Settings, used_in_year: int | None) -> SourcedFactor:
    """The carbon intensity of the settings, else of their zone, else the world mean as assumed."""
    if settings.grid_g_per_kwh is not None:
        own = catalog.site_carbon_intensity(
            settings.grid_g_per_kwh,
            citation=settings.grid_source or "the site's own setting PRICETAG_GRID_G_PER_KWH",
            basis="as the site states it",
            year=settings.grid_year,
        )
        return SourcedFactor(own, "settings")
    if settings.grid_zone is not None:
        return carbon_of_zone(settings.grid_zone, used_in_year)
    world = catalog.grid_factor(catalog.WORLD).as_factor()
    assumed = replace(
        world,
        source="assumed",
        relative_std_ratio=WORLD_STD_RATIO,
        multiplicative=True,
        basis=f"{world.basis}; world mean, {NO_ZONE}",
    )
    return SourcedFactor(assumed, "catalog")


def carbon_of_zone(zone: str, used_in_year: int | None) -> SourcedFactor:
    """The catalog's annual carbon intensity of a zone.

    Raises:
        NotInCatalog: If the zone is unknown.
    """
    return SourcedFactor(catalog.grid_factor(zone).as_factor(used_in_year), "catalog")


def tariff(settings: Settings) -> SourcedFactor | None:
    """The electricity price of the settings, if set."""
    if settings.electricity_per_kwh is None:
        return None
    own = Factor(
        value=float(settings.electricity_per_kwh),
        unit=f"{settings.currency}/kWh",
        relative_std_ratio=0.0,
        source="estimated",
        citation="the site's own setting PRICETAG_ELECTRICITY_PER_KWH",
    )
    return SourcedFactor(own, "settings")


def embodied(
    subject: str, *, with_accelerators: bool = True
) -> tuple[EmbodiedFactor, SourcedFactor]:
    """The catalog's emissions of an accelerator by its product name, or of a ``server``.

    Args:
        subject: Product name, or ``server``.
        with_accelerators: Whether the run uses accelerators; a server is then shared out by
            accelerators, else by the run's cores.
    """
    row = catalog.embodied("generic-server") if subject == SERVER else catalog.embodied_of(subject)
    life = catalog.lifetime(SERVER if subject == SERVER else "accelerator")
    pieces = life.pieces_per_accelerator if with_accelerators else 1.0
    factor = row.as_factor()
    part = EmbodiedFactor(subject, factor, life.lifetime_h, life.utilisation_ratio, pieces)
    return part, SourcedFactor(factor, "catalog")
