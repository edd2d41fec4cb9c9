"""SQL of live workers and what each can take."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from models import WorkerProcess


async def put(
    session: AsyncSession,
    *,
    identity: str,
    node_name: str,
    pool: str,
    gpus: int,
    cpu_slots: int,
    allows_commands: bool,
) -> None:
    """Records that a worker is live, and the runs that it can take."""
    described = {
        "node_name": node_name,
        "pool": pool,
        "gpus": gpus,
        "cpu_slots": cpu_slots,
        "allows_commands": allows_commands,
        "last_seen_at": func.now(),
    }
    statement = insert(WorkerProcess).values(identity=identity, **described)
    await session.execute(
        statement.on_conflict_do_update(index_elements=[WorkerProcess.identity], set_=described)
    )


async def remove(session: AsyncSession, identity: str) -> None:
    """Notes that a worker takes no further run."""
    await session.execute(delete(WorkerProcess).where(WorkerProcess.identity == identity))


async def live(session: AsyncSession, silent_s: float) -> Sequence[WorkerProcess]:
    """The workers that reported within some seconds, by the database's clock; by pool."""
    since = func.now() - timedelta(seconds=silent_s)
    query = select(WorkerProcess).where(WorkerProcess.last_seen_at > since)
    return (await session.execute(query.order_by(WorkerProcess.pool))).scalars().all()


async def forget(session: AsyncSession, silent_s: float) -> None:
    """Deletes the workers that died without notice."""
    since = func.now() - timedelta(seconds=silent_s)
    await session.execute(delete(WorkerProcess).where(WorkerProcess.last_seen_at <= since))
