"""SQL of headlines: what lists show of price tags, read without their documents."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import LargeBinary, select, tuple_, type_coerce, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.price_tags.price_tags import STORED
from models import PriceTag
from models.documents.codec import DamagedDocumentError, decode, encode
from pricetag.tag.headline import headline_of

STORED_HEADLINE = type_coerce(PriceTag.headline, LargeBinary).label("stored_headline")
"""The headline of a price tag as it is stored; null for one that has none yet."""

Key = tuple[uuid.UUID, int]
"""A run, and the version of its price tag."""


async def headlines(
    session: AsyncSession, stored: dict[Key, bytes | None]
) -> dict[Key, dict[str, Any]]:
    """The headlines of price tags; those that have none yet are read from their documents.

    Args:
        session: Only read.
        stored: The headlines as they are stored.
    """
    missing = [key for key, headline in stored.items() if headline is None]
    made = {key: decode(headline) for key, headline in stored.items() if headline is not None}
    if missing:
        query = select(PriceTag.run_id, PriceTag.version, STORED)
        place = tuple_(PriceTag.run_id, PriceTag.version)
        rows = (await session.execute(query.where(place.in_(missing)))).all()
        read = await asyncio.to_thread(lambda: [_headline(row.stored) for row in rows])
        made |= {(row.run_id, row.version): one for row, one in zip(rows, read, strict=True)}
    return made


async def fill(session: AsyncSession, limit: int) -> int:
    """Gives the newest price tags without a headline theirs.

    Args:
        session: Committed by the caller.
        limit: Maximum number of price tags.

    Returns:
        Their number; 0 if all have one, or somebody else fills them.
    """
    query = (
        select(PriceTag.id, STORED)
        .where(PriceTag.headline.is_(None))
        .order_by(PriceTag.created_at.desc())
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = (await session.execute(query)).all()
    made = await asyncio.to_thread(lambda: [encode(_headline(row.stored)) for row in rows])
    if rows:
        table: Any = PriceTag.__table__
        await _write(session, table, [row.id for row in rows], made)
    return len(rows)


async def _write(
    session: AsyncSession, table: Any, ids: Sequence[uuid.UUID], headlines: Sequence[bytes]
) -> None:
    for tag_id, headline in zip(ids, headlines, strict=True):
        value = type_coerce(headline, LargeBinary)
        await session.execute(update(table).where(table.c.id == tag_id).values(headline=value))


def _headline(stored: bytes) -> dict[str, Any]:
    try:
        content = decode(stored)
    except DamagedDocumentError:
        content = {}
    return headline_of(content)
