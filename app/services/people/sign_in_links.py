"""Sign-ins under way: one-time links, and visits to the identity provider."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from app.db import Session
from app.repositories.people import users, web_sessions
from app.schemas.users import SignInLinkCreate, SignInLinkRead
from app.services.errors import NotFoundError
from app.services.people import audit
from app.services.people import web_sessions as browser_sessions
from app.services.people.tokens import secret_sha256
from app.services.people.users import UserDisabledError
from app.services.people.users import get as find_user
from app.services.principals import Principal
from models import SignIn, User

LIFETIME = timedelta(hours=1)
VISIT = timedelta(minutes=10)
CODE_BYTES = 24
PATH = "/login/link"
"""Path of the links, before their codes."""


class SignInLinkError(NotFoundError):
    """The link was used, has expired, or is not of this server."""

    code = "sign-in-link-invalid"


def _invalid() -> SignInLinkError:
    return SignInLinkError(
        "This sign-in link was used already, has expired, or is incomplete. Ask for a new one: on"
        " the server's machine, 'pricetag sign-in' prints one."
    )


async def create(session: Session, user: User, *, lifetime: timedelta = LIFETIME) -> str:
    """The code of a new link.

    Args:
        session: Committed by the caller.
        user: Who is signed in by the link.
        lifetime: Time after which the link no longer works.

    Raises:
        UserDisabledError: If the user is disabled.
    """
    _require_enabled(user)
    code, _ = await _create(session, user, lifetime)
    return code


def _require_enabled(user: User) -> None:
    if user.disabled_at is not None:
        raise UserDisabledError(
            f"The user '{user.name}' is disabled; enable them before creating a sign-in link.",
            field="user",
        )


async def _create(session: Session, user: User, lifetime: timedelta) -> tuple[str, SignIn]:
    code = secrets.token_urlsafe(CODE_BYTES)
    now = datetime.now(UTC)
    row = SignIn(
        id=uuid.uuid4(),
        secret_sha256=secret_sha256(code),
        user_id=user.id,
        created_at=now,
        expires_at=now + lifetime,
    )
    await web_sessions.add(session, row)
    return code, row


async def create_for(
    session: Session, user_id: uuid.UUID, request: SignInLinkCreate, by: Principal
) -> SignInLinkRead:
    """A new link of a user, to be passed on by an administrator.

    Args:
        session: Committed by the caller.
        user_id: ID of the user whom the link signs in.
        request: How long the link works.
        by: The caller.

    Raises:
        RoleRequiredError: If the caller is not an admin.
        UserNotFoundError: If there is no such user.
        UserDisabledError: If the user is disabled.
    """
    by.require("admin", "create sign-in links")
    user = await find_user(session, user_id)
    _require_enabled(user)
    code, row = await _create(session, user, timedelta(hours=request.lifetime_h))
    await audit.record(
        session,
        by,
        action="created",
        object_kind="sign_in_link",
        object_id=row.id,
        after={"user": user.name, "expires_at": row.expires_at},
    )
    return SignInLinkRead(
        user=user.name, code=code, path=f"{PATH}/{code}", expires_at=row.expires_at
    )


async def user_of(session: Session, code: str) -> User:
    """The user whom a link would sign in; the link stays usable.

    Raises:
        SignInLinkError: If the link does not work.
    """
    row = await web_sessions.pending(session, secret_sha256(code))
    if row is None or row[1] is None or row[1].disabled_at is not None:
        raise _invalid()
    return row[1]


async def redeem(session: Session, code: str, browser: str | None) -> browser_sessions.Begun:
    """Uses a link up, and begins a session of its user.

    Raises:
        SignInLinkError: If the link does not work.
    """
    row = await web_sessions.use(session, secret_sha256(code))
    user = None if row is None or row.user_id is None else await users.get(session, row.user_id)
    if user is None or user.disabled_at is not None:
        raise _invalid()
    return await browser_sessions.begin(session, user, "link", browser=browser)


async def for_an_admin(session: Session) -> str | None:
    """The code of a new link for the first administrator who is not disabled, if there is one."""
    admin = await users.first_admin(session)  # none: all are disabled
    return None if admin is None else await create(session, admin)


async def keep_visit(session: Session, details: Mapping[str, str]) -> str:
    """Keeps the details of a visit to the provider.

    Args:
        session: Committed by the caller.
        details: What has to be compared when the browser comes back.

    Returns:
        The secret under which the browser finds them.
    """
    secret = secrets.token_urlsafe(CODE_BYTES)
    now = datetime.now(UTC)
    row = SignIn(
        id=uuid.uuid4(),
        secret_sha256=secret_sha256(secret),
        details=dict(details),
        created_at=now,
        expires_at=now + VISIT,
    )
    await web_sessions.add(session, row)
    return secret


async def take_visit(session: Session, secret: str | None) -> Mapping[str, str] | None:
    """The details of a visit, once; None if there is none with this secret."""
    if secret is None:
        return None
    row = await web_sessions.use(session, secret_sha256(secret))
    return None if row is None else row.details
