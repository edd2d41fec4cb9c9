"""SQL of the factors that sites enter: append-only."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import or_, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from models import Factor, Site


async def add(session: AsyncSession, factor: Factor) -> None:
    session.add(factor)
    await session.flush()


async def known_to(
    session: AsyncSession, site_id: uuid.UUID | None, as_of: datetime | None
) -> Sequence[Factor]:
    """The factors entered for a site and the lab until ``as_of``, newest first."""
    of_lab = Factor.site_id.is_(None)
    query = select(Factor)
    query = query.where(of_lab if site_id is None else or_(of_lab, Factor.site_id == site_id))
    if as_of is not None:
        query = query.where(Factor.created_at <= as_of)
    query = query.order_by(Factor.created_at.desc(), Factor.id.desc())
    return (await session.execute(query)).scalars().all()


async def page(
    session: AsyncSession,
    *,
    site_id: uuid.UUID | None,
    kind: str | None,
    before: tuple[datetime, uuid.UUID] | None,
    limit: int,
) -> Sequence[tuple[Factor, str | None]]:
    """Factors with the name of their site, newest first; without ``site_id``, of all sites."""
    query = select(Factor, Site.name).outerjoin(Site, Site.id == Factor.site_id)
    if site_id is not None:
        query = query.where(Factor.site_id == site_id)
    if kind is not None:
        query = query.where(Factor.kind == kind)
    if before is not None:
        query = query.where(tuple_(Factor.created_at, Factor.id) < tuple_(*before))
    query = query.order_by(Factor.created_at.desc(), Factor.id.desc()).limit(limit)
    return [(row[0], row[1]) for row in (await session.execute(query)).all()]


_VERSION = text(
    "SELECT concat_ws(' ', "
    + ", ".join(
        f"(SELECT count(*) || '/' || coalesce(bit_xor(hashtextextended({row}, 0)), 0)"
        f" FROM {table} AS t)"
        for table, row in (
            ("factors", "CAST(t.id AS text)"),
            ("prices", "CAST(t.id AS text)"),
            ("carbon_series", "CAST(t.id AS text)"),
            ("sites", "CAST(t AS text)"),
        )
    )
    + ")"
)


async def version(session: AsyncSession) -> str:
    """A text that changes whenever factors, prices, hourly series or sites are entered or changed.

    All but sites are append-only.
    """
    entered: str = (await session.execute(_VERSION)).scalar_one()
    return entered
