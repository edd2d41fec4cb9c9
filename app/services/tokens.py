"""Tokens: made by admins, told once, revoked; the secret is never stored."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from datetime import UTC, datetime, timedelta

from app.db import Session
from app.repositories import tokens
from app.schemas.common import Role
from app.schemas.tokens import TokenCreate, TokenCreated, TokenList, TokenRead
from app.services import audit
from app.services.errors import ConflictError, NotFoundError, UnauthenticatedError
from app.services.principals import Principal
from models import Token

PREFIX = "pt_"
SECRET_BYTES = 32
USED_RESOLUTION = timedelta(minutes=1)


class LastAdminError(ConflictError):
    """Nobody could make tokens any more."""

    code = "last-admin"


class TokenNotFoundError(NotFoundError):
    """There is no such token."""

    code = "token-not-found"


def secret_sha256(secret: str) -> str:
    """What is stored of a secret. It has 256 random bits, so no slow hash is needed."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


async def authenticate(session: Session, secret: str | None) -> Principal:
    """Whoever holds this secret.

    Raises:
        UnauthenticatedError: If it is missing, unknown or revoked.
    """
    if not secret:
        raise UnauthenticatedError("Send a token: 'Authorization: Bearer pt_...'.")
    found = await tokens.find_active(session, secret_sha256(secret))
    if found is None:
        raise UnauthenticatedError("This token is not known or was revoked.")
    now = datetime.now(UTC)
    if found.last_used_at is None or now - found.last_used_at > USED_RESOLUTION:
        await tokens.mark_used(session, found.id, now)
    return Principal(token_id=found.id, name=found.name, role=_role(found.role))


def _role(name: str) -> Role:
    for role in ("viewer", "member", "admin"):
        if role == name:
            return role
    raise ValueError(f"a token has the unknown role {name!r}")


async def create(
    session: Session, wanted: TokenCreate, by: Principal | None = None
) -> TokenCreated:
    """Makes a token; the answer alone holds its secret.

    Args:
        session: Committed by the caller.
        wanted: Its name and role.
        by: Who makes it; None on the server's own machine.
    """
    secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    token = Token(name=wanted.name, role=wanted.role, secret_sha256=secret_sha256(secret))
    await tokens.add(session, token)
    after = {"name": token.name, "role": token.role}
    await audit.record(
        session, by, action="created", object_kind="token", object_id=token.id, after=after
    )
    read = TokenRead.model_validate(token)
    return TokenCreated(**read.model_dump(), secret=secret)


async def list_all(session: Session) -> TokenList:
    """Every token, revoked ones too."""
    return TokenList(items=[TokenRead.model_validate(t) for t in await tokens.all_tokens(session)])


async def revoke(session: Session, token_id: uuid.UUID, by: Principal | None = None) -> TokenRead:
    """Ends a token at once; revoking it again changes nothing.

    Args:
        session: Committed by the caller.
        token_id: Which.
        by: Who revokes it; None on the server's own machine.

    Raises:
        TokenNotFoundError: If there is none of this id.
        LastAdminError: If no admin token would be left.
    """
    admins = await tokens.lock_active_admins(session)
    token = await tokens.get(session, token_id)
    if token is None:
        raise TokenNotFoundError(f"There is no token {token_id}.", field="token_id")
    if list(admins) == [token.id]:
        raise LastAdminError("This is the last admin token; create another before revoking it.")
    if token.revoked_at is None:
        token.revoked_at = datetime.now(UTC)
        state = {"name": token.name, "role": token.role}
        await audit.record(
            session,
            by,
            action="revoked",
            object_kind="token",
            object_id=token.id,
            before={**state, "revoked_at": None},
            after={**state, "revoked_at": token.revoked_at},
        )
    return TokenRead.model_validate(token)


async def create_first_admin(session: Session) -> TokenCreated | None:
    """An admin token for a server that has none; None where there is one already."""
    if await tokens.any_active_admin(session):
        return None
    return await create(session, TokenCreate(name="first admin", role="admin"))
