"""The factors of a site: entered ones first, then the settings, then the catalog.

Each factor has its origin. Entered factors are append-only, so the factors of a period can be
resolved again as they were known at another time (``as_of``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from app.db import Session
from app.repositories.factors import carbon_series, prices
from app.repositories.factors import factors as factor_rows
from app.services.factors import defaults, sites
from app.services.factors import hours as factor_hours
from app.services.factors.book_prices import DevicePrices, device_prices
from app.services.factors.rows import ANY, FactorBook, SourcedFactor, with_origin
from app.services.factors.sites import SiteState
from app.settings import Settings
from models import CarbonSeries
from models import Factor as FactorRow
from pricetag import catalog
from pricetag.accounting.bill.inputs import EmbodiedFactor, Factor, Factors, HourlyFactor
from pricetag.accounting.budgets.periods import zone_of

DEFAULT_SITE = "default"
GPU = "gpu:"


@dataclass(frozen=True, slots=True)
class FactorQuery:
    """The energy for which factors are needed.

    Attributes:
        accelerators: Product names, each once.
        devices: Ids of the components that were metered.
        hours: Hours in which energy was used; never empty.
        used_in_year: Year of use: a factor of another year is less certain.
    """

    accelerators: Sequence[str]
    devices: Sequence[str]
    hours: Sequence[datetime]
    used_in_year: int | None

    @property
    def at(self) -> datetime:
        """The last hour: its factors apply to all hours, unless they are hourly."""
        return max(self.hours)


@dataclass(frozen=True, slots=True)
class Sheet:
    """The factors of a site.

    Attributes:
        factors: The factors.
        sources: The origin of each, by kind and subject.
        state: The site, if it exists.
        book: The factors as they were entered.
    """

    factors: Factors
    sources: dict[tuple[str, str], SourcedFactor]
    state: SiteState | None
    book: FactorBook


@dataclass(frozen=True, slots=True)
class _Known:
    """What is stored about the factors of a site.

    Attributes:
        state: The site, if it exists.
        rows: Entered factors, newest first.
        measured: Hourly carbon intensities.
        zone: Grid zone.
        device_rates: Prices of devices.
    """

    state: SiteState | None
    rows: Sequence[FactorRow]
    measured: Mapping[datetime, tuple[float, CarbonSeries]]
    zone: str | None
    device_rates: DevicePrices


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
    trial: FactorRow | None = None,
) -> Factors:
    """The factors that apply to energy used at a site.

    The PUE, water, embodied factors, contracts and prices of the period's last hour apply to the
    whole period; tariffs and carbon intensities apply hour by hour if they change.

    Args:
        session: Database session, only read.
        site: Name of the site; ``default`` when it is None. A site that is not in the
            database has only the lab's factors.
        settings: Settings of this process, used where neither site nor lab has a factor.
        accelerators: Product names of the accelerators that were used, each once.
        devices: Ids of the components that were metered (``gpu:<uuid>``).
        hours: UTC hours in which energy was used (ISO 8601); the current hour if empty.
        used_in_year: Year of use: a factor of another year is less certain.
        as_of: Use only factors entered by then; None for all.
        trial: A factor that is not entered, to see what it would change.

    Raises:
        NotInCatalog: If the site's zone is no longer in the catalog.
        ValueError: If an hour is not a time with a time zone.
    """
    query = FactorQuery(accelerators, devices, _hours(hours), used_in_year)
    place = site or DEFAULT_SITE
    return (await sheet(session, place, settings, query, as_of, trial=trial)).factors


async def sheet(
    session: Session,
    site: str,
    settings: Settings,
    query: FactorQuery,
    as_of: datetime | None = None,
    *,
    trial: FactorRow | None = None,
) -> Sheet:
    """Same as ``resolve``, with the origin of each factor.

    Args:
        session: Database session, only read.
        site: Name of the site.
        settings: Settings of this process.
        query: The energy for which factors are needed.
        as_of: Use only factors entered by then.
        trial: A factor that is not entered, to see what it would change.
    """
    known = await _known(session, site, settings, query, as_of)
    return _sheet(known, site, settings, query, as_of, trial)


async def tried(
    session: Session, site: str, settings: Settings, query: FactorQuery, trial: FactorRow
) -> tuple[Sheet, Sheet]:
    """The sheets of a site without and with a factor that is not entered.

    Args:
        session: Database session, only read.
        site: Name of the site.
        settings: Settings of this process.
        query: The energy for which factors are needed.
        trial: The factor.
    """
    known = await _known(session, site, settings, query, None)
    before, after = (_sheet(known, site, settings, query, None, each) for each in (None, trial))
    return before, after


async def _known(
    session: Session, site: str, settings: Settings, query: FactorQuery, as_of: datetime | None
) -> _Known:
    state = await sites.state(session, site, as_of)
    zone = (state.grid_zone if state else None) or _zone_of_settings(settings)
    measured = {}
    if zone is not None:
        measured = await carbon_series.hours_of_zone(session, zone, query.hours, as_of)
    currency = state.currency if state else settings.currency
    return _Known(
        state=state,
        rows=await factor_rows.known_to(session, state.id if state else None, as_of),
        measured=measured,
        zone=zone,
        device_rates=device_prices(
            await prices.known(session, as_of), query.accelerators, currency, query.at
        ),
    )


def _sheet(
    known: _Known,
    site: str,
    settings: Settings,
    query: FactorQuery,
    as_of: datetime | None,
    trial: FactorRow | None,
) -> Sheet:
    state, zone = known.state, known.zone
    book = _book(known.rows, state.id if state else None, trial)
    currency = state.currency if state else settings.currency
    sources: dict[tuple[str, str], SourcedFactor] = {}
    rows = book.rows_of("carbon_location", query.hours, _subjects(zone))
    carbon = _carbon(rows, state, settings, query)
    sources["carbon_location", ""] = carbon
    sources["pue", ""] = book.find("pue", query.at) or defaults.pue(settings)
    tariff_hours, tariff, reason = _tariff(book, state, settings, query, currency)
    _keep(sources, "tariff", tariff)
    _keep(sources, "carbon_market", book.find("carbon_market", query.at))
    _keep(
        sources,
        "wue",
        book.find("wue", query.at) or SourcedFactor(catalog.wue().as_factor(), "catalog"),
    )
    _keep(sources, "water_intensity", _water(book, zone, query.at))
    embodied = _embodied(book, query, sources)
    calibrations = _calibrations(book, query, sources)

    def value(kind: str) -> Factor | None:
        source = sources.get((kind, ""))
        return source.factor if source else None

    factors = Factors(
        pue=sources["pue", ""].factor,
        carbon_intensity=carbon.factor,
        carbon_hours=factor_hours.carbon_hours(known.measured, rows),
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
    return Sheet(_priced(factors, known.device_rates, currency), sources, state, book)


def _book(rows: Sequence[FactorRow], site_id: UUID | None, trial: FactorRow | None) -> FactorBook:
    """The factors that a site may use; with a trial as if it had just been entered."""
    if trial is not None and trial.site_id in (None, site_id):
        rows = [trial, *rows]
    return FactorBook(rows, site_id)


def _priced(factors: Factors, device_rates: DevicePrices, currency: str) -> Factors:
    currency_factors = (
        device_rates.low,
        device_rates.internal,
        factors.electricity_tariff,
        factors.tariff_hours,
    )
    return replace(
        factors,
        cloud_price_low=device_rates.low,
        cloud_price_high=device_rates.high,
        cloud_price_reason=device_rates.cloud_reason,
        internal_price=device_rates.internal,
        internal_price_reason=device_rates.internal_reason,
        currency=currency if any(part is not None for part in currency_factors) else None,
    )


async def subjects_of(
    session: Session, site_id: UUID | None, as_of: datetime | None = None
) -> dict[str, list[str]]:
    """Subjects of the embodied factors and calibrations entered for a site or the lab."""
    rows = await factor_rows.known_to(session, site_id, as_of)
    subjects: dict[str, list[str]] = {"embodied": [], "calibration": []}
    for row in rows:
        known_subjects = subjects.get(row.kind)
        if known_subjects is not None and row.subject not in (*known_subjects, defaults.SERVER):
            known_subjects.append(row.subject)
    return subjects


def _hours(texts: Iterable[str]) -> list[datetime]:
    hours = sorted({factor_hours.parse_hour(text) for text in texts})
    return hours or [datetime.now(UTC).replace(minute=0, second=0, microsecond=0)]


def _zone_of_settings(settings: Settings) -> str | None:
    return None if settings.grid_g_per_kwh is not None else settings.grid_zone


def _subjects(zone: str | None) -> tuple[str, ...]:
    return ANY if zone is None else (*ANY, zone)


def _carbon(
    rows: Mapping[datetime, FactorRow | None],
    state: SiteState | None,
    settings: Settings,
    query: FactorQuery,
) -> SourcedFactor:
    """The annual value for hours without an hourly value."""
    entered = rows[query.at]
    if entered is not None and all(rows.values()):
        return with_origin(entered)
    if state is not None and state.grid_zone is not None:
        return defaults.carbon_of_zone(state.grid_zone, query.used_in_year)
    return defaults.carbon(settings, query.used_in_year)


def _tariff(
    book: FactorBook,
    state: SiteState | None,
    settings: Settings,
    query: FactorQuery,
    currency: str,
) -> tuple[HourlyFactor | None, SourcedFactor | None, str]:
    """Hourly prices, the flat tariff for the other hours, and the reason if there is no tariff."""
    zone = zone_of(state.time_zone if state else "UTC")
    unit = f"{currency}/kWh"
    hours, entered, complete = factor_hours.tariff_hours(book, query.hours, zone, unit)
    if complete:
        return hours, entered, ""
    default = defaults.tariff(settings)
    if default is not None and default.factor.unit == unit:
        return hours, default, ""
    other_units = {row.unit for row in book.rows if row.kind == "tariff"} - {unit}
    if default is not None:
        other_units.add(default.factor.unit)
    if other_units:
        currencies = ", ".join(sorted(other_units))
        return hours, None, f"the tariff is in {currencies}, and the site's currency is {currency}"
    return hours, None, "no electricity tariff is configured"


def _water(book: FactorBook, zone: str | None, at: datetime) -> SourcedFactor | None:
    entered = book.find("water_intensity", at, _subjects(zone))
    if entered is not None or zone is None:
        return entered
    row = catalog.water_intensity(zone)
    return None if row is None else SourcedFactor(row.as_factor(), "catalog")


def _embodied(
    book: FactorBook, query: FactorQuery, sources: dict[tuple[str, str], SourcedFactor]
) -> tuple[EmbodiedFactor, ...]:
    parts: list[EmbodiedFactor] = []
    for subject in (*query.accelerators, defaults.SERVER):
        entered = book.find("embodied", query.at, (subject,))
        part, origin = defaults.embodied(subject, with_accelerators=bool(query.accelerators))
        if entered is not None and entered.row is not None:
            details = entered.row.details or {}
            part = EmbodiedFactor(
                subject,
                entered.factor,
                lifetime_h=float(details.get("lifetime_h", part.lifetime_h)),
                utilisation_ratio=float(details.get("utilisation_ratio", part.utilisation_ratio)),
                pieces=_pieces(details, part.pieces, query),
            )
            origin = entered
        parts.append(part)
        sources["embodied", subject] = origin
    return tuple(parts)


def _pieces(details: dict[str, object], assumed: float, query: FactorQuery) -> float:
    per_server = details.get("accelerators_per_server")
    if per_server is None or not query.accelerators:
        return assumed
    return 1 / float(str(per_server))


def _calibrations(
    book: FactorBook, query: FactorQuery, sources: dict[tuple[str, str], SourcedFactor]
) -> dict[str, Factor]:
    """Calibrations by component id; each was entered for a device's UUID."""
    calibrated: dict[str, Factor] = {}
    for component in query.devices:
        uuid = component.removeprefix(GPU)
        entered = book.find("calibration", query.at, (uuid,))
        if entered is not None:
            calibrated[component] = entered.factor
            sources["calibration", uuid] = entered
    return calibrated


def _keep(
    sources: dict[tuple[str, str], SourcedFactor], kind: str, source: SourcedFactor | None
) -> None:
    if source is not None:
        sources[kind, ""] = source
