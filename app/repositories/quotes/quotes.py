"""SQL of quotes: one per run, with its score."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from models import Attempt, Metric, Node, PriceTag, Quote


async def add(session: AsyncSession, quote: Quote) -> None:
    session.add(quote)
    await session.flush()


async def get(session: AsyncSession, run_id: UUID) -> Quote | None:
    query = select(Quote).where(Quote.run_id == run_id)
    return (await session.execute(query)).scalar_one_or_none()


async def of_runs(session: AsyncSession, run_ids: Collection[UUID]) -> Sequence[Quote]:
    query = select(Quote).where(Quote.run_id.in_(run_ids))
    return (await session.execute(query)).scalars().all()


async def set_score(
    session: AsyncSession, run_id: UUID, score: dict[str, Any], at: datetime
) -> None:
    await session.execute(
        update(Quote).where(Quote.run_id == run_id).values(score=score, scored_at=at)
    )


async def used_before(
    session: AsyncSession, run_ids: Collection[UUID]
) -> dict[UUID, tuple[float | None, float | None]]:
    """Duration (s) and IT energy (kWh) of the ended attempts of runs, from their price tags."""
    query = (
        select(PriceTag.run_id, PriceTag.duration_s, PriceTag.it_energy_kwh)
        .ext(distinct_on(PriceTag.run_id))
        .where(PriceTag.run_id.in_(run_ids))
        .order_by(PriceTag.run_id, PriceTag.version.desc())
    )
    rows = (await session.execute(query)).all()
    return {row.run_id: (row.duration_s, row.it_energy_kwh) for row in rows}


async def training_counts(session: AsyncSession, run_id: UUID) -> dict[str, dict[str, float]]:
    """Trained steps and epochs of each stage, from its last report: ``{key: {...}}``."""
    query = (
        select(Metric.stage_key, Metric.name, Metric.value)
        .join(Attempt, Attempt.id == Metric.attempt_id)
        .where(Attempt.run_id == run_id, Metric.name.in_(("steps", "epochs")))
        .order_by(Attempt.number, Metric.seq)
    )
    counts: dict[str, dict[str, float]] = {}
    for key, name, value in (await session.execute(query)).all():
        if key is not None and value is not None:
            counts.setdefault(key, {})[name] = value
    return counts


async def nodes_of_pool(session: AsyncSession, pool: str) -> Sequence[Node]:
    """The pool's nodes, most recently seen first."""
    query = select(Node).where(Node.pool == pool).order_by(Node.last_seen_at.desc()).limit(50)
    return (await session.execute(query)).scalars().all()
