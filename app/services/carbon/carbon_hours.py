"""A site's carbon intensity and load by hour, and the savings of a later start."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from app.db import Session
from app.repositories.energy import account as energy_rows
from app.repositories.energy.rollups import HOUR, Range
from app.repositories.factors import carbon_series
from app.schemas.carbon import HourGap
from app.schemas.carbon_hours import (
    CarbonHourRead,
    CarbonHoursRead,
    CarbonSource,
    LaterStart,
)
from app.schemas.common import Quantity
from app.services.energy.ranges import Hours, InvalidEnergyRangeError, hours_of
from app.services.factors import monthly, sites
from app.services.factors.resolution import DEFAULT_SITE
from app.settings import Settings
from pricetag.accounting.bill.inputs import Factor
from pricetag.accounting.forecast.later import later
from pricetag.accounting.quantity.uncertainty import Multiplier, Term, combine
from pricetag.accounting.units import joules_to_kwh

LONGEST = timedelta(days=31)
DELAYS_H = (1, 2, 3, 4, 6, 8, 12, 18, 24)
NO_HOURS = "no hour of this zone and range is recorded"
NO_LOAD = "no energy was metered in the recorded hours"
NO_MARGINAL = (
    "no marginal intensities are stored: series are location-based averages, which say what the "
    "grid emitted and not what one more kWh would have added"
)
NO_FORECAST = (
    "the savings are those of the recorded hours of this range, and the coming hours may differ: "
    "GET /v1/carbon/forecasts has their forecast"
)


async def read(
    session: Session,
    settings: Settings,
    site: str | None,
    *,
    start: datetime | None,
    stop: datetime | None,
    duration_h: int,
    start_hour: int | None = None,
) -> CarbonHoursRead:
    """Intensity and load of a site by hour.

    Args:
        session: Database session, only read.
        settings: Factors to use if neither site nor lab has any.
        site: Name of the site; None for nodes without a site.
        start: Beginning of the first hour; a week before ``stop`` by default.
        stop: End of the last hour; the end of the current hour by default.
        duration_h: Length of the runs for which savings are computed, in hours.
        start_hour: Hour of the day (UTC) at which they would have started; now by default.

    Raises:
        SiteNotFoundError: If there is no such site.
        InvalidEnergyRangeError: If the range is invalid or longer than 31 days.
    """
    if site is not None and site != DEFAULT_SITE:
        await sites.require(session, site)
    now = datetime.now(UTC)
    at_hour = now.hour if start_hour is None else start_hour
    span = hours_shown(start, stop, now)
    last = max(span.start, span.stop - HOUR)
    month = last.replace(day=1, hour=0)
    factors = await monthly.read(session, settings, site, [month])
    recorded: Sequence[Any] = ()
    if factors.zone is not None:
        recorded = await carbon_series.recorded_hours(session, factors.zone, span.start, span.stop)
    intensities = {row.hour: float(row.g_per_kwh) for row in recorded}
    load = await _load(session, site, Range(span.start, span.stop))
    hours = [span.start + n * HOUR for n in range((span.stop - span.start) // HOUR)]
    annual = factors.months[month].location
    std_ratio = max((row.relative_std_ratio for row in recorded), default=0.0)
    return CarbonHoursRead(
        site=site or DEFAULT_SITE,
        zone=factors.zone,
        start=span.start,
        stop=span.stop,
        annual=_annual(annual),
        annual_citation=annual.citation,
        hours=[
            CarbonHourRead(hour=at, g_per_kwh=intensities.get(at), it_energy_kwh=load.get(at))
            for at in hours
        ],
        gaps=_gaps(hours, intensities),
        sources=_sources(recorded),
        mean=_mean([(value, 1.0) for value in intensities.values()], std_ratio, NO_HOURS),
        load_mean=_mean(
            [(value, load.get(hour, 0.0)) for hour, value in intensities.items()],
            std_ratio,
            NO_LOAD if intensities else NO_HOURS,
        ),
        duration_h=duration_h,
        start_hour=at_hour,
        later=[
            LaterStart(
                delay_h=later_start.delay_h,
                saving_ratio=later_start.mean,
                low=later_start.low,
                high=later_start.high,
                starts=later_start.starts,
            )
            for later_start in later(
                intensities, duration_h=duration_h, start_hour=at_hour, delays_h=DELAYS_H
            )
        ],
        marginal_reason=NO_MARGINAL,
        forecast_reason=NO_FORECAST,
    )


def hours_shown(
    start: datetime | None, stop: datetime | None, now: datetime | None = None
) -> Hours:
    """The hours of a request.

    Raises:
        InvalidEnergyRangeError: If the range is invalid or longer than 31 days.
    """
    span = hours_of(start, stop, "month", now or datetime.now(UTC))
    if span.stop - span.start > LONGEST:
        raise InvalidEnergyRangeError(
            f"At most {LONGEST.days} days of hours can be requested at once.", field="from"
        )
    return span


async def _load(session: Session, site: str | None, hours: Range) -> dict[datetime, float]:
    """IT energy of the site in each hour, kWh."""
    is_default = site in (None, DEFAULT_SITE)
    places = {"", DEFAULT_SITE} if is_default else {str(site)}
    load: dict[datetime, float] = {}
    for row in await energy_rows.sums_over_time(session, "site", "hour", hours, sorted(places)):
        if row.place is not None:
            load[row.start] = load.get(row.start, 0.0) + joules_to_kwh(row.total_j)
    return load


def _annual(factor: Factor) -> Quantity:
    multiplier = Multiplier("carbon", factor.relative_std_ratio, factor.multiplicative)
    ends = combine([Term(factor.value, "annual", 0.0)], [multiplier])
    return Quantity(
        value=factor.value, low=ends.low, high=ends.high, unit="g/kWh", source=factor.source
    )


def _mean(weighted: Sequence[tuple[float, float]], std_ratio: float, reason: str) -> Quantity:
    """A weighted mean of hours with a common error."""
    weight = sum(each for _, each in weighted)
    if not weight:
        return Quantity(value=None, low=None, high=None, unit="g/kWh", source=None, reason=reason)
    value = sum(g_per_kwh * each for g_per_kwh, each in weighted) / weight
    ends = combine([Term(value, "hours", std_ratio)])
    return Quantity(value=value, low=ends.low, high=ends.high, unit="g/kWh", source="estimated")


def _gaps(hours: Sequence[datetime], intensities: Mapping[datetime, float]) -> list[HourGap]:
    gaps: list[HourGap] = []
    for hour in hours:
        if hour in intensities:
            continue
        if gaps and gaps[-1].first + gaps[-1].hours * HOUR == hour:
            gaps[-1] = HourGap(first=gaps[-1].first, hours=gaps[-1].hours + 1)
        else:
            gaps.append(HourGap(first=hour, hours=1))
    return gaps


def _sources(recorded: Sequence[Any]) -> list[CarbonSource]:
    counts = Counter(row.series_id for row in recorded)
    rows = {row.series_id: row for row in recorded}
    return [
        CarbonSource(
            series_id=series_id,
            source=rows[series_id].source,
            source_url=rows[series_id].source_url,
            licence=rows[series_id].license,
            basis=rows[series_id].basis,
            relative_std_ratio=rows[series_id].relative_std_ratio,
            hours=number,
        )
        for series_id, number in counts.most_common()
    ]
