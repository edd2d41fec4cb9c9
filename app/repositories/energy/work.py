"""SQL of the use of one project's or user's ended attempts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.energy.account import Owner
from app.repositories.energy.ended import COLUMNS, KEY, SUMS
from app.repositories.energy.ended import ended as ended_lines
from app.repositories.energy.failed import WEAKEST_IT
from app.repositories.people.visibility import SEES_PROJECT_SQL, Viewer, sql_values
from models import Budget
from pricetag.accounting.budgets.periods import Span

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
    """The use of the attempts that ended in a range, by final status and currency.

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


_OF_METRIC = {
    "facility_energy_kwh": ("energy_source", "facility_energy_kwh"),
    "co2e_kg": ("co2e_source", "co2e_kg"),
    "cost": ("cost_source", "cost"),
}
_SPENT = """
    WITH lines ({columns}) AS ({ended}), owned AS (
      SELECT project_id, user_id, {source} AS source, sum({amount}) AS amount
      FROM lines WHERE {unit} GROUP BY 1, 2, 3
    ), named AS (
      SELECT {seen} AS seen, {name} AS name, source, amount
      FROM owned AS o
      LEFT JOIN projects AS p ON p.id = o.project_id
      LEFT JOIN users AS u ON u.id = o.user_id
    )
    SELECT seen, CASE WHEN seen THEN name END AS name, source, sum(amount) AS amount
    FROM named GROUP BY 1, 2, 3 HAVING sum(amount) <> 0 ORDER BY 1, 2, 3
"""


async def spent_by_owner(
    session: AsyncSession, budget: Budget, span: Span, viewer: Viewer
) -> Sequence[Any]:
    """Amount spent by each user (of a project), else of each project.

    Args:
        session: Database session.
        budget: A budget of the lab, a project or a user, which sets the unit.
        span: The period.
        viewer: Who asks; projects that they may not see are one without a name.

    Returns:
        Rows ``(is_visible, name, source, amount)``, each with its kind of evidence.
    """
    column = None if budget.scope == "lab" else _OWNERS[cast(Owner, budget.scope)]
    lines = ended_lines(span.start, span.end, column)
    source, amount = _OF_METRIC[budget.metric]
    of_users = budget.scope == "project"
    statement = _SPENT.format(
        columns=", ".join(COLUMNS),
        ended=lines.sql,
        source=source,
        amount=amount,
        unit="true" if budget.currency is None else "currency = :currency",
        seen="true" if of_users else f"({SEES_PROJECT_SQL})",
        name="u.name" if of_users else "p.name",
    )
    values: dict[str, Any] = dict(lines.values)
    if column is not None:
        values["owner"] = budget.scope_id
    if budget.currency is not None:
        values["currency"] = budget.currency
    if not of_users:
        values |= sql_values(viewer)
    return (await session.execute(text(statement), values)).all()


# Over all time, since there are few series. Energy that is not rolled up yet is in pending hours.
_CHARGED = f"""
    SELECT p.name FROM projects AS p
    WHERE {SEES_PROJECT_SQL} AND p.id IN (
      SELECT s.project_id FROM energy_series AS s
      WHERE s.scope = 'lab-charge' AND (CAST(:user_name AS text) IS NULL
        OR s.user_id = (SELECT id FROM users WHERE name = :user_name))
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
