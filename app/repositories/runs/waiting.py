"""SQL of the waiting and the running runs, by pool, in the order in which workers take them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, text, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from models import Attempt, Run
from models.run import finished_or_never

# The entry decides the order: a run that was queued again is behind runs queued before that.
_WAITING = text("""
    WITH entry AS MATERIALIZED (
      SELECT DISTINCT ON (run_id) run_id, id, priority, scheduled_at, is_taken
      FROM (
        SELECT CAST(args ->> 'run_id' AS uuid) AS run_id, id, priority, scheduled_at,
          status = 'doing' AS is_taken
        FROM procrastinate_jobs WHERE status IN ('todo', 'doing')
      ) AS entry
      ORDER BY run_id, id
    ), ranked AS MATERIALIZED (
      SELECT run.id, run.pool, entry.scheduled_at, coalesce(entry.is_taken, false) AS is_taken,
        row_number() OVER (
          PARTITION BY run.pool
          ORDER BY coalesce(entry.priority, run.priority) DESC, entry.id NULLS LAST, run.id
        ) AS position,
        count(*) OVER (PARTITION BY run.pool) AS waiting
      FROM runs AS run LEFT JOIN entry ON entry.run_id = run.id
      WHERE run.status = 'queued' AND (CAST(:pool AS text) IS NULL OR run.pool = :pool)
    )
    SELECT ranked.position, ranked.waiting, ranked.scheduled_at, ranked.is_taken, run.id,
      run.pool, run.name, run.kind, run.gpus, run.priority, run.created_at, run.not_before,
      run.project_id, run.experiment_id, run.created_by AS user_id, project.name AS project,
      experiment.name AS experiment, author.name AS "user",
      CAST(quote.content AS jsonb) -> 'quantities' AS quantities
    FROM ranked
    JOIN runs AS run ON run.id = ranked.id
    JOIN projects AS project ON project.id = run.project_id
    JOIN experiments AS experiment ON experiment.id = run.experiment_id
    LEFT JOIN users AS author ON author.id = run.created_by
    LEFT JOIN quotes AS quote ON quote.run_id = run.id
    WHERE ranked.position <= :most
    ORDER BY ranked.pool, ranked.position
""")


async def waiting(session: AsyncSession, pool: str | None, most: int) -> Sequence[Any]:
    """The first queued runs of each pool, in the order in which workers take them.

    Args:
        session: Database session.
        pool: Only this pool; None for all.
        most: Maximum number of runs of one pool.

    Returns:
        Rows of the run with its names and quoted quantities, its ``position`` in the pool from 1,
        and ``waiting``, the number of queued runs in the pool.
    """
    return (await session.execute(_WAITING, {"pool": pool, "most": most})).all()


async def running(session: AsyncSession, pool: str | None) -> Sequence[tuple[Run, Attempt]]:
    """The running runs with their open attempts, oldest first."""
    # Open attempts are few, which the planner does not know: each looks its run up.
    of_attempt = select(Run).where(Run.id == Attempt.run_id).offset(0).lateral("run")
    run = aliased(Run, of_attempt)
    query = (
        select(run, Attempt)
        .select_from(Attempt)
        .join(run, true())
        .where(Attempt.ended_at.is_(None))
        .order_by(Attempt.started_at, Attempt.id)
        .execution_options(populate_existing=True)
    )
    if pool is not None:
        query = query.where(run.pool == pool)
    return [(row[0], row[1]) for row in (await session.execute(query)).all()]


async def finished_since(session: AsyncSession, since: datetime) -> dict[str, int]:
    """Number of runs that ended since a time, by pool."""
    ended_at = finished_or_never(Run.finished_at)
    query = (
        select(Run.pool, func.count())
        .where(ended_at >= since, Run.finished_at.is_not(None))
        .group_by(Run.pool)
    )
    return {pool: count for pool, count in (await session.execute(query)).all()}


async def open_counts(session: AsyncSession) -> Sequence[tuple[str, str, int]]:
    """The number of queued and of running runs of each pool that has any: pool, status, count."""
    query = (
        select(Run.pool, Run.status, func.count())
        .where(Run.status.in_(("queued", "running")))
        .group_by(Run.pool, Run.status)
        .order_by(Run.pool)
    )
    return [(row[0], row[1], row[2]) for row in (await session.execute(query)).all()]
