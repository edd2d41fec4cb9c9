"""SQL of price tags: versions are added, never changed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import LargeBinary, func, select, type_coerce
from sqlalchemy.ext.asyncio import AsyncSession

from models import PriceTag
from models.documents.codec import DamagedDocumentError, decode

STORED = type_coerce(PriceTag.content, LargeBinary).label("stored")
"""The content of a price tag as it is stored, for `decoded`."""

DAMAGED = "damaged"
"""The only member of the object that replaces a damaged document: the damage."""


async def last_version(session: AsyncSession, run_id: UUID) -> int:
    """Latest version of the run's price tag; 0 if it has none."""
    query = select(func.coalesce(func.max(PriceTag.version), 0)).where(PriceTag.run_id == run_id)
    return (await session.execute(query)).scalar_one()


async def newest_version(session: AsyncSession, run_id: UUID) -> tuple[int, str] | None:
    """Number of the newest version and version of its accounting; the document is not read."""
    query = select(PriceTag.version, PriceTag.accounting_version).where(PriceTag.run_id == run_id)
    row = (await session.execute(query.order_by(PriceTag.version.desc()).limit(1))).first()
    return None if row is None else (row.version, row.accounting_version)


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


async def versions(session: AsyncSession, run_id: UUID) -> list[dict[str, Any]]:
    """Identity and totals of each version of a run's price tag, newest first."""
    query = (
        select(
            PriceTag.version,
            PriceTag.accounting_version,
            PriceTag.cause,
            PriceTag.as_of,
            PriceTag.created_at,
            PriceTag.content_sha256,
            STORED,
        )
        .where(PriceTag.run_id == run_id)
        .order_by(PriceTag.version.desc())
    )
    rows = (await session.execute(query)).all()
    contents = await decoded([row.stored for row in rows])
    return [
        {**row._mapping, **total_quantities(content)}
        for row, content in zip(rows, contents, strict=True)
    ]


def total_quantities(content: Mapping[str, Any]) -> dict[str, Any]:
    """The totals of a price tag with their intervals; None where its version has no such figure."""
    names = ("it_energy_kwh", "facility_energy_kwh", "co2e_kg")
    return {name: content.get(name) for name in names} | {
        "cost": (content.get("cost") or {}).get("total")
    }


async def decoded(stored: Sequence[bytes]) -> list[dict[str, Any]]:
    """Stored documents, in order; decoded in a thread, since each takes milliseconds.

    A damaged document becomes an object with the member `DAMAGED` alone.
    """
    return await asyncio.to_thread(lambda: [decoded_one(document) for document in stored])


def decoded_one(stored: bytes) -> dict[str, Any]:
    """One stored document; for one that is damaged an object with the member `DAMAGED` alone."""
    try:
        return decode(stored)
    except DamagedDocumentError as error:
        return {DAMAGED: str(error)}


async def later_causes(session: AsyncSession, run_id: UUID, version: int) -> dict[int, str]:
    """Causes of the versions after ``version``, by number."""
    query = (
        select(PriceTag.version, PriceTag.cause)
        .where(PriceTag.run_id == run_id, PriceTag.version > version)
        .order_by(PriceTag.version)
    )
    return {number: cause for number, cause in (await session.execute(query)).all()}
