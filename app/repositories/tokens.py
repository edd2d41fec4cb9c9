"""SQL of API tokens."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from models import Project, Token, User


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token with its user, and the project it is limited to."""

    token: Token
    user: User
    project: str | None


def _in_force() -> ColumnElement[bool]:
    return and_(
        Token.revoked_at.is_(None),
        or_(Token.expires_at.is_(None), Token.expires_at > func.clock_timestamp()),
        User.disabled_at.is_(None),
    )


def _active() -> Select[Token, User]:
    return select(Token, User).join(User, User.id == Token.user_id).where(_in_force())


async def find_active(session: AsyncSession, secret_sha256: str) -> tuple[Token, User] | None:
    """The token with this secret and its user, if both are active."""
    query = _active().where(Token.secret_sha256 == secret_sha256)
    return _pair((await session.execute(query)).one_or_none())


async def get_active(session: AsyncSession, token_id: uuid.UUID) -> tuple[Token, User] | None:
    """The token with this id and its user, freshly read, if both are active."""
    query = _active().where(Token.id == token_id).execution_options(populate_existing=True)
    return _pair((await session.execute(query)).one_or_none())


def _pair(row: Any) -> tuple[Token, User] | None:
    return None if row is None else (row[0], row[1])


async def mark_used(session: AsyncSession, token_id: uuid.UUID, at: datetime) -> None:
    await session.execute(update(Token).where(Token.id == token_id).values(last_used_at=at))


async def add(session: AsyncSession, token: Token) -> None:
    session.add(token)
    await session.flush()


def _rows() -> Select[Token, User, str]:
    return (
        select(Token, User, Project.name)
        .join(User, User.id == Token.user_id)
        .outerjoin(Project, Project.id == Token.project_id)
    )


def _row(row: Any) -> TokenRow:
    return TokenRow(token=row[0], user=row[1], project=row[2])


async def all_tokens(session: AsyncSession, user_id: uuid.UUID | None = None) -> Sequence[TokenRow]:
    """All tokens, or those of a user, oldest first."""
    query = _rows().order_by(Token.created_at, Token.id)
    if user_id is not None:
        query = query.where(Token.user_id == user_id)
    return [_row(row) for row in (await session.execute(query)).all()]


async def get(session: AsyncSession, token_id: uuid.UUID) -> TokenRow | None:
    row = (await session.execute(_rows().where(Token.id == token_id))).one_or_none()
    return None if row is None else _row(row)


async def administering(session: AsyncSession) -> Sequence[Row[uuid.UUID, uuid.UUID]]:
    """``(token id, user id)`` of each active token with unlimited rights."""
    query = (
        select(Token.id, Token.user_id)
        .join(User, User.id == Token.user_id)
        .where(
            _in_force(),
            User.role == "admin",
            or_(Token.role.is_(None), Token.role == "admin"),
            Token.project_id.is_(None),
        )
    )
    return (await session.execute(query)).all()
