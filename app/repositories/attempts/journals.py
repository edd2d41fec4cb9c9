"""SQL of sent journals: how far each has arrived, and in which parts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from models import Attempt, JournalChunk, PriceTag, SentJournal


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


async def parts(session: AsyncSession, attempt_id: UUID) -> Sequence[JournalChunk]:
    """The parts in which a journal has arrived, in order."""
    query = select(JournalChunk).where(JournalChunk.attempt_id == attempt_id)
    return (await session.execute(query.order_by(JournalChunk.begin_byte))).scalars().all()


async def silent(session: AsyncSession, since: datetime, limit: int) -> Sequence[UUID]:
    """Open attempts of whose journal nothing has arrived since a time, longest silent first."""
    query = (
        select(SentJournal.attempt_id)
        .join(Attempt, Attempt.id == SentJournal.attempt_id)
        .where(Attempt.ended_at.is_(None), SentJournal.updated_at < since)
        .order_by(SentJournal.updated_at)
        .limit(limit)
    )
    return (await session.execute(query)).scalars().all()


async def add_chunk(session: AsyncSession, chunk: JournalChunk) -> None:
    """Adds a part, and writes what has changed of its journal."""
    session.add(chunk)
    await session.flush()


async def newest_tag(session: AsyncSession, run_id: UUID) -> tuple[int, float | None] | None:
    """Version and IT energy of the newest price tag of a run; None if it has none."""
    query = select(PriceTag.version, PriceTag.it_energy_kwh).where(PriceTag.run_id == run_id)
    row = (await session.execute(query.order_by(PriceTag.version.desc()).limit(1))).first()
    return None if row is None else (row.version, row.it_energy_kwh)
