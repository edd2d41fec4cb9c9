"""SQL of browser sessions and of sign-ins under way."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, func, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from models import SignIn, Token, User, WebSession


def _in_force(idle: timedelta) -> ColumnElement[bool]:
    now = func.clock_timestamp()
    return and_(
        WebSession.revoked_at.is_(None),
        WebSession.expires_at > now,
        WebSession.last_used_at > now - idle,
        User.disabled_at.is_(None),
        or_(
            WebSession.token_id.is_(None),
            and_(
                Token.revoked_at.is_(None), or_(Token.expires_at.is_(None), Token.expires_at > now)
            ),
        ),
    )


def _active(idle: timedelta) -> Select[*tuple[Any, ...]]:
    return (
        select(
            WebSession.id.label("session_id"),
            WebSession.token_id,
            WebSession.method,
            WebSession.last_used_at,
            Token.role.label("token_role"),
            Token.project_id,
            Token.expires_at,
            User.id.label("user_id"),
            User.name.label("user_name"),
            User.role.label("user_role"),
        )
        .join(User, User.id == WebSession.user_id)
        .outerjoin(Token, Token.id == WebSession.token_id)
        .where(_in_force(idle))
    )


async def find_active(session: AsyncSession, secret_sha256: str, *, idle: timedelta) -> Any | None:
    """The session with this secret, its user and its token, if all are active.

    A row of session_id, token_id, method, last_used_at, token_role, project_id, expires_at,
    user_id, user_name, user_role.
    """
    query = _active(idle).where(WebSession.secret_sha256 == secret_sha256)
    return (await session.execute(query)).one_or_none()


async def active(
    session: AsyncSession, session_ids: Collection[uuid.UUID], *, idle: timedelta
) -> Sequence[Any]:
    """Those of some sessions that are active, as :func:`find_active` returns one."""
    return (await session.execute(_active(idle).where(WebSession.id.in_(session_ids)))).all()


async def mark_used(
    session: AsyncSession, session_id: uuid.UUID, at: datetime, *, unless_since: datetime
) -> None:
    """Records that a session was used, unless that was recorded after a given time."""
    statement = (
        update(WebSession)
        .where(WebSession.id == session_id, WebSession.last_used_at <= unless_since)
        .values(last_used_at=at)
    )
    await session.execute(statement.execution_options(synchronize_session=False))


async def add(session: AsyncSession, row: WebSession | SignIn) -> None:
    session.add(row)
    await session.flush()


async def get(session: AsyncSession, session_id: uuid.UUID) -> tuple[WebSession, User] | None:
    query = (
        select(WebSession, User)
        .join(User, User.id == WebSession.user_id)
        .where(WebSession.id == session_id)
    )
    row = (await session.execute(query)).one_or_none()
    return None if row is None else (row[0], row[1])


async def of_user(
    session: AsyncSession, user_id: uuid.UUID, *, idle: timedelta
) -> Sequence[tuple[WebSession, User]]:
    """The sessions in force of a user, last used first."""
    query = (
        select(WebSession, User)
        .join(User, User.id == WebSession.user_id)
        .outerjoin(Token, Token.id == WebSession.token_id)
        .where(_in_force(idle), WebSession.user_id == user_id)
        .order_by(WebSession.last_used_at.desc(), WebSession.id)
    )
    return [(row[0], row[1]) for row in (await session.execute(query)).all()]


async def page(
    session: AsyncSession,
    user_id: uuid.UUID | None,
    *,
    idle: timedelta,
    before: tuple[datetime, uuid.UUID] | None,
    limit: int,
) -> Sequence[tuple[WebSession, User]]:
    """The sessions in force of a user, or of all users, newest first."""
    query = (
        select(WebSession, User)
        .join(User, User.id == WebSession.user_id)
        .outerjoin(Token, Token.id == WebSession.token_id)
        .where(_in_force(idle))
        .order_by(WebSession.created_at.desc(), WebSession.id.desc())
        .limit(limit)
    )
    if user_id is not None:
        query = query.where(WebSession.user_id == user_id)
    if before is not None:
        query = query.where(tuple_(WebSession.created_at, WebSession.id) < tuple_(*before))
    return [(row[0], row[1]) for row in (await session.execute(query)).all()]


async def pending(session: AsyncSession, secret_sha256: str) -> tuple[SignIn, User | None] | None:
    """The sign-in with this secret, if it is unused and has not expired."""
    query = (
        select(SignIn, User)
        .outerjoin(User, User.id == SignIn.user_id)
        .where(
            SignIn.secret_sha256 == secret_sha256,
            SignIn.used_at.is_(None),
            SignIn.expires_at > func.clock_timestamp(),
        )
    )
    row = (await session.execute(query)).one_or_none()
    return None if row is None else (row[0], row[1])


async def use(session: AsyncSession, secret_sha256: str) -> SignIn | None:
    """Uses up a sign-in; None if it was used before, has expired or does not exist."""
    statement = (
        update(SignIn)
        .where(
            SignIn.secret_sha256 == secret_sha256,
            SignIn.used_at.is_(None),
            SignIn.expires_at > func.clock_timestamp(),
        )
        .values(used_at=func.clock_timestamp())
        .returning(SignIn)
    )
    return (await session.execute(statement)).scalar_one_or_none()


async def forget_before(session: AsyncSession, before: datetime) -> None:
    """Deletes sessions and sign-ins that ended before a time."""
    await session.execute(delete(SignIn).where(SignIn.expires_at < before))
    await session.execute(delete(WebSession).where(WebSession.expires_at < before))
