"""Sessions of browsers: each begins with a sign-in, expires, and can be ended at once."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from app.db import Session
from app.repositories.people import web_sessions
from app.schemas.sessions import SessionPage, SessionRead
from app.services import cursors
from app.services.errors import NotFoundError, UnauthenticatedError
from app.services.people import audit, tokens
from app.services.people.tokens import secret_sha256
from app.services.principals import Principal
from models import User, WebSession

IDLE = timedelta(hours=12)
"""Time without a request after which a session ends."""

LONGEST = timedelta(days=7)
"""Time after the sign-in at which a session ends in any case."""

KEPT = timedelta(days=30)
"""Time for which the row of an ended session or sign-in is kept."""

USED_RESOLUTION = timedelta(minutes=1)
SECRET_BYTES = 32
LONGEST_BROWSER = 200

Method = Literal["link", "token", "oidc", "proxy"]


class SessionNotFoundError(NotFoundError):
    """The session does not exist, has ended, or belongs to somebody else."""

    code = "session-not-found"


@dataclass(frozen=True, slots=True)
class Recognized:
    """The principal of this browser.

    Attributes:
        principal: The user, with the rights of the session.
        method: How the session began.
        is_use_due: Whether it is time to note that the session is in use.
    """

    principal: Principal
    method: str
    is_use_due: bool


@dataclass(frozen=True, slots=True)
class Begun:
    """A new session, with the secret for the browser's cookie."""

    id: uuid.UUID
    secret: str


async def begin(
    session: Session,
    user: User,
    method: Method,
    *,
    browser: str | None = None,
    token_id: uuid.UUID | None = None,
    now: datetime | None = None,
) -> Begun:
    """Begins a session with a new secret, whatever the browser had before.

    Args:
        session: Committed by the caller.
        user: The user, who must not be disabled.
        method: How they signed in.
        browser: The browser's name, for the list of sessions.
        token_id: Token that the session has the rights of, and ends with.
        now: Time of the sign-in; the current time by default.
    """
    began_at = now or datetime.now(UTC)
    secret = secrets.token_urlsafe(SECRET_BYTES)
    row = WebSession(
        id=uuid.uuid4(),
        user_id=user.id,
        token_id=token_id,
        method=method,
        secret_sha256=secret_sha256(secret),
        browser=browser[:LONGEST_BROWSER] if browser else None,
        created_at=began_at,
        last_used_at=began_at,
        expires_at=began_at + LONGEST,
    )
    await web_sessions.add(session, row)
    await audit.record(
        session,
        None,
        action="created",
        object_kind="session",
        object_id=row.id,
        after={"user": user.name, "method": method, "expires_at": row.expires_at},
    )
    return Begun(row.id, secret)


async def recognize(session: Session, secret: str) -> Recognized:
    """The principal whose browser has this secret, in one read-only statement.

    Raises:
        UnauthenticatedError: If the session has ended, its token is not in force, or its user is
            disabled.
    """
    row = await web_sessions.find_active(session, secret_sha256(secret), idle=IDLE)
    if row is None:
        raise UnauthenticatedError("This session has ended; sign in again.")
    is_due = datetime.now(UTC) - row.last_used_at > USED_RESOLUTION
    return Recognized(_principal(row), row.method, is_due)


async def note_use(session: Session, session_id: uuid.UUID) -> None:
    """Notes that a session is in use, once a minute.

    Args:
        session: Committed by the caller at once: other requests of the session wait for it.
        session_id: The session.
    """
    now = datetime.now(UTC)
    await web_sessions.mark_used(session, session_id, now, unless_since=now - USED_RESOLUTION)


async def present(
    session: Session, principals: Collection[Principal]
) -> Mapping[uuid.UUID, Principal]:
    """The current state of principals whose session has not ended, by session."""
    ids = {p.session_id for p in principals if p.session_id is not None}
    if not ids:
        return {}
    rows = await web_sessions.active(session, ids, idle=IDLE)
    return {row.session_id: _principal(row) for row in rows}


def _principal(row: Any) -> Principal:
    return Principal(
        user_id=row.user_id,
        token_id=row.token_id,
        session_id=row.session_id,
        name=row.user_name,
        role=tokens.lowest_role(row.user_role, row.token_role, row.project_id),
        project_id=row.project_id,
        expires_at=row.expires_at,
    )


async def end(session: Session, session_id: uuid.UUID, by: Principal) -> SessionRead:
    """Ends a session at once, at the request of its user or of an administrator.

    Ending it again changes nothing.

    Raises:
        SessionNotFoundError: If there is no such session of the user.
    """
    row = await web_sessions.get(session, session_id)
    if row is None or not (by.has("admin") or row[0].user_id == by.user_id):
        raise SessionNotFoundError(f"Session {session_id} not found.", field="session_id")
    web_session, user = row
    if web_session.revoked_at is None:
        web_session.revoked_at = datetime.now(UTC)
        await session.flush()
        about = {"user": user.name, "method": web_session.method}
        await audit.record(
            session,
            by,
            action="revoked",
            object_kind="session",
            object_id=web_session.id,
            before={**about, "revoked_at": None},
            after={**about, "revoked_at": web_session.revoked_at},
        )
    return _read(web_session, user, by)


async def forget_ended(session: Session) -> None:
    """Deletes sessions and sign-ins that ended long ago; the audit log keeps who signed in."""
    await web_sessions.forget_before(session, datetime.now(UTC) - KEPT)


async def list_own(session: Session, principal: Principal) -> Sequence[SessionRead]:
    """The sessions in force of the principal, last used first."""
    rows = await web_sessions.of_user(session, principal.user_id, idle=IDLE)
    return [_read(row, user, principal) for row, user in rows]


async def list_page(
    session: Session, principal: Principal, *, everyone: bool, cursor: str | None, limit: int
) -> SessionPage:
    """A page of the sessions in force, newest first.

    Args:
        session: Database session, only read.
        principal: The caller.
        everyone: Whether to list the sessions of all users, for administrators.
        cursor: End of the previous page.
        limit: Maximum number of sessions.

    Raises:
        RoleRequiredError: If the caller is not an administrator, and wants those of everyone.
        CursorError: If the cursor does not belong to this list.
    """
    if everyone:
        principal.require("admin", "see the sessions of everyone")
    name = "all sessions" if everyone else "sessions"
    before = cursors.position(cursor, name)
    user_id = None if everyone else principal.user_id
    rows = await web_sessions.page(session, user_id, idle=IDLE, before=before, limit=limit + 1)
    shown, following = cursors.page(rows, limit, lambda row: cursors.place(name, row[0]))
    items = [_read(row, user, principal) for row, user in shown]
    return SessionPage(items=items, next_cursor=following)


def _read(row: WebSession, user: User, principal: Principal) -> SessionRead:
    values = {name: getattr(row, name) for name in _SHOWN}
    is_current = row.id == principal.session_id
    return SessionRead.model_validate({**values, "user": user.name, "current": is_current})


_SHOWN = ("id", "user_id", "method", "browser", "created_at", "last_used_at", "expires_at")
