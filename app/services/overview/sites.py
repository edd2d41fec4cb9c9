"""The factors of every site in this hour: what a kWh emits and costs there."""

from __future__ import annotations

from datetime import UTC, datetime

from app.db import Session
from app.repositories.factors import sites as site_rows
from app.schemas.overview import SiteNow
from app.services.factors import resolution
from app.services.factors.hours import hour_key
from app.services.factors.site_factors import factor_now
from app.settings import Settings


async def now_of_all(session: Session, settings: Settings, now: datetime) -> list[SiteNow]:
    """All sites by name; without any, the lab's own factors under the default name."""
    names = [site.name for site in await site_rows.all_sites(session)]
    return [
        await now_of(session, name, settings, now) for name in names or [resolution.DEFAULT_SITE]
    ]


async def now_of(session: Session, name: str, settings: Settings, now: datetime) -> SiteNow:
    """The factors of one site; of a name without a site, those of the lab."""
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    query = resolution.FactorQuery([], [], [hour], hour.year)
    sheet = await resolution.sheet(session, name, settings, query)
    by_kind = {
        kind: factor_now(kind, subject, source, sheet.factors, hour_key(hour))
        for (kind, subject), source in sheet.sources.items()
        if not subject
    }
    carbon = by_kind["carbon_location"]
    tariff = by_kind.get("tariff")
    return SiteNow(
        site=name,
        zone=carbon.zone or (sheet.state.grid_zone if sheet.state else None),
        carbon=carbon,
        pue=by_kind["pue"],
        tariff=tariff,
        tariff_reason=None if tariff else sheet.factors.electricity_reason,
    )
