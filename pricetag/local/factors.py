"""The factors of a local price tag: the site's settings, then the catalog.

The price book, hourly values and calibrations of a lab are on its server: a pushed run is priced
with them there.
"""

from __future__ import annotations

from collections.abc import Sequence

from pricetag import catalog
from pricetag.accounting.bill.inputs import AttemptInput, Factor, Factors
from pricetag.catalog import defaults
from pricetag.local.settings import LocalSite

NO_PRICE = "no price of a device-hour is known for this hardware"
NO_TARIFF = "no electricity tariff is configured"


def factors_of(site: LocalSite, attempts: Sequence[AttemptInput], used_in_year: int) -> Factors:
    """The factors of the attempts of a run.

    Args:
        site: The settings.
        attempts: The attempts, with their devices and components.
        used_in_year: Year in which the energy was used.

    Raises:
        NotInCatalog: If the site's grid zone is unknown.
    """
    names: list[str] = []
    for attempt in attempts:
        metered = [component.name for component in attempt.components if component.kind == "gpu"]
        names += [device.name for device in attempt.devices] or metered
    names = list(dict.fromkeys(names))
    subjects = (*names, defaults.SERVER)
    low, high, reason = _cloud_prices(names, site.currency)
    tariff = defaults.tariff(site)
    water = None if site.grid_zone is None else catalog.water_intensity(site.grid_zone)
    return Factors(
        pue=defaults.pue(site),
        carbon_intensity=defaults.carbon(site, used_in_year),
        cloud_price_low=low,
        cloud_price_high=high,
        cloud_price_reason=reason,
        electricity_tariff=tariff,
        electricity_reason=NO_TARIFF,
        currency=None if low is None and tariff is None else site.currency,
        wue=catalog.wue().as_factor(),
        water_intensity=None if water is None else water.as_factor(),
        embodied=tuple(
            defaults.embodied(subject, with_accelerators=bool(names)) for subject in subjects
        ),
        peaks=defaults.peaks(names),
        site=site.site,
    )


def _cloud_prices(names: Sequence[str], currency: str) -> tuple[Factor | None, Factor | None, str]:
    """The catalog's price range that all accelerators share, or the reason without one."""
    ranges = {catalog.price_range(name) for name in names}
    if len(ranges) > 1:
        return None, None, f"the accelerators differ in price: {', '.join(names)}"
    example = next(iter(ranges), None)
    if example is None:
        return None, None, NO_PRICE
    low, high = example
    if {low.currency, high.currency} != {currency}:
        return None, None, f"the catalog has no price in {currency}"
    return low.as_factor(), high.as_factor(), NO_PRICE
