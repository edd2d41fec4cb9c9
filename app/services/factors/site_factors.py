"""The factors that apply to a site's energy now, with their origins."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from app.db import Session
from app.schemas.sites import FactorNow, SiteFactors, SiteRead
from app.services.factors import resolution as factors
from app.services.factors import sites
from app.services.factors.as_of import require_made, require_past
from app.services.factors.hours import hour_key
from app.services.factors.rows import SourcedFactor
from app.settings import Settings
from pricetag.accounting.bill.inputs import Factor, Factors, HourlyFactor

HOURLY = {"tariff": "tariff_hours", "carbon_location": "carbon_hours"}


async def show(
    session: Session, name: str, settings: Settings, as_of: datetime | None = None
) -> SiteFactors:
    """A site with the factors of the present hour, each with its origin.

    Args:
        session: Database session, only read.
        name: Name of the site.
        settings: Settings of this process; a worker's may differ.
        as_of: Use only factors entered by then.

    Raises:
        AsOfInTheFutureError: If that time is in the future.
        SiteNotFoundError: If the site does not exist.
        SiteMadeLaterError: If the site did not exist at that time.
    """
    present = datetime.now(UTC)
    require_past(as_of, present)
    site = await sites.require(session, name)
    require_made(site, as_of)
    now = present.replace(minute=0, second=0, microsecond=0)
    subjects = await factors.subjects_of(session, site.id, as_of)
    query = factors.FactorQuery(subjects["embodied"], subjects["calibration"], [now], now.year)
    sheet = await factors.sheet(session, name, settings, query, as_of)
    read = SiteRead.model_validate(site).model_dump()
    if sheet.state is not None:
        state = sheet.state
        read |= {
            "grid_zone": state.grid_zone,
            "time_zone": state.time_zone,
            "currency": state.currency,
        }
    return SiteFactors(
        **read,
        at=now,
        factors=[
            factor_now(kind, subject, source, sheet.factors, hour_key(now))
            for (kind, subject), source in sorted(sheet.sources.items())
        ],
        unknown=_unknown(sheet.factors, sheet.sources),
    )


def factor_now(
    kind: str, subject: str, source: SourcedFactor, in_force: Factors, hour: str
) -> FactorNow:
    """A factor with its origin, and its value of an hour if it changes by the hour."""
    factor = source.factor
    hours: HourlyFactor | None = getattr(in_force, HOURLY[kind]) if kind in HOURLY else None
    by_the_hour = hours is not None and hour in hours.by_hour
    if hours is not None and by_the_hour:
        factor = _of_hour(hours, hour)
    row = source.row
    return FactorNow(
        kind=kind,
        subject=subject,
        value=factor.value,
        unit=factor.unit,
        relative_std_ratio=factor.relative_std_ratio,
        multiplicative=factor.multiplicative,
        evidence=factor.source,
        source=factor.citation,
        source_url=factor.source_url,
        year=factor.year,
        basis=factor.basis,
        zone=factor.zone,
        licence=factor.licence,
        origin=source.origin,
        valid_from=row.valid_from if row else None,
        valid_to=row.valid_to if row else None,
        entered_at=row.created_at if row else None,
        by_the_hour=by_the_hour,
    )


def _of_hour(hours: HourlyFactor, hour: str) -> Factor:
    base = hours.factor
    return Factor(
        hours.by_hour[hour],
        base.unit,
        base.relative_std_ratio,
        base.source,
        base.citation,
        base.year,
        base.basis,
        base.zone,
        base.licence,
        base.source_url,
        base.multiplicative,
    )


def _unknown(in_force: Factors, sources: Mapping[tuple[str, str], SourcedFactor]) -> dict[str, str]:
    reasons = {
        "tariff": in_force.electricity_reason,
        "carbon_market": "no contract's carbon intensity was entered",
        "water_intensity": "the catalog has none for this zone, and none was entered",
    }
    return {kind: reason for kind, reason in reasons.items() if (kind, "") not in sources}
