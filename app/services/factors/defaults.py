"""Defaults for factors that nobody entered: the settings, then the catalog, with their origin."""

from __future__ import annotations

from app.services.factors.rows import Origin, SourcedFactor
from app.settings import Settings
from pricetag.accounting.bill.inputs import EmbodiedFactor
from pricetag.catalog import defaults
from pricetag.catalog.defaults import SERVER, WORLD_STD_RATIO

__all__ = ["SERVER", "WORLD_STD_RATIO", "carbon", "carbon_of_zone", "embodied", "pue", "tariff"]


def pue(settings: Settings) -> SourcedFactor:
    """The PUE of the settings, else the industry average as an assumption."""
    origin: Origin = "catalog" if settings.pue is None else "settings"
    return SourcedFactor(defaults.pue(settings), origin)


def carbon(settings: Settings, used_in_year: int | None) -> SourcedFactor:
    """The carbon intensity of the settings, else of their zone, else the world mean as assumed."""
    origin: Origin = "catalog" if settings.grid_g_per_kwh is None else "settings"
    return SourcedFactor(defaults.carbon(settings, used_in_year), origin)


def carbon_of_zone(zone: str, used_in_year: int | None) -> SourcedFactor:
    """The catalog's annual carbon intensity of a zone.

    Raises:
        NotInCatalog: If the zone is unknown.
    """
    return SourcedFactor(defaults.carbon_of_zone(zone, used_in_year), "catalog")


def tariff(settings: Settings) -> SourcedFactor | None:
    """The electricity price of the settings, if set."""
    own = defaults.tariff(settings)
    return None if own is None else SourcedFactor(own, "settings")


def embodied(
    subject: str, *, with_accelerators: bool = True
) -> tuple[EmbodiedFactor, SourcedFactor]:
    """The catalog's emissions of an accelerator by its product name, or of a ``server``.

    Args:
        subject: Product name, or ``server``.
        with_accelerators: Whether the run uses accelerators; a server is then shared out by
            accelerators, else by the run's cores.
    """
    part = defaults.embodied(subject, with_accelerators=with_accelerators)
    return part, SourcedFactor(part.factor, "catalog")
