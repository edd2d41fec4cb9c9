"""Factors that nobody entered: a site's own settings, then the catalog.

Server and local mode take them from here, so that the same settings give the same price tag.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Protocol

from pricetag.accounting.bill.inputs import EmbodiedFactor, Factor
from pricetag.catalog.book import (
    WORLD,
    NotInCatalog,
    accelerator,
    embodied_of,
    grid_factor,
    lifetime,
    site_carbon_intensity,
    site_pue,
)
from pricetag.catalog.book import embodied as embodied_row
from pricetag.catalog.book import pue as pue_row

WORLD_STD_RATIO = 1.7
"""Factor 2.7 either way: spread of the catalog's countries around the world mean, as the root mean
square of the logarithms."""

NO_ZONE = "no grid zone configured: set PRICETAG_GRID_ZONE"
SERVER = "server"


class SiteSettings(Protocol):
    """The settings of a site that factors come from; None where it states nothing."""

    @property
    def pue(self) -> float | None:
        """Power usage effectiveness."""
        ...

    @property
    def grid_zone(self) -> str | None:
        """Grid zone."""
        ...

    @property
    def grid_g_per_kwh(self) -> float | None:
        """The site's own carbon intensity, in g CO2e/kWh."""
        ...

    @property
    def grid_year(self) -> int | None:
        """Year of that intensity."""
        ...

    @property
    def grid_source(self) -> str | None:
        """Source of that intensity."""
        ...

    @property
    def electricity_per_kwh(self) -> Decimal | None:
        """Price of electricity per kWh."""
        ...

    @property
    def currency(self) -> str:
        """Currency of that price."""
        ...


def pue(settings: SiteSettings) -> Factor:
    """The PUE of the settings, else the industry average as an assumption."""
    if settings.pue is not None:
        return site_pue(settings.pue, citation="the site's own setting PRICETAG_PUE")
    return pue_row().as_factor()


def carbon(settings: SiteSettings, used_in_year: int | None) -> Factor:
    """The carbon intensity of the settings, else of their zone, else the world mean as assumed.

    Raises:
        NotInCatalog: If the zone is unknown.
    """
    if settings.grid_g_per_kwh is not None:
        return site_carbon_intensity(
            settings.grid_g_per_kwh,
            citation=settings.grid_source or "the site's own setting PRICETAG_GRID_G_PER_KWH",
            basis="as the site states it",
            year=settings.grid_year,
        )
    if settings.grid_zone is not None:
        return carbon_of_zone(settings.grid_zone, used_in_year)
    world = grid_factor(WORLD).as_factor()
    return replace(
        world,
        source="assumed",
        relative_std_ratio=WORLD_STD_RATIO,
        multiplicative=True,
        basis=f"{world.basis}; world mean, {NO_ZONE}",
    )


def carbon_of_zone(zone: str, used_in_year: int | None) -> Factor:
    """The catalog's annual carbon intensity of a zone.

    Raises:
        NotInCatalog: If the zone is unknown.
    """
    return grid_factor(zone).as_factor(used_in_year)


def tariff(settings: SiteSettings) -> Factor | None:
    """The electricity price of the settings, if set."""
    if settings.electricity_per_kwh is None:
        return None
    return Factor(
        value=float(settings.electricity_per_kwh),
        unit=f"{settings.currency}/kWh",
        relative_std_ratio=0.0,
        source="estimated",
        citation="the site's own setting PRICETAG_ELECTRICITY_PER_KWH",
    )


def embodied(subject: str, *, with_accelerators: bool = True) -> EmbodiedFactor:
    """The catalog's emissions of an accelerator by its product name, or of a ``server``.

    Args:
        subject: Product name, or ``server``.
        with_accelerators: Whether the run uses accelerators; a server is then shared out by
            accelerators, else by the run's cores.
    """
    row = embodied_row("generic-server") if subject == SERVER else embodied_of(subject)
    life = lifetime(SERVER if subject == SERVER else "accelerator")
    pieces = life.pieces_per_accelerator if with_accelerators else 1.0
    return EmbodiedFactor(subject, row.as_factor(), life.lifetime_h, life.utilisation_ratio, pieces)


def peaks(accelerators: tuple[str, ...] | list[str]) -> dict[str, Factor]:
    """Peak FLOP/s of the accelerators that are in the catalog."""
    by_name: dict[str, Factor] = {}
    for name in accelerators:
        try:
            row = accelerator(name)
        except NotInCatalog:
            continue  # its MFU is then unknown, with a reason
        by_name[name] = Factor(
            value=row.peak_flops_per_s,
            unit="FLOP/s",
            relative_std_ratio=0.0,
            source="estimated",
            citation=row.source,
            year=row.year,
            basis=row.basis,
            licence=row.licence,
            source_url=row.source_url,
        )
    return by_name
