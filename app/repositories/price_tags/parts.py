"""SQL of price tags of which only parts are looked at."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Text,
    Uuid,
    any_,
    cast,
    literal,
    literal_column,
    select,
    true,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.price_tags.price_tags import STORED, decoded_one
from models import PriceTag, Project, Run

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


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A run as insights name it, with its newest price tag; None without one."""

    id: uuid.UUID
    project: str
    name: str
    status: str
    kind: str
    tags: Sequence[str]
    newest: StoredVersion | None


_WRITTEN: ColumnElement[str] = literal_column(
    "price_tags.ctid::text || ' ' || price_tags.xmin::text"
)


async def newest_of(
    session: AsyncSession, run_ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, ListedRun]:
    """Runs by their ids, without those that are not there."""
    newest = (
        select(PriceTag.id, cast(_WRITTEN, Text).label("written"), PriceTag.version, PriceTag.cause)
        .where(PriceTag.run_id == Run.id)
        .order_by(PriceTag.version.desc())
        .limit(1)
        .lateral("newest")
    )
    query = (
        select(
            Run.id,
            Project.name.label("project"),
            Run.name,
            Run.status,
            Run.kind,
            Run.tags,
            newest.c.id.label("tag_id"),
            newest.c.written,
            newest.c.version,
            newest.c.cause,
        )
        .join(Project, Project.id == Run.project_id)
        .outerjoin(newest, true())
        .where(Run.id == any_(literal(list(run_ids), ARRAY(Uuid))))
    )
    runs = {}
    for row in await session.execute(query):
        newest_tag = None
        if row.tag_id is not None:
            about = (row.tag_id, row.written, row.id, row.version, row.cause)
            newest_tag = StoredVersion(*about)
        runs[row.id] = ListedRun(
            row.id, row.project, row.name, row.status, row.kind, row.tags, newest_tag
        )
    return runs


async def versions_of(
    session: AsyncSession, versions: Mapping[uuid.UUID, int]
) -> dict[uuid.UUID, StoredVersion]:
    """These versions of price tags by run; without those that are not there."""
    query = select(
        PriceTag.id,
        cast(_WRITTEN, Text).label("written"),
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
    ids = literal(list(by_id), ARRAY(Uuid))
    query = select(PriceTag.id, STORED).where(PriceTag.id == any_(ids))
    rows = (await session.execute(query)).all()
    return await asyncio.to_thread(
        lambda: {row.id: read(by_id[row.id], decoded_one(row.stored)) for row in rows}
    )
