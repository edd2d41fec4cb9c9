"""SQL of what the ended attempts of one project or user used."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.energy.account import Owner
from app.repositories.energy.ended import COLUMNS, KEY, SUMS
from app.repositories.energy.ended import ended as ended_lines
from app.repositories.energy.failed import WEAKEST_IT
from app.repositories.people.visibility import SEES_PROJECT_SQL, Viewer, sql_values

_OWNERS: dict[Owner, str] = {"project": "project_id", "user": "user_id"}

_ENDED = """
    WITH lines ({columns}) AS ({ended})
    SELECT s.status, s.currency, CAST(sum(attempts) AS bigint) AS attempts,
      CAST(sum(attempts - it_energies) AS bigint) AS unknown_it,
      CAST(sum(attempts - energies) AS bigint) AS unknown_facility,
      CAST(sum(attempts - co2es) AS bigint) AS unknown_co2e,
      CAST(sum(attempts - costs) AS bigint) AS unknown_cost,
      CAST(sum(it_energy_kwh) AS float8) AS it_energy_kwh,
      CAST(sum(facility_energy_kwh) AS float8) AS facility_energy_kwh,
      CAST(sum(co2e_kg) AS float8) AS co2e_kg,
      CAST(sum(s.cost) AS float8) AS cost,
      {weakest} AS weakest,
      array_agg(DISTINCT energy_source) AS energy_sources,
      array_agg(DISTINCT co2e_source) AS co2e_sources,
      array_agg(DISTINCT cost_source) AS cost_sources
    FROM (
      SELECT {key}, {sums} FROM lines GROUP BY {key} HAVING sum(attempts) > 0
    ) AS s
    JOIN projects AS p ON p.id = s.project_id
    WHERE {sees}
    GROUP BY 1, 2
"""


async def ended(
    session: AsyncSession,
    owner: Owner,
    owner_id: UUID,
    viewer: Viewer,
    start: datetime,
    stop: datetime,
) -> Sequence[Any]:
    """What the attempts used that ended in a range, by how they ended and by currency.

    Args:
        session: Database session.
        owner: Whether ``owner_id`` is a project or a user.
        owner_id: Its ID.
        viewer: Who asks; attempts of projects that they may not see are skipped.
        start: Beginning of the range.
        stop: Its end, exclusive.
    """
    lines = ended_lines(start, stop, _OWNERS[owner])
    statement = _ENDED.format(
        columns=", ".join(COLUMNS),
        ended=lines.sql,
        weakest=WEAKEST_IT,
        key=KEY,
        sums=SUMS,
        sees=SEES_PROJECT_SQL,
    )
    values = {"owner": owner_id, **lines.values, **sql_values(viewer)}
    return (await session.execute(text(statement), values)).all()


# Of all times: the series are few. What is not rolled up yet is in the hours that are pending.
_CHARGED = f"""
    SELECT p.name FROM projects AS p
    WHERE {SEES_PROJECT_SQL} AND p.id IN (
      SELECT s.project_id FROM energy_series AS s
      WHERE CAST(:user_name AS text) IS NULL
        OR s.user_id = (SELECT id FROM users WHERE name = :user_name)
      UNION
      SELECT r.project_id
      FROM (SELECT DISTINCT node_name, hour FROM energy_pending) AS c
      JOIN energy_hours AS h ON h.hour = c.hour AND h.node_name = c.node_name
      JOIN attempts AS a ON a.id = h.attempt_id
      JOIN runs AS r ON r.id = a.run_id
      WHERE CAST(:user_name AS text) IS NULL
        OR r.created_by = (SELECT id FROM users WHERE name = :user_name)
    )
"""


async def charged_projects(
    session: AsyncSession, viewer: Viewer, user: str | None
) -> Sequence[str]:
    """Names of the projects that the viewer sees whose runs were ever charged energy.

    Args:
        session: Database session.
        viewer: Who asks.
        user: Name of a user: only runs of theirs; None for everybody's.
    """
    values = {"user_name": user, **sql_values(viewer)}
    return (await session.execute(text(_CHARGED), values)).scalars().all()
