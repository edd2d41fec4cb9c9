"""Attempts whose readings are packed: made, looked at, and checked."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select, update

from app.db import Database, Session
from app.services.attempts import block_checks
from models import Attempt, ReadingBlock
from tests.support.executions import BEGIN
from tests.support.packed import traced


async def ended(database: Database, seed: int, count: int) -> UUID:
    """An ended attempt whose readings are rows, as those of earlier versions are."""
    async with database.session_scope() as session:
        attempt_id = await traced(session, seed, count)
        await session.execute(
            update(Attempt).where(Attempt.id == attempt_id).values(ended_at=BEGIN)
        )
    return attempt_id


async def blocks(session: Session, attempt_id: UUID | None = None) -> Sequence[ReadingBlock]:
    query = select(ReadingBlock).order_by(ReadingBlock.component, ReadingBlock.first_seq)
    if attempt_id is not None:
        query = query.where(ReadingBlock.attempt_id == attempt_id)
    return (await session.execute(query)).scalars().all()


async def wrong(database: Database, limit: int = 100) -> list[str]:
    """What the check of all blocks finds."""
    lines: list[str] = []
    start: block_checks.Start | None = block_checks.START
    while start is not None:
        async with database.session_scope() as session:
            checked = await block_checks.check_some(session, start, limit)
        lines += checked.wrong
        start = checked.next
    return lines
