"""SQL of price tags of which only parts are looked at."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Text, cast, literal_column, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.price_tags.price_tags import STORED, decoded_one
from models import PriceTag

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """A version of a run's price tag as it is in the database, without its document.

    Attributes:
        tag_id: Its id.
        written: Differs whenever the row has been written again.
        run_id: The run.
        version: Number of the version.
        cause: Why it was issued.
    """

    tag_id: uuid.UUID
    written: str
    run_id: uuid.UUID
    version: int
    cause: str


async def versions_of(
    session: AsyncSession, versions: Mapping[uuid.UUID, int]
) -> dict[uuid.UUID, StoredVersion]:
    """These versions of price tags by run; without those that are not there."""
    place: ColumnElement[str] = literal_column(
        "price_tags.ctid::text || ' ' || price_tags.xmin::text"
    )
    query = select(
        PriceTag.id,
        cast(place, Text).label("written"),
        PriceTag.run_id,
        PriceTag.version,
        PriceTag.cause,
    ).where(tuple_(PriceTag.run_id, PriceTag.version).in_(list(versions.items())))
    rows = (await session.execute(query)).all()
    return {row.run_id: StoredVersion(*row) for row in rows}


async def read_each(
    session: AsyncSession,
    tags: Sequence[StoredVersion],
    read: Callable[[StoredVersion, dict[str, Any]], Made],
) -> dict[uuid.UUID, Made]:
    """What is made of the documents of price tags, by their ids; made in a thread."""
    by_id = {tag.tag_id: tag for tag in tags}
    query = select(PriceTag.id, STORED).where(PriceTag.id.in_(list(by_id)))
    rows = (await session.execute(query)).all()
    return await asyncio.to_thread(
        lambda: {row.id: read(by_id[row.id], decoded_one(row.stored)) for row in rows}
    )
