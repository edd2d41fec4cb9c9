"""SQL of the energy account: settles every component's hour, then sums by group."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import exists, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.visibility import SEES_PROJECT_SQL, Viewer, sql_values
from models import EnergyHour, Node

By = Literal["node", "component", "hour"]

# The columns that identify a row; the others are null.
_KEYS: dict[By, str] = {
    "node": "node_name, NULL::text AS component, NULL::timestamptz AS hour",
    "component": "node_name, component, NULL::timestamptz AS hour",
    "hour": "NULL::text AS node_name, NULL::text AS component, hour",
}

_CHOSEN = """
    h.hour >= :start AND h.hour < :stop
      AND (CAST(:node AS text) IS NULL OR h.node_name = :node)
"""

# One slot is one component in one hour: the node's row and those of attempts, which are final
# once the attempt has ended. If the node's meter covered less of an hour than a run's meter, the
# hour counts as unmetered; next to a running run, the node's total may just be late. Hours that a
# running run has not reported yet cannot be divided, nor can the current hour while the node's
# late total has not caught up with a run that ended.
_SETTLED = f"""
    WITH reported AS (
      SELECT h.*, h.attempt_id IS NULL AS own, a.ended_at IS NOT NULL AS final,
        h.attempt_id IS NOT NULL AND a.ended_at IS NULL AS going
      FROM energy_hours AS h LEFT JOIN attempts AS a ON a.id = h.attempt_id
      WHERE {_CHOSEN}
    ), slots AS (
      SELECT
        node_name, component, hour, min(kind) AS kind,
        coalesce(min(name) FILTER (WHERE own), min(name)) AS name,
        CASE max(array_position(ARRAY['counter', 'integrated', 'modelled'], method::text))
          WHEN 1 THEN 'counter' WHEN 2 THEN 'integrated' ELSE 'modelled' END AS method,
        max(gain_std_ratio) AS gain_std_ratio,
        max(energy_j) FILTER (WHERE own) AS metered_j,
        max(covered_s) FILTER (WHERE own) AS metered_s,
        coalesce(sum(energy_j) FILTER (WHERE final), 0) AS charged_j,
        coalesce(sum(energy_j) FILTER (WHERE going), 0) AS running_j,
        coalesce(sum(energy_j) FILTER (WHERE NOT own), 0) AS claimed_j,
        max(covered_s) FILTER (WHERE NOT own) AS claimed_s,
        array_agg(attempt_id) FILTER (WHERE going) AS going
      FROM reported
      GROUP BY node_name, component, hour
    ), judged AS (
      SELECT slots.*,
        metered_j IS NULL OR (metered_j < claimed_j AND claimed_s
          > metered_s + CASE WHEN going IS NULL THEN :edge_s ELSE :late_s END) AS unmetered,
        EXISTS (
          SELECT FROM attempts AS a
          WHERE a.ended_at IS NULL AND a.node_name = slots.node_name
            AND slots.hour >= date_trunc('hour', a.started_at)
            AND (a.components = '[]'::jsonb
                 OR a.components @> jsonb_build_array(jsonb_build_object('id', slots.component)))
            AND (slots.going IS NULL OR a.id <> ALL(slots.going))
        ) AS silent
      FROM slots
    ), summed AS (
      SELECT judged.*,
        going IS NOT NULL OR silent AS open,
        unmetered AND extract(epoch FROM CAST(:now AS timestamptz) - hour)
          < coalesce(metered_s, 0) + :late_s AS awaited,
        CASE WHEN unmetered THEN claimed_j
             WHEN going IS NOT NULL THEN greatest(metered_j, claimed_j)
             ELSE metered_j END AS total_j
      FROM judged
    ), settled AS (
      SELECT summed.*,
        CASE WHEN unmetered OR silent THEN 0 ELSE total_j - claimed_j END AS unallocated_j,
        CASE WHEN silent AND NOT unmetered THEN total_j - claimed_j ELSE 0 END AS undecided_j,
        CASE WHEN unmetered THEN 0
             WHEN charged_j - metered_j > :edge_s * metered_j / nullif(metered_s, 0)
               OR (charged_j > metered_j AND metered_s = 0)
             THEN charged_j - metered_j ELSE 0 END AS overallocated_j
      FROM summed
    )
"""

_SUMS = """
    kind, name, method, gain_std_ratio,
    sum(total_j) AS total_j, sum(charged_j) AS charged_j, sum(running_j) AS running_j,
    sum(unallocated_j) AS unallocated_j, sum(undecided_j) AS undecided_j,
    sum(overallocated_j) AS overallocated_j, count(*) AS hours,
    count(*) FILTER (WHERE unmetered AND NOT awaited) AS unmetered_hours,
    count(*) FILTER (WHERE awaited) AS awaited_hours,
    count(*) FILTER (WHERE open AND NOT unmetered) AS open_hours,
    count(*) FILTER (WHERE silent AND NOT unmetered) AS undecided_hours
"""

_BY_PROJECT = f"""
    SELECT CASE WHEN {SEES_PROJECT_SQL} THEN p.name END AS project,
      h.kind, h.name, h.method, h.gain_std_ratio,
      coalesce(sum(h.energy_j) FILTER (WHERE a.ended_at IS NOT NULL), 0) AS charged_j,
      coalesce(sum(h.energy_j) FILTER (WHERE a.ended_at IS NULL), 0) AS running_j,
      count(*) AS hours, count(*) FILTER (WHERE a.ended_at IS NULL) AS open_hours
    FROM energy_hours AS h
    JOIN attempts AS a ON a.id = h.attempt_id
    JOIN runs AS r ON r.id = a.run_id
    JOIN projects AS p ON p.id = r.project_id
    WHERE {_CHOSEN}
    GROUP BY 1, h.kind, h.name, h.method, h.gain_std_ratio
    ORDER BY 1 NULLS LAST, h.kind, h.name
"""


async def sums(
    session: AsyncSession,
    by: By,
    *,
    start: datetime,
    stop: datetime,
    node: str | None,
    edge_s: float,
    late_s: float,
    now: datetime,
) -> Sequence[Any]:
    """The account in ``[start, stop)``, summed by product and by ``by``.

    Args:
        session: Database session.
        by: What the rows stand for.
        start: Beginning of the first hour.
        stop: End of the last hour.
        node: Only this node.
        edge_s: Maximum difference between two meters in one hour, s.
        late_s: Maximum delay of the node's meter after a run's, s.
        now: Current time.

    Returns:
        Rows of node_name, component, hour and the fields of an account's entry.
    """
    statement = text(
        f"{_SETTLED} SELECT {_KEYS[by]}, {_SUMS} FROM settled"
        " GROUP BY 1, 2, 3, kind, name, method, gain_std_ratio ORDER BY 1, 2, 3, kind, name"
    )
    values: dict[str, Any] = {"start": start, "stop": stop, "node": node}
    values |= {"edge_s": edge_s, "late_s": late_s, "now": now}
    return (await session.execute(statement, values)).all()


async def sums_by_project(
    session: AsyncSession, viewer: Viewer, *, start: datetime, stop: datetime, node: str | None
) -> Sequence[Any]:
    """Energy charged to the runs of each project, by product.

    Projects that the viewer may not see are summed in one row without a name, the last one.
    """
    values = {"start": start, "stop": stop, "node": node} | sql_values(viewer)
    return (await session.execute(text(_BY_PROJECT), values)).all()


async def knows_node(session: AsyncSession, name: str) -> bool:
    """Whether a node with this name ever registered or used energy."""
    query = select(
        or_(
            exists().where(Node.name == name),
            exists().where(EnergyHour.node_name == name),
        )
    )
    return bool((await session.execute(query)).scalar_one())
