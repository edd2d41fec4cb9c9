"""The annual factors of a site as they were valid in each month, in few queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from app.db import Session
from app.repositories.energy.calendar import after
from app.repositories.factors import factors as factor_rows
from app.services.factors import defaults, sites
from app.services.factors.resolution import DEFAULT_SITE
from app.services.factors.rows import ANY, HOUR, FactorBook, with_origin
from app.services.factors.sites import SiteState
from app.settings import Settings
from pricetag.accounting.bill.inputs import Factor


@dataclass(frozen=True, slots=True)
class MonthFactors:
    """The factors that were valid at the end of a month, or are valid now."""

    pue: Factor
    location: Factor
    market: Factor | None


@dataclass(frozen=True, slots=True)
class SiteFactors:
    """The factors of a site by month, and its grid zone if it has one."""

    zone: str | None
    months: Mapping[datetime, MonthFactors]


async def read(
    session: Session, settings: Settings, site: str | None, months: Sequence[datetime]
) -> SiteFactors:
    """The factors of a site, by the rules of the bill: entered ones, settings, catalog.

    Args:
        session: Database session, only read.
        settings: Used where neither site nor lab has a factor.
        site: Name of the site; None for nodes without one.
        months: Beginnings of the months.

    Raises:
        NotInCatalog: If the site's zone is no longer in the catalog.
    """
    state = await sites.state(session, site or DEFAULT_SITE)
    site_id = state.id if state else None
    book = FactorBook(await factor_rows.known_to(session, site_id, None), site_id)
    zone = zone_of(state, settings)
    last = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    at = {month: min(after(month, "month") - HOUR, last) for month in months}
    return SiteFactors(
        zone, {month: _of(book, state, zone, settings, hour) for month, hour in at.items()}
    )


def zone_of(state: SiteState | None, settings: Settings) -> str | None:
    """The grid zone of a site, or of the settings."""
    if state is not None and state.grid_zone is not None:
        return state.grid_zone
    return None if settings.grid_g_per_kwh is not None else settings.grid_zone


def _of(
    book: FactorBook, state: SiteState | None, zone: str | None, settings: Settings, at: datetime
) -> MonthFactors:
    pue = book.find("pue", at) or defaults.pue(settings)
    market = book.find("carbon_market", at)
    entered = book.row("carbon_location", at, ANY if zone is None else (*ANY, zone))
    if entered is not None:
        location = with_origin(entered)
    elif state is not None and state.grid_zone is not None:
        location = defaults.carbon_of_zone(state.grid_zone, at.year)
    else:
        location = defaults.carbon(settings, at.year)
    return MonthFactors(pue.factor, location.factor, None if market is None else market.factor)
