"""SQL of API tokens."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, bindparam, func, or_, select, update
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


def _active() -> Select[*tuple[Any, ...]]:
    return (
        select(
            Token.id.label("token_id"),
            Token.role.label("token_role"),
            Token.project_id,
            Token.expires_at,
            Token.last_used_at,
            User.id.label("user_id"),
            User.name.label("user_name"),
            User.role.label("user_role"),
        )
        .join(User, User.id == Token.user_id)
        .where(_in_force())
    )


_BY_SECRET = _active().where(Token.secret_sha256 == bindparam("sha256"))
"""Built once: every request executes it."""


async def find_active(session: AsyncSession, secret_sha256: str) -> Any | None:
    """The token with this secret and its user, if both are active.

    A row of token_id, token_role, project_id, expires_at, last_used_at, user_id, user_name,
    user_role.
    """
    return (await session.execute(_BY_SECRET, {"sha256": secret_sha256})).one_or_none()


async def active(session: AsyncSession, token_ids: Collection[uuid.UUID]) -> Sequence[Any]:
    """Those of some tokens that are active, as :func:`find_active` returns one."""
    return (await session.execute(_active().where(Token.id.in_(token_ids)))).all()


async def mark_used(
    session: AsyncSession, token_id: uuid.UUID, at: datetime, *, unless_since: datetime
) -> None:
    """Records that a token was used, unless that was recorded after a given time."""
    unnoted = or_(Token.last_used_at.is_(None), Token.last_used_at <= unless_since)
    statement = update(Token).where(Token.id == token_id, unnoted).values(last_used_at=at)
    await session.execute(statement.execution_options(synchronize_session=False))


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
