"""SQL with which workers register themselves."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from models import Node


async def place_of(session: AsyncSession, name: str) -> str | None:
    """Machine and data folder of the node's last registration; None if unknown."""
    return await session.scalar(select(Node.place).where(Node.name == name))


async def upsert(
    session: AsyncSession,
    *,
    name: str,
    pool: str,
    devices: list[Any],
    capabilities: dict[str, Any],
    place: str | None,
) -> None:
    described = {
        "pool": pool,
        "devices": devices,
        "capabilities": capabilities,
        "place": place,
    }
    statement = insert(Node).values(name=name, last_seen_at=func.now(), **described)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[Node.name], set_={**described, "last_seen_at": func.now()}
        )
    )


async def touch(session: AsyncSession, name: str) -> None:
    await session.execute(update(Node).where(Node.name == name).values(last_seen_at=func.now()))
