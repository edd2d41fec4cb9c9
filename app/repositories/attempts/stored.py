"""SQL of where the contents of artifacts are: in a node's folder, in the store, or removed."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from models import Artifact, Attempt, Run
from pricetag.tag.measured import QUEUE


async def waiting(
    session: AsyncSession, node_name: str, after: uuid.UUID | None, limit: int
) -> Sequence[Any]:
    """Artifacts of ended attempts of a node that are not in the store, by their IDs."""
    query = (
        select(
            Artifact.id,
            Attempt.run_id,
            Attempt.number,
            Artifact.path,
            Artifact.sha256,
            Artifact.size_bytes,
        )
        .join(Attempt, Attempt.id == Artifact.attempt_id)
        .join(Run, Run.id == Attempt.run_id)
        .where(
            Artifact.stored_at.is_(None),
            Artifact.not_stored.is_(None),
            Artifact.removed_at.is_(None),
            Attempt.node_name == node_name,
            Attempt.ended_at.isnot(None),
            Run.origin == QUEUE,
        )
        .order_by(Artifact.id)
        .limit(limit)
    )
    if after is not None:
        query = query.where(Artifact.id > after)
    return (await session.execute(query)).all()


async def left_behind(session: AsyncSession, most: int) -> tuple[int, int, str | None]:
    """Artifacts that are in folders although there is a store.

    Args:
        session: Only read.
        most: Number up to which they are counted; one more stands for all further ones.

    Returns:
        Number of those that wait, of those that cannot be moved, and why one of these cannot.
    """
    in_folder = (Artifact.stored_at.is_(None), Artifact.removed_at.is_(None))
    waiting_ids = (
        select(Artifact.id)
        .join(Attempt, Attempt.id == Artifact.attempt_id)
        .join(Run, Run.id == Attempt.run_id)
        .where(
            *in_folder,
            Artifact.not_stored.is_(None),
            Attempt.ended_at.isnot(None),
            Run.origin == QUEUE,
        )
        .limit(most + 1)
        .subquery()
    )
    unfit = (
        select(Artifact.not_stored)
        .where(*in_folder, Artifact.not_stored.isnot(None))
        .limit(most + 1)
        .subquery()
    )
    query = select(
        select(func.count()).select_from(waiting_ids).scalar_subquery(),
        select(func.count()).select_from(unfit).scalar_subquery(),
        select(func.min(unfit.c.not_stored)).scalar_subquery(),
    )
    row = (await session.execute(query)).one()
    return row[0], row[1], row[2]


async def note_stored(session: AsyncSession, artifact_id: uuid.UUID, sha256: str) -> bool:
    """Notes that an artifact is in the store; False if it was registered again, or removed."""
    statement = (
        update(Artifact)
        .where(
            Artifact.id == artifact_id,
            Artifact.sha256 == sha256,
            Artifact.removed_at.is_(None),
        )
        .values(stored_at=datetime.now(UTC))
        .returning(Artifact.id)
    )
    return (await session.execute(statement)).first() is not None


async def note_not_stored(session: AsyncSession, artifact_id: uuid.UUID, reason: str) -> None:
    """Notes why an artifact cannot be moved to the store."""
    statement = update(Artifact).where(Artifact.id == artifact_id).values(not_stored=reason)
    await session.execute(statement)


async def stored_sizes(session: AsyncSession, hashes: Collection[str]) -> dict[str, int]:
    """Sizes of those contents that are in the store, by hash."""
    query = (
        select(Artifact.sha256, func.max(Artifact.size_bytes))
        .where(
            Artifact.sha256.in_(hashes),
            Artifact.stored_at.isnot(None),
            Artifact.removed_at.is_(None),
        )
        .group_by(Artifact.sha256)
    )
    return {sha256: size_bytes for sha256, size_bytes in (await session.execute(query)).all()}


async def wait_for_writers(session: AsyncSession, tables: Collection[str], limit_s: float) -> None:
    """Waits for transactions that write to some tables, and lets no new one begin until the commit.

    What a statement after this reads therefore stays true until the commit.
    """
    await session.execute(text(f"SET LOCAL lock_timeout = {int(1000 * limit_s)}"))
    await session.execute(
        text(f"LOCK TABLE {', '.join(sorted(tables))} IN SHARE ROW EXCLUSIVE MODE")
    )


async def referred_to(session: AsyncSession, hashes: Collection[str]) -> set[str]:
    """Those contents that an artifact has, wherever it is, and unless it was removed."""
    query = select(Artifact.sha256).where(
        Artifact.sha256.in_(hashes), Artifact.removed_at.is_(None)
    )
    return set((await session.execute(query.distinct())).scalars())


REFERRING = ("artifacts", "paper_runs", "papers", "run_upstreams", "runs", "shares", "study_runs")
"""Tables that decide which stored contents are needed."""

_REFERRED_TO = """
    EXISTS (SELECT 1 FROM paper_runs p WHERE p.run_id = r.id)
    OR EXISTS (SELECT 1 FROM papers p WHERE p.project_id = r.project_id
               AND p.frozen_at IS NULL AND p.rule IS NOT NULL)
    OR EXISTS (SELECT 1 FROM shares s WHERE s.run_id = r.id
               AND s.withdrawn_at IS NULL AND s.expires_at > now())
"""
"""Whether a run is in a paper, may be collected by one, or is shown by a link."""

_UNNEEDED = text(f"""
SELECT a.sha256, max(a.size_bytes) AS size_bytes, count(*) AS artifacts
FROM artifacts a
JOIN attempts t ON t.id = a.attempt_id
JOIN runs r ON r.id = t.run_id
WHERE a.removed_at IS NULL AND a.sha256 = ANY(:hashes)
GROUP BY a.sha256
HAVING bool_and(
    a.stored_at IS NOT NULL
    AND r.status IN ('succeeded', 'failed', 'cancelled')
    AND r.finished_at < :before
    AND NOT EXISTS (SELECT 1 FROM run_upstreams u WHERE u.upstream_run_id = r.id)
    AND NOT EXISTS (SELECT 1 FROM study_runs s JOIN studies d ON d.id = s.study_id
                    WHERE s.run_id = r.id AND d.status = 'running')
    AND NOT ({_REFERRED_TO})
)
ORDER BY a.sha256
""")


async def unneeded(
    session: AsyncSession, hashes: Collection[str], before: datetime
) -> Sequence[Any]:
    """Those contents whose artifacts are all of old runs that nothing refers to, with their size.

    A run is referred to by the papers that it is in or may be in (an open paper with a rule may
    collect any run of its project), by the price tags of runs that start from its models, by
    running studies, and by share links.
    """
    values = {"hashes": list(hashes), "before": before}
    return (await session.execute(_UNNEEDED, values)).all()


async def input_hashes(session: AsyncSession, hashes: Collection[str]) -> set[str]:
    """Those contents that price tags name among the data and model files that were read."""
    query = text("""
        SELECT DISTINCT input->>'sha256'
        FROM attempts, jsonb_array_elements(environment->'inputs') AS input
        WHERE jsonb_typeof(environment->'inputs') = 'array' AND input->>'sha256' = ANY(:hashes)
    """)
    return set((await session.execute(query, {"hashes": list(hashes)})).scalars())


async def stored_hashes(session: AsyncSession, after: str, limit: int) -> list[str]:
    """Hashes of the contents in the store that follow a hash, in order."""
    query = (
        select(Artifact.sha256)
        .where(
            Artifact.stored_at.isnot(None), Artifact.removed_at.is_(None), Artifact.sha256 > after
        )
        .distinct()
        .order_by(Artifact.sha256)
        .limit(limit)
    )
    return list((await session.execute(query)).scalars())


async def note_removed(session: AsyncSession, hashes: Collection[str]) -> None:
    """Notes that the artifacts with some contents have none any more."""
    statement = (
        update(Artifact)
        .where(Artifact.sha256.in_(hashes), Artifact.removed_at.is_(None))
        .values(removed_at=datetime.now(UTC))
    )
    await session.execute(statement)


_TRAINING_STATES = text(f"""
SELECT a.id, r.id AS run_id, t.number, a.path, a.sha256, a.size_bytes,
       a.stored_at IS NOT NULL AS is_stored
FROM studies d
JOIN study_runs s ON s.study_id = d.id
JOIN runs r ON r.id = s.run_id
JOIN attempts t ON t.run_id = r.id
JOIN artifacts a ON a.attempt_id = t.id
WHERE d.status <> 'running'
    AND r.status IN ('succeeded', 'failed', 'cancelled')
    AND t.ended_at IS NOT NULL
    AND a.removed_at IS NULL
    AND a.path ~ :pattern
    AND CASE WHEN a.stored_at IS NULL THEN t.node_name = :node_name ELSE :with_store END
    AND (CAST(:only AS uuid[]) IS NULL OR a.id = ANY(:only))
    AND NOT EXISTS (SELECT 1 FROM run_upstreams u JOIN runs n ON n.id = u.run_id
                    WHERE u.upstream_run_id = r.id
                    AND n.status NOT IN ('succeeded', 'failed', 'cancelled'))
    AND NOT ({_REFERRED_TO})
ORDER BY a.id
LIMIT :limit
""")


async def training_states(
    session: AsyncSession,
    pattern: str,
    node_name: str,
    limit: int,
    *,
    with_store: bool,
    only: Collection[uuid.UUID] | None = None,
) -> Sequence[Any]:
    """Files of states of trainings that no rung of a study will continue any more.

    Args:
        session: Database session, only read.
        pattern: Regular expression of their paths.
        node_name: The node in whose folder they are.
        limit: Maximum number.
        with_store: Whether to include those in the artifact store.
        only: Artifacts to look at; None for all.
    """
    values = {
        "pattern": pattern,
        "node_name": node_name,
        "limit": limit,
        "with_store": with_store,
        "only": None if only is None else list(only),
    }
    return (await session.execute(_TRAINING_STATES, values)).all()


async def note_artifacts_removed(session: AsyncSession, ids: Collection[uuid.UUID]) -> None:
    """Notes that some artifacts have no content any more."""
    statement = update(Artifact).where(Artifact.id.in_(ids)).values(removed_at=datetime.now(UTC))
    await session.execute(statement)
