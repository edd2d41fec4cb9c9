"""SQL of price tags: versions are added, never changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from models import PriceTag


async def last_version(session: AsyncSession, run_id: UUID) -> int:
    """Latest version of the run's price tag; 0 if it has none."""
    query = select(func.coalesce(func.max(PriceTag.version), 0)).where(PriceTag.run_id == run_id)
    return (await session.execute(query)).scalar_one()


async def add(session: AsyncSession, tag: PriceTag) -> None:
    session.add(tag)
    await session.flush()


async def get(session: AsyncSession, run_id: UUID, version: int | None = None) -> PriceTag | None:
    """One version, by default the latest."""
    query = select(PriceTag).where(PriceTag.run_id == run_id)
    if version is not None:
        query = query.where(PriceTag.version == version)
    newest = query.order_by(PriceTag.version.desc()).limit(1)
    return (await session.execute(newest)).scalar_one_or_none()


async def versions(session: AsyncSession, run_id: UUID) -> Sequence[Row[Any]]:
    """Identity and totals of each version of a run's price tag, newest first."""
    query = (
        select(
            PriceTag.version,
            PriceTag.accounting_version,
            PriceTag.cause,
            PriceTag.as_of,
            PriceTag.created_at,
            PriceTag.content_sha256,
            PriceTag.content["it_energy_kwh"].label("it_energy_kwh"),
            PriceTag.content["facility_energy_kwh"].label("facility_energy_kwh"),
            PriceTag.content["co2e_kg"].label("co2e_kg"),
            PriceTag.content["cost"]["total"].label("cost"),
        )
        .where(PriceTag.run_id == run_id)
        .order_by(PriceTag.version.desc())
    )
    return (await session.execute(query)).all()


async def later_causes(session: AsyncSession, run_id: UUID, version: int) -> dict[int, str]:
    """Causes of the versions after ``version``, by number."""
    query = (
        select(PriceTag.version, PriceTag.cause)
        .where(PriceTag.run_id == run_id, PriceTag.version > version)
        .order_by(PriceTag.version)
    )
    return {number: cause for number, cause in (await session.execute(query)).all()}
