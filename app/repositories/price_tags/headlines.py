"""SQL of headlines: the figures of price tags in lists, read without their documents."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import DateTime, LargeBinary, func, literal, select, text, tuple_, type_coerce
from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.price_tags.price_tags import STORED
from models import PriceTag
from models.documents.codec import DamagedDocumentError, decode, encode
from pricetag.tag.headline import headline_of

STORED_HEADLINE = type_coerce(PriceTag.headline, LargeBinary).label("stored_headline")
"""The headline of a price tag as it is stored; null for one that has none yet."""

Key = tuple[uuid.UUID, int]
"""A run, and the version of its price tag."""


MOST_KEPT = 2_000
"""Headlines that are kept decoded, by their bytes: some 10 MB."""


@lru_cache(maxsize=MOST_KEPT)
def _decoded(headline: bytes) -> dict[str, Any]:
    return decode(headline)


async def headlines(
    session: AsyncSession, stored: dict[Key, bytes | None]
) -> dict[Key, dict[str, Any]]:
    """The headlines of price tags; those that have none yet are read from their documents.

    Args:
        session: Only read.
        stored: The headlines as they are stored.
    """
    missing = [key for key, headline in stored.items() if headline is None]
    by_key = {key: _decoded(headline) for key, headline in stored.items() if headline is not None}
    if missing:
        query = select(PriceTag.run_id, PriceTag.version, STORED)
        place = tuple_(PriceTag.run_id, PriceTag.version)
        rows = (await session.execute(query.where(place.in_(missing)))).all()
        read = await asyncio.to_thread(lambda: [_headline(row.stored) for row in rows])
        by_key |= {
            (row.run_id, row.version): headline_read
            for row, headline_read in zip(rows, read, strict=True)
        }
    return by_key


Place = tuple[datetime, uuid.UUID]
"""Time of issue and id of a price tag."""


Maker = Callable[[Sequence[bytes]], Awaitable[Sequence[bytes]]]
"""Makes the headlines of documents, both as they are stored."""


def stored_headlines(documents: Sequence[bytes]) -> list[bytes]:
    """The headlines of documents, both as they are stored: milliseconds for each."""
    return [encode(_headline(document)) for document in documents]


async def made_here(documents: Sequence[bytes]) -> Sequence[bytes]:
    """The same, in a thread of this process."""
    return await asyncio.to_thread(stored_headlines, documents)


async def left(session: AsyncSession) -> int:
    """Number of price tags without a headline."""
    query = select(func.count()).select_from(PriceTag).where(PriceTag.headline.is_(None))
    return (await session.execute(query)).scalar_one()


async def fill(
    session: AsyncSession, before: Place | None, limit: int, make: Maker = made_here
) -> Place | None:
    """Adds missing headlines of price tags, newest first.

    Args:
        session: Committed by the caller.
        before: Result of the previous step, so that no step reads the same price tags again.
        limit: Maximum number of price tags.
        make: Makes the headlines.

    Returns:
        Where the next step continues; None if no older one is left.
    """
    place = tuple_(PriceTag.created_at, PriceTag.id)
    query = (
        select(PriceTag.id, PriceTag.created_at, STORED)
        .where(PriceTag.headline.is_(None))
        .order_by(PriceTag.created_at.desc(), PriceTag.id.desc())
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    if before is not None:
        bounds = (literal(before[0], DateTime(timezone=True)), literal(before[1], PriceTag.id.type))
        # The first condition is implied by the second, and bounds the index.
        query = query.where(PriceTag.created_at <= bounds[0], place < tuple_(*bounds))
    rows = (await session.execute(query)).all()
    if not rows:
        return None
    new_headlines = await make([row.stored for row in rows])
    values = {"ids": [row.id for row in rows], "headlines": list(new_headlines)}
    await session.execute(_WRITE, values)
    return rows[-1].created_at, rows[-1].id


_WRITE = text(
    "UPDATE price_tags SET headline = made.headline"
    " FROM unnest(CAST(:ids AS uuid[]), CAST(:headlines AS bytea[])) AS made (id, headline)"
    " WHERE price_tags.id = made.id"
)


def _headline(stored: bytes) -> dict[str, Any]:
    try:
        content = decode(stored)
    except DamagedDocumentError:
        content = {}
    return headline_of(content)
