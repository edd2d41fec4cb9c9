"""SQL of sent journals: how far each has arrived, and in which parts."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from models import JournalChunk, PriceTag, SentJournal


async def get(session: AsyncSession, attempt_id: UUID) -> SentJournal | None:
    """The journal of an attempt, whose lock keeps it from changing."""
    query = select(SentJournal).where(SentJournal.attempt_id == attempt_id)
    fresh = query.execution_options(populate_existing=True)
    return (await session.execute(fresh)).scalar_one_or_none()


async def add(session: AsyncSession, journal: SentJournal) -> None:
    """Adds a journal of which nothing has arrived."""
    session.add(journal)
    await session.flush()


async def chunk_at(session: AsyncSession, attempt_id: UUID, begin_byte: int) -> JournalChunk | None:
    """The part that contains a byte."""
    query = (
        select(JournalChunk)
        .where(JournalChunk.attempt_id == attempt_id, JournalChunk.begin_byte <= begin_byte)
        .order_by(JournalChunk.begin_byte.desc())
        .limit(1)
    )
    return (await session.execute(query)).scalar_one_or_none()


async def add_chunk(session: AsyncSession, chunk: JournalChunk) -> None:
    """Adds a part, and writes what has changed of its journal."""
    session.add(chunk)
    await session.flush()


async def newest_version(session: AsyncSession, run_id: UUID) -> int | None:
    """Version of the newest price tag of a run; None if it has none."""
    query = select(func.max(PriceTag.version)).where(PriceTag.run_id == run_id)
    return (await session.execute(query)).scalar_one()
