"""SQL that reads the event stream of runs, and the notifications that wake its readers."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Any

import psycopg
from sqlalchemy import delete, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import libpq_url
from app.repositories.attempts.executions import CHANNEL
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


_AFTER_EACH = """
SELECT asked.n, event.id, event.run_id, event.at, event.kind, event.payload
FROM unnest(CAST(:run_ids AS uuid[]), CAST(:last_ids AS bigint[])) WITH ORDINALITY
    AS asked (run_id, last_id, n)
CROSS JOIN LATERAL (
    SELECT * FROM run_events
    WHERE run_id = asked.run_id AND id > asked.last_id ORDER BY id LIMIT :most
) AS event
ORDER BY asked.n, event.id
"""


async def after_each(
    session: AsyncSession, asked: Sequence[tuple[uuid.UUID, int]], limit: int
) -> list[tuple[tuple[uuid.UUID, int], Any]]:
    """Events of several runs, each past an id, in order, in one query.

    Returns:
        The requested ``(run id, last id)``, each with one of its events.
    """
    values = {
        "run_ids": [run_id for run_id, _ in asked],
        "last_ids": [last_id for _, last_id in asked],
        "most": limit,
    }
    rows = await session.execute(text(_AFTER_EACH), values)
    return [(asked[row.n - 1], row) for row in rows]


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


async def notifications(
    url: str, channel: str = CHANNEL, name: str = "pricetag events"
) -> AsyncGenerator[str | None]:
    """Payloads of a channel, on its own connection; yields None once it listens.

    Raises:
        psycopg.OperationalError: When the database goes away.
    """
    connection = await psycopg.AsyncConnection.connect(
        libpq_url(url),
        autocommit=True,
        application_name=name,
        connect_timeout=5,
        keepalives_idle=30,
        keepalives_interval=10,
        keepalives_count=3,
    )
    async with connection:
        await connection.execute(f"LISTEN {channel}".encode())
        yield None
        async for notification in connection.notifies():
            yield notification.payload
