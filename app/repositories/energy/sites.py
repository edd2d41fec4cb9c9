"""SQL of the energy of a site by hour, from the roll-ups alone."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

_BY_HOUR = text("""
    SELECT r.start,
      CAST(sum(r.charged_j + r.running_j + r.unallocated_j + r.undecided_j) AS float8) AS energy_j
    FROM energy_rollup_hours AS r
    WHERE r.start = ANY (ARRAY(
        SELECT generate_series(:start, CAST(:stop AS timestamptz) - interval '1 hour', '1 hour')))
      AND r.series_id = ANY (ARRAY(
        SELECT s.id FROM energy_series AS s
        WHERE s.scope = 'site' AND coalesce(s.site, :default) = :site))
    GROUP BY r.start ORDER BY r.start
""")


async def energy_by_hour_j(
    session: AsyncSession, site: str, start: datetime, stop: datetime, *, default: str
) -> dict[datetime, float]:
    """Metered energy of a site in each UTC hour that has any, as far as it is in the roll-ups.

    Args:
        session: Database session.
        site: Name of the site.
        start: Beginning of the first hour.
        stop: End of the last hour.
        default: Name of the site of rows without one.
    """
    values = {"site": site, "start": start, "stop": stop, "default": default}
    rows = (await session.execute(_BY_HOUR, values)).all()
    return {row.start: row.energy_j for row in rows}
