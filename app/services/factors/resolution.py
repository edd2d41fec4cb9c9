"""The factors of a site: what was entered first, then the settings, then the catalog.

Each bears where it is from. What was entered is append-only, so that the factors of a time can
be had again as they were known at another (``as_of``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import UUID

from app.db import Session
from app.repositories import carbon_series, prices
from app.repositories import factors as factor_rows
from app.services.factors import defaults, sites
from app.services.factors import hours as factor_hours
from app.services.factors.book_prices import DevicePrices, device_prices
from app.services.factors.rows import ANY, FactorBook, Found
from app.services.factors.rows import found as as_found
from app.services.factors.sites import SiteState
from app.settings import Settings
from models import Factor as FactorRow
from pricetag import catalog
from pricetag.accounting.bill.inputs import EmbodiedFactor, Factor, Factors, HourlyFactor
from pricetag.accounting.budgets.periods import zone_of

DEFAULT_SITE = "default"
GPU = "gpu:"


@dataclass(frozen=True, slots=True)
class Asked:
    """What factors are wanted for.

    Attributes:
        accelerators: Product names, each once.
        devices: Ids of the components that were metered.
        hours: In which energy was used; never empty.
        used_in_year: When: a factor of another year is less certain.
    """

    accelerators: Sequence[str]
    devices: Sequence[str]
    hours: Sequence[datetime]
    used_in_year: int | None

    @property
    def at(self) -> datetime:
        """What holds at the end holds for the whole, where it is not applied by the hour."""
        return max(self.hours)


@dataclass(frozen=True, slots=True)
class Sheet:
    """The factors, who said each of them (by kind and subject), and the site if it is known."""

    factors: Factors
    found: dict[tuple[str, str], Found] = field(default_factory=dict)
    state: SiteState | None = None


async def resolve(
    session: Session,
    *,
    site: str | None,
    settings: Settings,
    accelerators: Sequence[str] = (),
    devices: Sequence[str] = (),
    hours: Iterable[str] = (),
    used_in_year: int | None = None,
    as_of: datetime | None = None,
) -> Factors:
    """The factors that energy used at a site is multiplied with.

    A PUE, water, embodied factor, contract or price holds for the whole of it as it holds in
    its last hour; tariffs and carbon intensities are applied hour by hour where they change.

    Args:
        session: Read alone.
        site: Where; ``default`` when it is None. A site that nobody has entered has the
            lab's rows alone.
        settings: Of this process, for what neither site nor lab has entered.
        accelerators: Product names of the accelerators that were used, each once.
        devices: Ids of the components that were metered (``gpu:<uuid>``).
        hours: UTC hours in which energy was used (ISO 8601); this one when there is none.
        used_in_year: When it was used: a factor of another year is less certain.
        as_of: Only what had been entered by then; None for all.

    Raises:
        NotInCatalog: If the site's zone is no longer in the catalog.
        ValueError: If an hour is no time with a zone.
    """
    wanted = Asked(accelerators, devices, _hours(hours), used_in_year)
    return (await sheet(session, site or DEFAULT_SITE, settings, wanted, as_of)).factors


async def sheet(
    session: Session, site: str, settings: Settings, wanted: Asked, as_of: datetime | None = None
) -> Sheet:
    """The same as ``resolve``, with who said each factor.

    Args:
        session: Read alone.
        site: Where.
        settings: Of this process.
        wanted: What they are wanted for.
        as_of: Only what had been entered by then.
    """
    state = await sites.state(session, site, as_of)
    site_id = state.id if state else None
    book = FactorBook(await factor_rows.known_to(session, site_id, as_of), site_id)
    currency = state.currency if state else settings.currency
    zone = (state.grid_zone if state else None) or _zone_of_settings(settings)
    measured = {}
    if zone is not None:
        measured = await carbon_series.hours_of_zone(session, zone, wanted.hours, as_of)
    told = device_prices(
        await prices.known(session, as_of), wanted.accelerators, currency, wanted.at
    )

    found: dict[tuple[str, str], Found] = {}
    rows = {hour: book.row("carbon_location", hour, _subjects(zone)) for hour in wanted.hours}
    carbon = _carbon(rows, state, settings, wanted)
    found["carbon_location", ""] = carbon
    found["pue", ""] = book.find("pue", wanted.at) or defaults.pue(settings)
    tariff_hours, tariff, reason = _tariff(book, state, settings, wanted, currency)
    _keep(found, "tariff", tariff)
    _keep(found, "carbon_market", book.find("carbon_market", wanted.at))
    _keep(found, "wue", book.find("wue", wanted.at) or Found(catalog.wue().as_factor(), "catalog"))
    _keep(found, "water_intensity", _water(book, zone, wanted.at))
    embodied = _embodied(book, wanted, found)
    calibrations = _calibrations(book, wanted, found)

    def value(kind: str) -> Factor | None:
        held = found.get((kind, ""))
        return held.factor if held else None

    factors = Factors(
        pue=found["pue", ""].factor,
        carbon_intensity=carbon.factor,
        carbon_hours=factor_hours.carbon_hours(measured, rows),
        carbon_market=value("carbon_market"),
        electricity_tariff=value("tariff"),
        tariff_hours=tariff_hours,
        electricity_reason=reason,
        wue=value("wue"),
        water_intensity=value("water_intensity"),
        embodied=embodied,
        calibrations=calibrations,
        site=site,
        as_of=as_of.isoformat() if as_of else None,
    )
    return Sheet(_priced(factors, told, currency), found, state)


def _priced(factors: Factors, told: DevicePrices, currency: str) -> Factors:
    money = (told.low, told.internal, factors.electricity_tariff, factors.tariff_hours)
    return replace(
        factors,
        cloud_price_low=told.low,
        cloud_price_high=told.high,
        cloud_price_reason=told.cloud_reason,
        internal_price=told.internal,
        internal_price_reason=told.internal_reason,
        currency=currency if any(part is not None for part in money) else None,
    )


async def subjects_of(
    session: Session, site_id: UUID | None, as_of: datetime | None = None
) -> dict[str, list[str]]:
    """What embodied factors and calibrations were entered for, of a site or the lab."""
    rows = await factor_rows.known_to(session, site_id, as_of)
    found: dict[str, list[str]] = {"embodied": [], "calibration": []}
    for row in rows:
        told = found.get(row.kind)
        if told is not None and row.subject not in (*told, defaults.SERVER):
            told.append(row.subject)
    return found


def _hours(texts: Iterable[str]) -> list[datetime]:
    found = sorted({factor_hours.parse_hour(text) for text in texts})
    return found or [datetime.now(UTC).replace(minute=0, second=0, microsecond=0)]


def _zone_of_settings(settings: Settings) -> str | None:
    return None if settings.grid_g_per_kwh is not None else settings.grid_zone


def _subjects(zone: str | None) -> tuple[str, ...]:
    return ANY if zone is None else (*ANY, zone)


def _carbon(
    rows: Mapping[datetime, FactorRow | None],
    state: SiteState | None,
    settings: Settings,
    wanted: Asked,
) -> Found:
    """The annual figure for the hours that have none of their own."""
    entered = rows[wanted.at]
    if entered is not None and all(rows.values()):
        return as_found(entered)
    if state is not None and state.grid_zone is not None:
        return defaults.carbon_of_zone(state.grid_zone, wanted.used_in_year)
    return defaults.carbon(settings, wanted.used_in_year)


def _tariff(
    book: FactorBook,
    state: SiteState | None,
    settings: Settings,
    wanted: Asked,
    currency: str,
) -> tuple[HourlyFactor | None, Found | None, str]:
    """Hours, the flat tariff for what they leave open, and why there is none."""
    zone = zone_of(state.time_zone if state else "UTC")
    unit = f"{currency}/kWh"
    hours, entered, complete = factor_hours.tariff_hours(book, wanted.hours, zone, unit)
    if complete:
        return hours, entered, ""
    default = defaults.tariff(settings)
    if default is not None and default.factor.unit == unit:
        return hours, default, ""
    others = {row.unit for row in book.rows if row.kind == "tariff"} - {unit}
    if default is not None:
        others.add(default.factor.unit)
    if others:
        told = ", ".join(sorted(others))
        return hours, None, f"the tariff is in {told}, and the site's currency is {currency}"
    return hours, None, "no electricity tariff is configured"


def _water(book: FactorBook, zone: str | None, at: datetime) -> Found | None:
    entered = book.find("water_intensity", at, _subjects(zone))
    if entered is not None or zone is None:
        return entered
    row = catalog.water_intensity(zone)
    return None if row is None else Found(row.as_factor(), "catalog")


def _embodied(
    book: FactorBook, wanted: Asked, found: dict[tuple[str, str], Found]
) -> tuple[EmbodiedFactor, ...]:
    parts: list[EmbodiedFactor] = []
    for subject in (*wanted.accelerators, defaults.SERVER):
        entered = book.find("embodied", wanted.at, (subject,))
        part, origin = defaults.embodied(subject, with_accelerators=bool(wanted.accelerators))
        if entered is not None and entered.row is not None:
            about = entered.row.details or {}
            part = EmbodiedFactor(
                subject,
                entered.factor,
                lifetime_h=float(about.get("lifetime_h", part.lifetime_h)),
                utilisation_ratio=float(about.get("utilisation_ratio", part.utilisation_ratio)),
                pieces=_pieces(about, part.pieces, wanted),
            )
            origin = entered
        parts.append(part)
        found["embodied", subject] = origin
    return tuple(parts)


def _pieces(about: dict[str, object], assumed: float, wanted: Asked) -> float:
    per_server = about.get("accelerators_per_server")
    if per_server is None or not wanted.accelerators:
        return assumed
    return 1 / float(str(per_server))


def _calibrations(
    book: FactorBook, wanted: Asked, found: dict[tuple[str, str], Found]
) -> dict[str, Factor]:
    """By component id; a device's own UUID is what a calibration is entered for."""
    calibrated: dict[str, Factor] = {}
    for component in wanted.devices:
        uuid = component.removeprefix(GPU)
        entered = book.find("calibration", wanted.at, (uuid,))
        if entered is not None:
            calibrated[component] = entered.factor
            found["calibration", uuid] = entered
    return calibrated


def _keep(found: dict[tuple[str, str], Found], kind: str, held: Found | None) -> None:
    if held is not None:
        found[kind, ""] = held
