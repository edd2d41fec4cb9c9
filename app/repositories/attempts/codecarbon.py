"""SQL of CodeCarbon's clients and of the records that they send."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Text, Uuid, and_, bindparam, delete, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from models import CodecarbonRecord, CodecarbonRun, Experiment, Project

_STORE = text(
    "INSERT INTO codecarbon_records (run_id, kind, received_at, sha256, body)"
    " SELECT id, :kind, clock_timestamp(), :sha256, CAST(:body AS jsonb) FROM codecarbon_runs"
    " WHERE id = :run_id AND kind = :of_kind AND (user_id = :user_id OR :is_admin)"
    " AND (token_id = :token_id OR NOT :is_limited)"
    " ON CONFLICT (run_id, sha256) DO NOTHING RETURNING id"
).bindparams(
    bindparam("run_id", type_=Uuid),
    bindparam("user_id", type_=Uuid),
    bindparam("token_id", type_=Uuid),
    bindparam("kind", type_=Text),
)


async def store(session: AsyncSession, **values: Any) -> bool:
    """Stores a record of a client; False if it has been stored, or there is no such client.

    Args:
        session: Committed by the caller.
        **values: ``run_id``, ``kind``, ``of_kind`` (of the client), ``sha256``, ``body`` (JSON),
            and of the sender ``user_id``, ``is_admin``, ``token_id``, ``is_limited``.
    """
    return (await session.execute(_STORE, values)).first() is not None


async def add(session: AsyncSession, client: CodecarbonRun) -> None:
    """Adds a client unless there is one with its ID."""
    names = ("id", "kind", "user_id", "token_id", "project", "experiment", "about")
    values = {name: getattr(client, name) for name in names}
    await session.execute(insert(CodecarbonRun).values(**values).on_conflict_do_nothing())


async def get(session: AsyncSession, run_id: UUID) -> CodecarbonRun | None:
    """A client."""
    query = select(CodecarbonRun).where(CodecarbonRun.id == run_id)
    return (await session.execute(query)).scalar_one_or_none()


async def lock(session: AsyncSession, run_id: UUID) -> CodecarbonRun | None:
    """A client, unless another process works on it."""
    query = select(CodecarbonRun).where(CodecarbonRun.id == run_id)
    fresh = query.with_for_update(skip_locked=True).execution_options(populate_existing=True)
    return (await session.execute(fresh)).scalar_one_or_none()


async def due(session: AsyncSession, limit: int) -> Sequence[UUID]:
    """Clients with records that are not applied, or that have not ended."""
    waiting = (
        select(CodecarbonRecord.run_id)
        .join(CodecarbonRun, CodecarbonRun.id == CodecarbonRecord.run_id)
        .where(CodecarbonRecord.applied_at.is_(None), CodecarbonRun.problem.is_(None))
    )
    still_open = select(CodecarbonRun.id).where(
        CodecarbonRun.ended_at.is_(None),
        CodecarbonRun.began_at.is_not(None),
        CodecarbonRun.problem.is_(None),
    )
    query = waiting.union(still_open).limit(limit)
    return (await session.execute(query)).scalars().all()


async def unapplied(session: AsyncSession, run_id: UUID, limit: int) -> Sequence[CodecarbonRecord]:
    """Records of a client that are not applied, as they were received."""
    query = (
        select(CodecarbonRecord)
        .where(CodecarbonRecord.run_id == run_id, CodecarbonRecord.applied_at.is_(None))
        .order_by(CodecarbonRecord.received_at, CodecarbonRecord.id)
        .limit(limit)
    )
    return (await session.execute(query)).scalars().all()


async def note_applied(session: AsyncSession, ids: Collection[int], at: datetime) -> None:
    """Notes that records are applied."""
    statement = update(CodecarbonRecord).where(CodecarbonRecord.id.in_(ids)).values(applied_at=at)
    await session.execute(statement.execution_options(synchronize_session=False))


async def last_received(session: AsyncSession, run_id: UUID) -> datetime | None:
    """When the last record of a client was received."""
    query = select(func.max(CodecarbonRecord.received_at)).where(CodecarbonRecord.run_id == run_id)
    return (await session.execute(query)).scalar_one()


async def senders_of(
    session: AsyncSession, user_id: UUID, since: datetime
) -> Sequence[tuple[CodecarbonRun, datetime, datetime]]:
    """A user's clients that send differences, with the times of their first and last record.

    Args:
        session: Only read.
        user_id: The user.
        since: Time after which the last record must have been received.
    """
    first, last = (which(CodecarbonRecord.received_at) for which in (func.min, func.max))
    query = (
        select(CodecarbonRun, first, last)
        .join(CodecarbonRecord, CodecarbonRecord.run_id == CodecarbonRun.id)
        .where(CodecarbonRun.user_id == user_id, CodecarbonRun.kind == "delta")
        .group_by(CodecarbonRun.id)
        .having(last >= since)
    )
    return [(row[0], row[1], row[2]) for row in (await session.execute(query)).all()]


async def names_of(session: AsyncSession, some_id: UUID) -> tuple[str, str | None] | None:
    """Project and experiment by the ID of an experiment or of a project."""
    query = (
        select(Project.name, Experiment.id, Experiment.name)
        .outerjoin(Experiment, and_(Experiment.project_id == Project.id, Experiment.id == some_id))
        .where(or_(Project.id == some_id, Experiment.id == some_id))
    )
    row = (await session.execute(query)).first()
    return None if row is None else (row[0], row[2])


async def fruitless(session: AsyncSession) -> tuple[int, str | None]:
    """Number of clients whose records cannot be applied, and the problem of the newest."""
    newest = (
        select(CodecarbonRun.problem)
        .where(CodecarbonRun.problem.is_not(None))
        .order_by(CodecarbonRun.created_at.desc(), CodecarbonRun.id)
        .limit(1)
        .scalar_subquery()
    )
    count = select(func.count(CodecarbonRun.id)).where(CodecarbonRun.problem.is_not(None))
    row = (await session.execute(select(count.scalar_subquery(), newest))).one()
    return row[0], row[1]


async def forget_without_run(session: AsyncSession, before: datetime) -> int:
    """Deletes clients without a run from which nothing came since a time, and their records."""
    is_heard = (
        select(CodecarbonRecord.id)
        .where(CodecarbonRecord.run_id == CodecarbonRun.id, CodecarbonRecord.received_at >= before)
        .exists()
    )
    statement = (
        delete(CodecarbonRun)
        .where(CodecarbonRun.began_at.is_(None), CodecarbonRun.created_at < before, ~is_heard)
        .returning(CodecarbonRun.id)
    )
    return len((await session.execute(statement)).all())
