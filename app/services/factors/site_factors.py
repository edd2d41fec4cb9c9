"""What a site's energy is multiplied with now, and who said so."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from app.db import Session
from app.schemas.sites import FactorNow, SiteFactors, SiteRead
from app.services.factors import resolution as factors
from app.services.factors import sites
from app.services.factors.as_of import require_made, require_past
from app.services.factors.hours import hour_key
from app.services.factors.rows import Found
from app.settings import Settings
from pricetag.accounting.bill.inputs import Factor, Factors, HourlyFactor

HOURLY = {"tariff": "tariff_hours", "carbon_location": "carbon_hours"}


async def show(
    session: Session, name: str, settings: Settings, as_of: datetime | None = None
) -> SiteFactors:
    """A site with the factors of this hour, each with who said so.

    Args:
        session: Read alone.
        name: Of the site.
        settings: Of this process; a worker's own may differ.
        as_of: As the book stood then.

    Raises:
        AsOfInTheFutureError: If that time has not come.
        SiteNotFoundError: If there is none of this name.
        SiteMadeLaterError: If there was none then.
    """
    told_at = datetime.now(UTC)
    require_past(as_of, told_at)
    site = await sites.require(session, name)
    require_made(site, as_of)
    now = told_at.replace(minute=0, second=0, microsecond=0)
    subjects = await factors.subjects_of(session, site.id, as_of)
    wanted = factors.Asked(subjects["embodied"], subjects["calibration"], [now], now.year)
    sheet = await factors.sheet(session, name, settings, wanted, as_of)
    read = SiteRead.model_validate(site).model_dump()
    if sheet.state is not None:
        stood = sheet.state
        read |= {
            "grid_zone": stood.grid_zone,
            "time_zone": stood.time_zone,
            "currency": stood.currency,
        }
    return SiteFactors(
        **read,
        at=now,
        factors=[
            _now(kind, subject, found, sheet.factors, hour_key(now))
            for (kind, subject), found in sorted(sheet.found.items())
        ],
        unknown=_unknown(sheet.factors, sheet.found),
    )


def _now(kind: str, subject: str, found: Found, held: Factors, hour: str) -> FactorNow:
    factor = found.factor
    hours: HourlyFactor | None = getattr(held, HOURLY[kind]) if kind in HOURLY else None
    by_the_hour = hours is not None and hour in hours.by_hour
    if hours is not None and by_the_hour:
        factor = _of_hour(hours, hour)
    row = found.row
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
        origin=found.origin,
        valid_from=row.valid_from if row else None,
        valid_to=row.valid_to if row else None,
        entered_at=row.created_at if row else None,
        by_the_hour=by_the_hour,
    )


def _of_hour(hours: HourlyFactor, hour: str) -> Factor:
    about = hours.factor
    return Factor(
        hours.by_hour[hour],
        about.unit,
        about.relative_std_ratio,
        about.source,
        about.citation,
        about.year,
        about.basis,
        about.zone,
        about.licence,
        about.source_url,
        about.multiplicative,
    )


def _unknown(held: Factors, found: Mapping[tuple[str, str], Found]) -> dict[str, str]:
    reasons = {
        "tariff": held.electricity_reason,
        "carbon_market": "no contract's figure was entered",
        "water_intensity": "the catalog has none for this zone, and none was entered",
    }
    return {kind: reason for kind, reason in reasons.items() if (kind, "") not in found}
