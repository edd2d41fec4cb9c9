"""Preview of a factor: its effect on this month's account and on price tags."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from app.db import Session
from app.repositories.energy import account
from app.repositories.energy import sites as site_hours
from app.repositories.energy.rollups import Range
from app.repositories.factors import sites as site_rows
from app.repositories.price_tags import covered
from app.schemas.common import Quantity as WireQuantity
from app.schemas.factor_preview import Effect, FactorPreview, RunEffect, SiteEffect
from app.schemas.factors import FactorCreate
from app.services.billing import issuing
from app.services.energy.intervals import ends_of, intervals
from app.services.factors import defaults, entry, resolution
from app.services.factors.hours import hour_key
from app.services.factors.rows import FactorBook, as_factor
from app.services.principals import Principal
from app.settings import Settings
from models import Factor as FactorRow
from pricetag.accounting.bill.inputs import Factor, HourlyFactor
from pricetag.accounting.bill.node_account import Entry, accounts
from pricetag.accounting.bill.rates import bounded
from pricetag.accounting.quantity.quantity import Quantity, weakest
from pricetag.accounting.quantity.uncertainty import Z_95, Multiplier, Term, combine
from pricetag.accounting.units import grams_to_kg, joules_to_kwh

COUNTED = 10_000
EXAMPLES = 3
HOUR = timedelta(hours=1)
NOTHING_METERED = "nothing was metered at this site this month"


async def preview(
    session: Session, site: str | None, request: FactorCreate, by: Principal, settings: Settings
) -> FactorPreview:
    """Effect of a factor; nothing is stored.

    Args:
        session: Database session, only read.
        site: Site of the factor; None for a factor of the lab.
        request: The factor.
        by: Who would enter it.
        settings: Settings of this process.

    Raises:
        RoleRequiredError: If the caller is not an admin.
        SiteNotFoundError: If the site does not exist.
        InvalidFactorEntryError: If a field is invalid.
    """
    row = await entry.draft(session, site, request, by)
    place = (session, site, row.valid_from, row.valid_to)
    attempts, runs = await covered.count(*place, default=resolution.DEFAULT_SITE, most=COUNTED + 1)
    newest = await covered.newest(*place, default=resolution.DEFAULT_SITE, most=EXAMPLES)
    names = [site] if site is not None else await _sites(session)
    month = await _month(session)
    return FactorPreview(
        kind=row.kind,
        site=site,
        value=format(row.value.normalize(), "f"),
        unit=row.unit,
        relative_std_ratio=row.relative_std_ratio,
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        warnings=await entry.warnings_of(session, row),
        attempts=min(attempts, COUNTED),
        runs=runs,
        at_least=attempts > COUNTED,
        sites=[await _of_site(session, name, month, row, settings) for name in names],
        examples=[await _of_run(session, run, row, settings) for run in newest],
    )


async def _sites(session: Session) -> Sequence[str]:
    names = [site.name for site in await site_rows.all_sites(session)]
    return names if resolution.DEFAULT_SITE in names else [resolution.DEFAULT_SITE, *names]


async def _of_run(session: Session, run: Any, trial: FactorRow, settings: Settings) -> RunEffect:
    before, after = await issuing.drafts(session, run.id, settings=settings, trial=trial)

    def effect(*path: str) -> Effect:
        return _effect(_figure(before, path), _figure(after, path))

    return RunEffect(
        run_id=run.id,
        name=run.name,
        project=run.project,
        co2e_kg=effect("co2e_kg"),
        embodied_co2e_kg=effect("embodied_co2e_kg"),
        cost=effect("cost", "total"),
    )


def _figure(content: Mapping[str, Any], path: Sequence[str]) -> WireQuantity:
    figure: Any = content
    for name in path:
        figure = figure[name]
    return WireQuantity.model_validate(figure)


def _effect(before: WireQuantity, after: WireQuantity) -> Effect:
    change = None
    if before.value and after.value is not None and before.unit == after.unit:
        change = after.value / before.value - 1
    return Effect(before=before, after=after, change_ratio=change)


@dataclass(frozen=True, slots=True)
class MonthEnergy:
    """Metered energy of a site this month.

    Attributes:
        by_hour_kwh: By UTC hour.
        total: The sum, with its interval.
    """

    by_hour_kwh: Mapping[datetime, float]
    total: Quantity

    @property
    def std_ratio(self) -> float:
        """Relative error of the sum, one sigma."""
        low, high, value = self.total.low, self.total.high, self.total.value
        return 0.0 if low is None or high is None or not value else (high - low) / value / 2 / Z_95


@dataclass(frozen=True, slots=True)
class _Month:
    """The present month, and the sums of what was metered in it, by site."""

    start: datetime
    stop: datetime
    entries: Mapping[str, Sequence[Entry]]


async def _month(session: Session) -> _Month:
    now = datetime.now(UTC)
    start = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    stop = now.replace(minute=0, second=0, microsecond=0) + HOUR
    entries: dict[str, list[Entry]] = defaultdict(list)
    for row in await account.sums(session, "site", Range(start, stop)):
        if not row[0]:
            entries[row.site or resolution.DEFAULT_SITE].append(Entry._make(row[5:-1]))
    return _Month(start, stop, entries)


async def _of_site(
    session: Session, site: str, month: _Month, trial: FactorRow, settings: Settings
) -> SiteEffect:
    energy = await _energy(session, site, month)
    before, after = await _before_and_after(session, site, energy, settings, trial)
    return SiteEffect(
        site=site,
        month_start=month.start,
        it_energy_kwh=_wire(energy.total),
        co2e_kg=_effect(_wire(before[0]), _wire(after[0])),
        electricity_cost=_effect(_wire(before[1]), _wire(after[1])),
    )


def _wire(quantity: Quantity) -> WireQuantity:
    return WireQuantity.model_validate(quantity.as_dict())


async def _energy(session: Session, site: str, month: _Month) -> MonthEnergy:
    by_hour_j = await site_hours.energy_by_hour_j(
        session, site, month.start, month.stop, default=resolution.DEFAULT_SITE
    )
    (sums,) = accounts([month.entries.get(site, ())], intervals=intervals)
    by_hour = {hour: joules_to_kwh(energy_j) for hour, energy_j in by_hour_j.items()}
    return MonthEnergy(by_hour, sums.total_kwh)


_Amounts = tuple[Quantity, Quantity]
"""CO2e in kg, and cost of the electricity."""


async def _before_and_after(
    session: Session, site: str, energy: MonthEnergy, settings: Settings, trial: FactorRow
) -> tuple[_Amounts, _Amounts]:
    """The amounts of a month without and with a factor."""
    hours = sorted(energy.by_hour_kwh)
    if not hours:
        unknown = Quantity.unknown("kg", NOTHING_METERED), Quantity.unknown("1", NOTHING_METERED)
        return unknown, unknown
    query = resolution.FactorQuery((), (), hours, hours[-1].year)
    before, after = await resolution.tried(session, site, settings, query, trial)
    return _amounts(energy, hours, before, settings), _amounts(energy, hours, after, settings)


def _amounts(
    energy: MonthEnergy, hours: Sequence[datetime], sheet: resolution.Sheet, settings: Settings
) -> _Amounts:
    """The amounts of a month, by the factors of each hour."""
    factors = sheet.factors
    pue = _pue(sheet.book, hours, settings)
    carbon = _by_hour(factors.carbon_hours, factors.carbon_intensity, hours)
    co2e = hourly_product(energy, pue, carbon, "kg", size=grams_to_kg(1.0))
    tariff = _by_hour(factors.tariff_hours, factors.electricity_tariff, hours)
    if len(tariff.values) < len(hours):
        reason = factors.electricity_reason or "some hours of this month have no tariff"
        return co2e, Quantity.unknown(factors.currency or "1", reason)
    currency = tariff.factors[0].unit.partition("/")[0]
    return co2e, hourly_product(energy, pue, tariff, currency)


@dataclass(frozen=True, slots=True)
class HourlyRates:
    """A factor hour by hour.

    Attributes:
        values: Its value in each hour.
        factors: Each factor with such values once, in the order of the hours.
    """

    values: Sequence[float]
    factors: Sequence[Factor]

    @classmethod
    def of(cls, factors: Sequence[Factor]) -> HourlyRates:
        """The rates of hours with a factor each."""
        distinct = {id(factor): factor for factor in factors}
        return cls([factor.value for factor in factors], list(distinct.values()))

    @property
    def largest(self) -> Factor:
        """The factor with the largest error."""
        return max(self.factors, key=lambda factor: factor.relative_std_ratio)


def _pue(book: FactorBook, hours: Sequence[datetime], settings: Settings) -> HourlyRates:
    """The PUE of each hour; each row is read once."""
    default = defaults.pue(settings).factor
    rows = book.rows_of("pue", hours).values()
    factors = {id(row): as_factor(row) for row in {id(row): row for row in rows if row}.values()}
    return HourlyRates.of([default if row is None else factors[id(row)] for row in rows])


def _by_hour(
    hourly: HourlyFactor | None, flat: Factor | None, hours: Sequence[datetime]
) -> HourlyRates:
    """The factor of each hour, without hours that have none."""
    if hourly is None:
        return HourlyRates.of([] if flat is None else [flat] * len(hours))
    values, factors = [], {}
    for hour in hours:
        value = hourly.by_hour.get(hour_key(hour))
        factor = flat if value is None else hourly.factor
        if factor is not None:
            factors[id(factor)] = factor
            values.append(factor.value if value is None else value)
    return HourlyRates(values, list(factors.values()))


def hourly_product(
    energy: MonthEnergy,
    pue: HourlyRates,
    rates: HourlyRates,
    unit: str,
    *,
    size: float = 1.0,
) -> Quantity:
    """Energy times PUE times a rate, summed over hours, with its 95% interval.

    Args:
        energy: Metered energy, in kWh.
        pue: PUE of each hour in which energy was metered, in order.
        rates: Amount per kWh of each of these hours.
        unit: Unit of the product.
        size: Amount of one unit of the rates in that unit.
    """
    kwh = [energy.by_hour_kwh[hour] for hour in sorted(energy.by_hour_kwh)]
    value = size * sum(
        part * factor * rate
        for part, factor, rate in zip(kwh, pue.values, rates.values, strict=True)
    )
    largest = rates.largest
    errors = [
        bounded("pue", pue.largest, 1.0),
        Multiplier("rate", largest.relative_std_ratio, largest.multiplicative),
    ]
    ends = combine([Term(value, "energy", energy.std_ratio)], errors, ends_of=ends_of)
    sources = {factor.source for factor in (*pue.factors, *rates.factors)}
    source = weakest(*sources, *([energy.total.source] if energy.total.source else []))
    return Quantity(value, min(ends.low, value), max(ends.high, value), unit, source)
