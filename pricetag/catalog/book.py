"""Look-ups in the catalog. Unknown names are rejected; no average is used for them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from pricetag.accounting.bill.inputs import Factor
from pricetag.accounting.units import KG_PER_LB, kg_to_grams, kg_to_lb
from pricetag.catalog.load import rows
from pricetag.catalog.rows import (
    Accelerator,
    Country,
    Currency,
    Embodied,
    Equivalent,
    GridFactor,
    Lifetime,
    Price,
    ProfileRow,
    Published,
    Pue,
    Water,
)

Found = TypeVar("Found")

DEFAULT_PUE = "uptime2025"
WORLD = "WLD"
"""Zone of the world's mean carbon intensity."""

# Codes and names in wide use that are none of ISO 3166, with the intended zone.
OTHER_CODES = {"UK": "GBR", "EL": "GRC"} | dict.fromkeys(
    ("ENGLAND", "SCOTLAND", "WALES", "NORTHERN IRELAND", "GREAT BRITAIN", "BRITAIN"), "GBR"
)
# Parts of countries that have a country code of their own, which follows the dash.
_TERRITORIES = frozenset(
    (
        *("CN-HK", "CN-MO", "US-PR", "US-GU", "US-VI", "US-AS", "US-MP", "DK-FO", "DK-GL"),
        *("FR-RE", "FR-GP", "FR-MQ", "FR-GF", "FR-YT", "FR-PF", "FR-NC", "NL-AW", "NL-CW", "NL-SX"),
    )
)
_WITHOUT_FIGURE = (
    "it has no carbon intensity for {}; enter the site's own (pricetag factor add "
    "carbon_location), or name another zone"
)

SITE_PUE_STD_RATIO = 0.03
SITE_CARBON_STD_RATIO = 0.07


class NotInCatalog(ValueError):  # noqa: N818 - the name describes the problem
    """A name that is not in the catalog.

    Attributes:
        field: Kind of the name (zone, accelerator, pue, profile, embodied).
        value: The unknown name.
        near: Similar names in the catalog.
        remark: Explanation of a known name without a figure in the catalog; else empty.
    """

    def __init__(self, field: str, value: str, near: Sequence[str], remark: str = "") -> None:
        self.field = field
        self.value = value
        self.near = tuple(near)
        self.remark = remark
        hint = f"; similar: {', '.join(near)}" if near else ""
        remark_text = f": {remark}" if remark else ""
        super().__init__(f"{field} {value!r} is not in the catalog{remark_text}{hint}")


@dataclass(frozen=True, slots=True)
class Profile:
    """A reporting convention: its factors and its price examples."""

    id: str
    pue: Factor
    carbon_intensity: Factor
    prices: tuple[Price, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Emissions as a multiple of something well known."""

    equivalent: Equivalent
    times: float


@cache
def grid_factors() -> tuple[GridFactor, ...]:
    """Carbon intensities of all zones."""
    return rows("grid.csv", GridFactor)


@cache
def grid_regions() -> tuple[GridFactor, ...]:
    """Carbon intensities of parts of countries: states, provinces, bidding zones."""
    return rows("regions.csv", GridFactor)


@cache
def countries() -> tuple[Country, ...]:
    """Countries and territories of the world, also those without a carbon intensity."""
    return rows("countries.csv", Country)


def grid_factor(zone: str) -> GridFactor:
    """Carbon intensity of a zone.

    Args:
        zone: ISO 3166 code of a country (two or three letters) or of a part of one
            (``US-CA``), in any case; ``WLD`` for the world, which is never used implicitly.

    Raises:
        NotInCatalog: If the zone is unknown; the error lists similar names and codes. A
            country is never used for an unknown subdivision.
    """
    code = zone.strip().upper()
    for factor in (*grid_factors(), *grid_regions()):
        if code and code in (factor.zone, factor.alpha2):
            return factor
    place = _country(zone.strip())
    remark = _WITHOUT_FIGURE.format(place.name) if place else ""
    raise NotInCatalog("zone", zone, () if place else _near_zones(zone.strip()), remark)


@cache
def pues() -> tuple[Pue, ...]:
    """Published power usage effectiveness figures."""
    return rows("pue.csv", Pue)


def pue(pue_id: str = DEFAULT_PUE) -> Pue:
    """A published PUE; the default is the industry average, marked as assumed.

    Raises:
        NotInCatalog: If the id is unknown.
    """
    return _by_id("pue", pue_id, {row.id: row for row in pues()})


@cache
def accelerators() -> tuple[Accelerator, ...]:
    """Accelerators with a known peak."""
    return rows("accelerators.csv", Accelerator)


def accelerator(name: str) -> Accelerator:
    """The accelerator with a product name (as in NVML or ROCm) or an id.

    Raises:
        NotInCatalog: If no accelerator matches.
    """
    for row in accelerators():
        if name == row.id or re.search(row.match, name, re.IGNORECASE):
            return row
    names = [row.name for row in accelerators()]
    raise NotInCatalog("accelerator", name, difflib.get_close_matches(name, names, cutoff=0.4))


@cache
def embodied_factors() -> tuple[Embodied, ...]:
    """Embodied emissions of hardware."""
    return rows("embodied.csv", Embodied)


def embodied(embodied_id: str) -> Embodied:
    """Embodied emissions of a piece of hardware, by its id.

    Raises:
        NotInCatalog: If the id is unknown.
    """
    return _by_id("embodied", embodied_id, {row.id: row for row in embodied_factors()})


def embodied_of(product_name: str) -> Embodied:
    """Embodied emissions of an accelerator by its product name; else those of any card."""
    for row in embodied_factors():
        if row.match and re.search(row.match, product_name, re.IGNORECASE):
            return row
    return embodied("generic-card")


@cache
def lifetimes() -> tuple[Lifetime, ...]:
    """Lifetimes and utilization of hardware."""
    return rows("lifetimes.csv", Lifetime)


def lifetime(lifetime_id: str) -> Lifetime:
    """The lifetime of an ``accelerator`` or a ``server``.

    Raises:
        NotInCatalog: If the id is unknown.
    """
    return _by_id("lifetime", lifetime_id, {row.id: row for row in lifetimes()})


@cache
def waters() -> tuple[Water, ...]:
    """Water use of cooling, and water intensity of zones' electricity."""
    return rows("water.csv", Water)


def wue() -> Water:
    """A published water usage effectiveness, for sites that have not entered one."""
    return next(row for row in waters() if row.kind == "wue")


def water_intensity(zone: str) -> Water | None:
    """Water intensity of a zone's electricity, liters per kWh; None if unknown.

    A country's average is never used for a subdivision.
    """
    matching = (row for row in waters() if row.kind == "water_intensity" and row.zone == zone)
    return next(matching, None)


@cache
def currencies() -> tuple[Currency, ...]:
    """Currencies in use."""
    return rows("currencies.csv", Currency)


@cache
def currency_codes() -> frozenset[str]:
    """The ISO 4217 codes of currencies in use."""
    return frozenset(row.code for row in currencies())


@cache
def prices() -> tuple[Price, ...]:
    """Example prices of device-hours; a lab has its own price book."""
    return rows("prices.csv", Price)


def price_range(accelerator_name: str, *, prefix: str = "") -> tuple[Price, Price] | None:
    """Lowest and highest example price of an accelerator; None without one.

    Args:
        accelerator_name: Product name; a price matches when its accelerator is a word of the
            name.
        prefix: Use only prices whose id begins with this text.
    """
    fitting = [
        price
        for price in prices()
        if price.price_id.startswith(prefix) and is_word_of(price.accelerator, accelerator_name)
    ]
    if not fitting:
        return None
    ordered = sorted(fitting, key=lambda price: price.amount)
    return ordered[0], ordered[-1]


@cache
def equivalents() -> tuple[Equivalent, ...]:
    """Well-known emissions to compare with."""
    return rows("equivalents.csv", Equivalent)


def compare_emissions(co2e_kg: float) -> tuple[Comparison, ...]:
    """Emissions (kg CO2e) as multiples of well-known ones."""
    pounds = kg_to_lb(co2e_kg)
    return tuple(Comparison(row, pounds / row.co2e_lb) for row in equivalents())


@cache
def published() -> tuple[Published, ...]:
    """Published figures with the inputs to recompute them."""
    return rows("published.csv", Published)


def profile(profile_id: str) -> Profile:
    """The factors of a reporting convention, e.g. ``strubell2019``.

    Raises:
        NotInCatalog: If the id is unknown.
    """
    profiles = {row.id: row for row in rows("profiles.csv", ProfileRow)}
    row = _by_id("profile", profile_id, profiles)
    carbon = Factor(
        value=kg_to_grams(row.carbon_lb_per_kwh * KG_PER_LB),
        unit="g/kWh",
        relative_std_ratio=row.carbon_std_ratio,
        source="assumed",
        citation=row.source,
        year=row.year,
        basis=row.basis,
        zone="USA",
        licence=row.licence,
        source_url=row.source_url,
    )
    examples = tuple(p for p in prices() if p.price_id.startswith(row.price_prefix))
    return Profile(row.id, pue(row.pue_id).as_factor(), carbon, examples)


def site_pue(value: float, *, citation: str, year: int | None = None) -> Factor:
    """A PUE that the site itself has measured."""
    basis = "measured by the site"
    return Factor(value, "1", SITE_PUE_STD_RATIO, "estimated", citation, year, basis)


def site_carbon_intensity(
    g_per_kwh: float, *, citation: str, basis: str, year: int | None = None, zone: str | None = None
) -> Factor:
    """A carbon intensity (g CO2e/kWh) that the site has entered for its own supply."""
    return Factor(
        g_per_kwh, "g/kWh", SITE_CARBON_STD_RATIO, "estimated", citation, year, basis, zone
    )


def _country(code_or_name: str) -> Country | None:
    """The country with a code or name; None if there is none, or if a region has the same name."""
    code, name = code_or_name.upper(), code_or_name.casefold()
    if code in _TERRITORIES:
        code = code.partition("-")[2]
    for row in countries():
        if code in (row.alpha2, row.zone) or name == row.name.casefold():
            has_figure = any(factor.zone == row.zone for factor in grid_factors())
            return None if has_figure else row
    return None


def _near_zones(zone: str) -> list[str]:
    folded = zone.casefold()
    factors = (*grid_factors(), *grid_regions())
    if zone.upper() in OTHER_CODES:
        meant = OTHER_CODES[zone.upper()]
        return [f"{row.zone} ({row.name})" for row in factors if row.zone == meant]
    names = {row.name.casefold(): row for row in factors}
    codes = {row.zone.casefold(): row for row in factors}
    within = [row for name, row in names.items() if len(folded) > 3 and folded in name]
    close = [names[name] for name in difflib.get_close_matches(folded, names, n=3)]
    alike = [codes[code] for code in difflib.get_close_matches(folded, codes, n=3)]
    country = [row for row in grid_factors() if _is_part_of(folded, row)]
    near = (*within, *close, *alike, *country)
    return list(dict.fromkeys(f"{row.zone} ({row.name})" for row in near))


def _is_part_of(zone: str, country: GridFactor) -> bool:
    head, dash, _ = zone.upper().partition("-")
    return bool(dash) and head in (country.alpha2, country.zone)


def _by_id(field: str, id_: str, rows: dict[str, Found]) -> Found:
    if id_ in rows:
        return rows[id_]
    raise NotInCatalog(field, id_, _near(id_, rows))


def _near(name: str, catalog_names: Iterable[str]) -> list[str]:
    names = list(catalog_names)
    return difflib.get_close_matches(name, names, cutoff=0.3) or names


def is_word_of(word: str, text: str) -> bool:
    """Whether a name is a word of a text, ignoring case: ``H100`` in ``NVIDIA H100 80GB HBM3``."""
    return re.search(rf"(?<![A-Za-z0-9]){re.escape(word)}(?![A-Za-z0-9])", text, re.I) is not None
