"""SQL of API tokens."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from models import Token


async def find_active(session: AsyncSession, secret_sha256: str) -> Token | None:
    """The token with this secret, unless it was revoked."""
    query = select(Token).where(
        Token.secret_sha256 == secret_sha256,
        Token.revoked_at.is_(None),
    )
    return (await session.execute(query)).scalar_one_or_none()


async def mark_used(session: AsyncSession, token_id: uuid.UUID, at: datetime) -> None:
    await session.execute(update(Token).where(Token.id == token_id).values(last_used_at=at))


async def add(session: AsyncSession, token: Token) -> None:
    session.add(token)
    await session.flush()


async def all_tokens(session: AsyncSession) -> Sequence[Token]:
    query = select(Token).order_by(Token.created_at, Token.id)
    return (await session.execute(query)).scalars().all()


async def get(session: AsyncSession, token_id: uuid.UUID) -> Token | None:
    return await session.get(Token, token_id)


async def lock_active_admins(session: AsyncSession) -> Sequence[uuid.UUID]:
    """Ids of the admin tokens in force, locked, so that two cannot both revoke the last."""
    query = (
        select(Token.id)
        .where(Token.role == "admin", Token.revoked_at.is_(None))
        .order_by(Token.id)
        .with_for_update()
    )
    return (await session.execute(query)).scalars().all()


async def any_active_admin(session: AsyncSession) -> bool:
    query = select(Token.id).where(Token.role == "admin", Token.revoked_at.is_(None)).limit(1)
    return (await session.execute(query)).first() is not None
