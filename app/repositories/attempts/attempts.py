"""SQL of attempts and their leases, which use the database's clock only."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Row, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.people.visibility import Viewer, sees_project
from models import Attempt, Project, RejectedRecord, Run
from pricetag.tag.measured import QUEUE


async def add(session: AsyncSession, attempt: Attempt) -> None:
    session.add(attempt)
    await session.flush()
    await session.execute(
        update(Attempt)
        .where(Attempt.id == attempt.id)
        .values(started_at=func.now(), lease_renewed_at=func.now())
        .execution_options(synchronize_session=False)
    )


async def add_started(session: AsyncSession, attempt: Attempt) -> None:
    """Adds an attempt that began at its own time, without a lease."""
    session.add(attempt)
    await session.flush()


async def lock_ids(session: AsyncSession, ids: Collection[UUID]) -> None:
    """Makes transactions that may create a run or attempt with one of these IDs take turns."""
    query = text("SELECT pg_advisory_xact_lock(hashtextextended(:id, 0))")
    for id_ in sorted(ids):
        await session.execute(query, {"id": f"intake {id_}"})


async def lock(session: AsyncSession, attempt_id: UUID) -> Attempt | None:
    """The attempt, locked against other writers and freshly read."""
    query = (
        select(Attempt)
        .where(Attempt.id == attempt_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return (await session.execute(query)).scalar_one_or_none()


async def lock_with_run(
    session: AsyncSession, viewer: Viewer, attempt_id: UUID
) -> Row[Attempt, Run, bool] | None:
    """The attempt and its run, both locked, and whether the viewer sees their project."""
    query = (
        select(Attempt, Run, sees_project(viewer).label("is_seen"))
        .join(Run, Run.id == Attempt.run_id)
        .join(Project, Project.id == Run.project_id)
        .where(Attempt.id == attempt_id)
        .with_for_update(of=[Attempt, Run], key_share=True)
        .execution_options(populate_existing=True)
    )
    return (await session.execute(query)).one_or_none()


async def lock_elsewhere(session: AsyncSession, run_id: UUID) -> Attempt | None:
    """The attempt of a run that no queue started, locked; None of a run of the queue.

    Of several, an open one comes first.
    """
    query = (
        select(Attempt)
        .join(Run, Run.id == Attempt.run_id)
        .where(Attempt.run_id == run_id, Run.origin != QUEUE)
        .order_by(Attempt.ended_at.is_not(None), Attempt.number)
        .with_for_update(of=Attempt)
        .execution_options(populate_existing=True)
    )
    return (await session.execute(query)).scalars().first()


async def of_run(session: AsyncSession, run_id: UUID) -> Sequence[Attempt]:
    query = select(Attempt).where(Attempt.run_id == run_id).order_by(Attempt.number)
    return (await session.execute(query)).scalars().all()


async def rejected_reasons(session: AsyncSession, run_id: UUID) -> Sequence[Row[UUID, str, int]]:
    """``(attempt id, reason, count)`` of the rejected records that are kept, in their order."""
    query = (
        select(RejectedRecord.attempt_id, RejectedRecord.reason, func.count())
        .join(Attempt, Attempt.id == RejectedRecord.attempt_id)
        .where(Attempt.run_id == run_id)
        .group_by(RejectedRecord.attempt_id, RejectedRecord.reason)
        .order_by(func.min(RejectedRecord.seq))
    )
    return (await session.execute(query)).all()


async def ingested(session: AsyncSession, attempt_ids: Collection[UUID]) -> dict[UUID, int]:
    """Number of the last applied journal record of each attempt."""
    query = select(Attempt.id, Attempt.ingested_seq).where(Attempt.id.in_(attempt_ids))
    return {row.id: row.ingested_seq for row in (await session.execute(query)).all()}


async def open_on_node(session: AsyncSession, node_name: str) -> Sequence[Attempt]:
    """The open attempts of a node's workers, oldest first."""
    query = (
        select(Attempt)
        .join(Run, Run.id == Attempt.run_id)
        .where(Attempt.node_name == node_name, Attempt.ended_at.is_(None), Run.origin == QUEUE)
        .order_by(Attempt.started_at)
    )
    return (await session.execute(query)).scalars().all()


async def open_leases(
    session: AsyncSession,
) -> Sequence[Row[UUID, datetime, float | None]]:
    """``(attempt id, lease_renewed_at, lease_s)`` of each open attempt of a worker."""
    query = (
        select(Attempt.id, Attempt.lease_renewed_at, Attempt.lease_s)
        .join(Run, Run.id == Attempt.run_id)
        .where(Attempt.ended_at.is_(None), Run.origin == QUEUE)
    )
    return (await session.execute(query)).all()


async def renew(session: AsyncSession, attempt_ids: Collection[UUID]) -> None:
    await session.execute(
        update(Attempt)
        .where(Attempt.id.in_(attempt_ids), Attempt.ended_at.is_(None))
        .values(lease_renewed_at=func.now())
        .execution_options(synchronize_session=False)
    )


async def lease_states(
    session: AsyncSession, attempt_ids: Collection[UUID]
) -> Sequence[Row[UUID, datetime | None, datetime | None]]:
    """``(attempt id, ended_at, cancel_requested_at)`` of each known attempt."""
    query = (
        select(Attempt.id, Attempt.ended_at, Run.cancel_requested_at)
        .join(Run, Run.id == Attempt.run_id)
        .where(Attempt.id.in_(attempt_ids))
    )
    return (await session.execute(query)).all()


async def try_lock_reaper(session: AsyncSession, key: int) -> bool:
    """Whether this transaction obtained the reaper's lock."""
    query = text("SELECT pg_try_advisory_xact_lock(:key)")
    return bool((await session.execute(query, {"key": key})).scalar_one())


async def database_epoch(session: AsyncSession) -> datetime:
    """Start time of the database server, which changes if the server was away."""
    started: datetime = (
        await session.execute(text("SELECT pg_postmaster_start_time()"))
    ).scalar_one()
    return started
