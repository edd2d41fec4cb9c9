"""SQL that reads the event stream of runs, and the notifications that wake its readers."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime

import psycopg
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import libpq_url
from app.repositories.executions import CHANNEL
from models import Run, RunEvent


async def after(
    session: AsyncSession, run_id: uuid.UUID, last_id: int, limit: int
) -> Sequence[RunEvent]:
    """Events of a run after an id, in order."""
    query = (
        select(RunEvent)
        .where(RunEvent.run_id == run_id, RunEvent.id > last_id)
        .order_by(RunEvent.id)
        .limit(limit)
    )
    return (await session.execute(query)).scalars().all()


async def forget_passing(session: AsyncSession, finished_before: datetime) -> int:
    """Deletes progress and power events of runs that ended before; returns their number.

    Readings and metrics still have the measured values; status and stage events stay.
    """
    over = select(Run.id).where(Run.finished_at < finished_before)
    deleted = await session.execute(
        delete(RunEvent)
        .where(RunEvent.kind.in_(("progress", "power")), RunEvent.run_id.in_(over))
        .returning(RunEvent.id)
    )
    return len(deleted.all())


async def notifications(url: str) -> AsyncGenerator[str | None]:
    """Payloads of the channel, on a connection of its own; yields None once it listens.

    Raises:
        psycopg.OperationalError: When the database goes away.
    """
    connection = await psycopg.AsyncConnection.connect(
        libpq_url(url),
        autocommit=True,
        application_name="pricetag events",
        connect_timeout=5,
        keepalives_idle=30,
        keepalives_interval=10,
        keepalives_count=3,
    )
    async with connection:
        await connection.execute(f"LISTEN {CHANNEL}".encode())
        yield None
        async for notification in connection.notifies():
            yield notification.payload
