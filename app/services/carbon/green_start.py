"""Starts with the lowest forecast carbon intensity: chosen when a run is posted, judged later."""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from app.db import Session
from app.repositories.factors import carbon_forecasts as rows
from app.repositories.factors import carbon_series
from app.repositories.nodes import nodes
from app.repositories.quotes import outcomes
from app.repositories.quotes import quotes as quote_rows
from app.schemas.carbon_forecasts import GreenPlan, GreenStartRead
from app.schemas.common import FieldProblem, Quantity
from app.services.errors import InvalidFieldsError
from app.services.factors import monthly, sites
from app.services.factors.resolution import DEFAULT_SITE
from app.settings import Settings
from models import Attempt, CarbonForecast, GreenStart
from pricetag.accounting.forecast.greenest import HOUR, greenest, mean_intensity
from pricetag.accounting.quantity.uncertainty import Z_95
from pricetag.recipes import RunSpec
from pricetag.recipes.not_before import greenest_within

LATELY = timedelta(days=7)
ASSUMED = timedelta(hours=1)
"""Length of a run whose quote has no duration."""

NO_MARGINAL = "no marginal forecast of these hours is stored"
NOTHING_TO_SAVE = "a start at once would have emitted nothing"
FETCH = (
    "fetch one: pricetag carbon fetch-forecast --zone {zone} (from a provider that is set up on "
    "the server)"
)
NO_ZONE = (
    "make a site with 'pricetag site create NAME --zone ZONE' and start its workers with "
    "PRICETAG_SITE=NAME, or set PRICETAG_GRID_ZONE on the server"
)

DurationSource = Literal["quote", "request", "assumed"]


class NoForecastError(InvalidFieldsError):
    """No forecast by which a start can be chosen."""

    code = "no-forecast"


@dataclass(frozen=True, slots=True)
class Chosen:
    """A start chosen by a forecast.

    Attributes:
        forecast: The location-based forecast.
        marginal: The marginal forecast beside it; None without one that covers both runs.
        within: Longest time until the start.
        duration: Length of the run.
        earliest: Time of a start at once.
        start: Chosen start.
        at_once_g_per_kwh: Mean intensity of a run started at once.
        planned_g_per_kwh: Mean intensity of a run started then.
        marginal_at_once_g_per_kwh: Marginal intensity of a run started at once.
        marginal_planned_g_per_kwh: Marginal intensity of a run started then.
        duration_source: Origin of the length.
    """

    forecast: CarbonForecast
    marginal: CarbonForecast | None
    within: timedelta
    duration: timedelta
    earliest: datetime
    start: datetime
    at_once_g_per_kwh: float
    planned_g_per_kwh: float
    marginal_at_once_g_per_kwh: float | None
    marginal_planned_g_per_kwh: float | None
    duration_source: DurationSource


def hours_of(forecast: CarbonForecast) -> dict[datetime, float]:
    """The intensities of a forecast by hour (UTC)."""
    return {datetime.fromisoformat(hour): value for hour, value in forecast.g_per_kwh.items()}


def choose(
    zone: str,
    average: CarbonForecast | None,
    marginal: CarbonForecast | None,
    *,
    earliest: datetime,
    within: timedelta,
    duration: timedelta,
    duration_source: DurationSource,
) -> Chosen | str:
    """The greenest start by the location-based forecast, or why there is none.

    Args:
        zone: Grid zone, for the reason.
        average: The latest location-based forecast of the zone.
        marginal: The latest marginal one, which is only stated beside.
        earliest: Earliest start.
        within: Longest time until the start.
        duration: Length of the run.
        duration_source: Origin of the length.
    """
    if average is None:
        return f"no forecast of zone {zone} is stored; {FETCH.format(zone=zone)}"
    hours = hours_of(average)
    at_once = mean_intensity(hours, earliest, earliest + duration)
    best = greenest(hours, earliest=earliest, latest=earliest + within, duration=duration)
    if at_once is None or best is None:
        last = max(hours) + HOUR
        return (
            f"the latest forecast of zone {zone} ends at {last:%Y-%m-%d %H:%M} UTC, which is too "
            f"early for a run of {duration.total_seconds() / 3600:.3g} h from now; "
            f"{FETCH.format(zone=zone)}"
        )
    marginal_hours = {} if marginal is None else hours_of(marginal)
    marginal_at_once = mean_intensity(marginal_hours, earliest, earliest + duration)
    marginal_planned = mean_intensity(marginal_hours, best.at, best.at + duration)
    if marginal_at_once is None or marginal_planned is None:
        marginal = marginal_at_once = marginal_planned = None
    return Chosen(
        forecast=average,
        marginal=marginal,
        within=within,
        duration=duration,
        earliest=earliest,
        start=best.at,
        at_once_g_per_kwh=at_once,
        planned_g_per_kwh=best.g_per_kwh,
        marginal_at_once_g_per_kwh=marginal_at_once,
        marginal_planned_g_per_kwh=marginal_planned,
        duration_source=duration_source,
    )


async def of_spec(
    session: Session, settings: Settings, spec: RunSpec, duration_s: float | None
) -> Chosen | None:
    """The greenest start of a run that asks for one; None if it does not.

    Args:
        session: Database session, only read.
        settings: Zone of the lab where a site has none.
        spec: The run as it was posted.
        duration_s: Expected length of the run; None if unknown.

    Raises:
        NoForecastError: If the nodes of its pool have no common grid zone, or no forecast covers
            the run.
    """
    within = greenest_within(spec.not_before)
    if within is None:
        return None
    zone = await _zone_of_pool(session, settings, spec.resources.pool, spec.resources.gpus)
    chosen = choose(
        zone,
        await rows.latest(session, zone, "average"),
        await rows.latest(session, zone, "marginal"),
        earliest=datetime.now(UTC),
        within=within,
        duration=ASSUMED if duration_s is None else timedelta(seconds=max(duration_s, 1.0)),
        duration_source="assumed" if duration_s is None else "quote",
    )
    if isinstance(chosen, str):
        raise _missing(chosen)
    return chosen


def earliest(spec: RunSpec, chosen: Chosen | GreenPlan | None) -> datetime | None:
    """The earliest start of a run: the chosen one, or what its author states."""
    if chosen is not None:
        return chosen.start
    return spec.not_before if isinstance(spec.not_before, datetime) else None


async def keep(session: Session, run_id: uuid.UUID, chosen: Chosen) -> None:
    """Stores how the start of a run was chosen."""
    start = GreenStart(
        run_id=run_id,
        forecast_id=chosen.forecast.id,
        marginal_forecast_id=None if chosen.marginal is None else chosen.marginal.id,
        within_h=chosen.within / HOUR,
        duration_s=chosen.duration.total_seconds(),
        duration_source=chosen.duration_source,
        earliest=chosen.earliest,
        start=chosen.start,
        at_once_g_per_kwh=chosen.at_once_g_per_kwh,
        planned_g_per_kwh=chosen.planned_g_per_kwh,
        marginal_at_once_g_per_kwh=chosen.marginal_at_once_g_per_kwh,
        marginal_planned_g_per_kwh=chosen.marginal_planned_g_per_kwh,
    )
    await rows.keep_start(session, start)


def plan(chosen: Chosen) -> GreenPlan:
    """A chosen start as the API has it."""
    return GreenPlan(
        within_h=chosen.within / HOUR,
        duration_s=chosen.duration.total_seconds(),
        duration_source=chosen.duration_source,
        earliest=chosen.earliest,
        start=chosen.start,
        **_figures(
            chosen.at_once_g_per_kwh,
            chosen.planned_g_per_kwh,
            chosen.marginal_at_once_g_per_kwh,
            chosen.marginal_planned_g_per_kwh,
        ),
    )


async def read(
    session: Session,
    run_id: uuid.UUID,
    attempts: Sequence[Attempt],
    facility_energy_kwh: Quantity | None,
) -> GreenStartRead | None:
    """How the start of a run was chosen, and what it saved; None if it was not chosen so.

    Args:
        session: Database session, only read.
        run_id: The run.
        attempts: Its attempts, in order.
        facility_energy_kwh: Facility energy of its price tag; None if unknown.
    """
    row = await rows.start_of(session, run_id)
    if row is None:
        return None
    forecast = (await rows.with_ids(session, [row.forecast_id]))[row.forecast_id]
    saved_kg, saved_ratio = await _saved(session, row, forecast.zone, attempts, facility_energy_kwh)
    return GreenStartRead(
        within_h=row.within_h,
        duration_s=row.duration_s,
        duration_source="assumed" if row.duration_source == "assumed" else "quote",
        earliest=row.earliest,
        start=row.start,
        **_figures(
            row.at_once_g_per_kwh,
            row.planned_g_per_kwh,
            row.marginal_at_once_g_per_kwh,
            row.marginal_planned_g_per_kwh,
        ),
        zone=forecast.zone,
        forecast_id=forecast.id,
        provider=forecast.provider,
        issued_at=forecast.issued_at,
        source=forecast.source,
        saved_kg=saved_kg,
        saved_ratio=saved_ratio,
    )


def _figures(
    at_once: float, planned: float, marginal_at_once: float | None, marginal_planned: float | None
) -> dict[str, Quantity]:
    return {
        "at_once": _forecast(at_once),
        "planned": _forecast(planned),
        "saving_ratio": _ratio(at_once, planned),
        "marginal_at_once": _forecast(marginal_at_once),
        "marginal_planned": _forecast(marginal_planned),
        "marginal_saving_ratio": _ratio(marginal_at_once, marginal_planned),
    }


def _forecast(g_per_kwh: float | None) -> Quantity:
    if g_per_kwh is None:
        return _unknown("g/kWh", NO_MARGINAL)
    return Quantity(value=g_per_kwh, low=None, high=None, unit="g/kWh", source="estimated")


def _ratio(at_once: float | None, planned: float | None) -> Quantity:
    if at_once is None or planned is None:
        return _unknown("1", NO_MARGINAL)
    if at_once == 0:
        return _unknown("1", NOTHING_TO_SAVE)
    value = 1 - planned / at_once
    return Quantity(value=value, low=None, high=None, unit="1", source="estimated")


def _unknown(unit: str, reason: str) -> Quantity:
    return Quantity(value=None, low=None, high=None, unit=unit, source=None, reason=reason)


@dataclass(frozen=True, slots=True)
class _Means:
    """Recorded mean intensities of the run and of a start at once, in g CO2e/kWh."""

    actual: float
    at_once: float
    std_ratio: float


async def _saved(
    session: Session,
    row: GreenStart,
    zone: str,
    attempts: Sequence[Attempt],
    energy_kwh: Quantity | None,
) -> tuple[Quantity, Quantity]:
    """Saved emissions in kg and as a share, by the recorded hours of the zone.

    The run's power is taken as steady, and a start at once as one of the same length: all
    attempts move by the time from the posting to the first start.
    """
    means = await _recorded(session, row, zone, attempts)
    if isinstance(means, str):
        return _unknown("kg", means), _unknown("1", means)
    # The errors of the two periods are taken as independent.
    at_once, actual = means.at_once, means.actual
    ratio = _unknown("1", NOTHING_TO_SAVE)
    if at_once > 0:
        change = actual / at_once
        factor = math.exp(Z_95 * math.sqrt(2) * means.std_ratio)
        ratio = Quantity(
            value=1 - change,
            low=1 - change * factor,
            high=1 - change / factor,
            unit="1",
            source="estimated",
        )
    if energy_kwh is None or energy_kwh.value is None:
        return _unknown("kg", "the energy of the run is unknown"), ratio
    saved_g_per_kwh = at_once - actual
    half = Z_95 * means.std_ratio * math.hypot(at_once, actual)
    least = energy_kwh.value if energy_kwh.low is None else energy_kwh.low
    most = energy_kwh.value if energy_kwh.high is None else energy_kwh.high
    corners = [
        kwh * g_per_kwh / 1000
        for kwh in (least, most)
        for g_per_kwh in (saved_g_per_kwh - half, saved_g_per_kwh + half)
    ]
    kg = Quantity(
        value=energy_kwh.value * saved_g_per_kwh / 1000,
        low=min(corners),
        high=max(corners),
        unit="kg",
        source="assumed" if energy_kwh.source == "assumed" else "estimated",
    )
    return kg, ratio


async def _recorded(
    session: Session, row: GreenStart, zone: str, attempts: Sequence[Attempt]
) -> _Means | str:
    spans = [(each.started_at, each.ended_at) for each in attempts if each.ended_at is not None]
    if not spans or len(spans) < len(attempts):
        return "the run has not ended"
    moved = spans[0][0] - row.earliest
    begin, end = min(row.earliest, spans[0][0]), max(stop for _, stop in spans)
    recorded = await carbon_series.recorded_hours(
        session, zone, begin.replace(minute=0, second=0, microsecond=0), end
    )
    hours = {each.hour: float(each.g_per_kwh) for each in recorded}
    actual = _mean(hours, spans)
    at_once = _mean(hours, [(start - moved, stop - moved) for start, stop in spans])
    if actual is None or at_once is None:
        return f"hours of zone {zone} between the posting and the end are not recorded"
    return _Means(actual, at_once, max(each.relative_std_ratio for each in recorded))


def _mean(hours: dict[datetime, float], spans: Sequence[tuple[datetime, datetime]]) -> float | None:
    weighted = length_s = 0.0
    for start, stop in spans:
        if start == stop:
            continue
        mean = mean_intensity(hours, start, stop)
        if mean is None:
            return None
        weighted += mean * (stop - start).total_seconds()
        length_s += (stop - start).total_seconds()
    return weighted / length_s if length_s else None


async def _zone_of_pool(session: Session, settings: Settings, pool: str, gpus: int) -> str:
    """The grid zone of the sites at which the pool's nodes were metered lately."""
    names = {node.name for node in await quote_rows.nodes_of_pool(session, pool)}
    metered = await nodes.sites_since(session, datetime.now(UTC) - LATELY)
    of_pool = {site for name, site in metered.items() if name in names}
    zones: set[str | None] = set()
    for site in of_pool or {await outcomes.site_of_pool(session, pool, gpus)}:
        zones.add(monthly.zone_of(await sites.state(session, site or DEFAULT_SITE), settings))
    known = sorted(zone for zone in zones if zone is not None)
    if len(known) < len(zones):
        raise _missing(f"no node of pool {pool!r} is at a site with a grid zone; {NO_ZONE}")
    if len(known) > 1:
        raise _missing(
            f"the nodes of pool {pool!r} are in several grid zones ({', '.join(known)}); state a "
            "time, or use a pool in one zone"
        )
    return known[0]


def _missing(message: str) -> NoForecastError:
    what, _, hint = message.partition("; ")
    return NoForecastError([FieldProblem(field="not_before", message=what, hint=hint or None)])
