"""API tokens of users: each is shown once, may expire, and can be revoked at once."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from app.db import Session
from app.repositories.people import projects, tokens
from app.repositories.people import users as user_rows
from app.repositories.people.tokens import TokenRow
from app.schemas.common import Role
from app.schemas.tokens import TokenCreate, TokenCreated, TokenList, TokenRead
from app.schemas.users import UserCreate, UserTokenCreate
from app.services.errors import ForbiddenError, InvalidError, NotFoundError, UnauthenticatedError
from app.services.people import audit, users
from app.services.people.users import LastAdminError, UserDisabledError
from app.services.principals import RANK, Actor, Principal, lowest
from models import Token, User

__all__ = ["LastAdminError", "authenticate", "create", "create_for", "list_all", "revoke"]

PREFIX = "pt_"
SECRET_BYTES = 32
USED_RESOLUTION = timedelta(minutes=1)
FIRST_ADMIN = "first admin"


class TokenNotFoundError(NotFoundError):
    """The token does not exist."""

    code = "token-not-found"


class InvalidTokenError(InvalidError):
    """The user cannot have such a token."""

    code = "invalid-token"


class BeyondOwnTokenError(ForbiddenError):
    """The requested token would have more rights, or last longer, than the caller's own."""

    code = "beyond-own-token"


def secret_sha256(secret: str) -> str:
    """Hash of a secret, for storage; with 256 random bits, no slow hash is needed."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Authenticated:
    """Who holds a secret.

    Attributes:
        principal: The principal.
        is_use_due: Whether it is time to note that the token is in use.
    """

    principal: Principal
    is_use_due: bool


async def identify(session: Session, secret: str | None) -> Authenticated:
    """The principal that holds this secret, in one statement that writes nothing.

    Raises:
        UnauthenticatedError: If it is missing, unknown, revoked or expired, or its user is
            disabled.
    """
    if not secret:
        raise UnauthenticatedError("Send a token: 'Authorization: Bearer pt_...'.")
    row = await tokens.find_active(session, secret_sha256(secret))
    if row is None:
        raise UnauthenticatedError(
            "This token is unknown, revoked or expired, or its user is disabled."
        )
    used_at = row.last_used_at
    is_due = used_at is None or datetime.now(UTC) - used_at > USED_RESOLUTION
    return Authenticated(_principal(row), is_due)


async def note_use(session: Session, token_id: uuid.UUID) -> None:
    """Notes that a token is in use, once a minute.

    Args:
        session: Committed by the caller at once: other requests with the token wait for it.
        token_id: The token.
    """
    now = datetime.now(UTC)
    await tokens.mark_used(session, token_id, now, unless_since=now - USED_RESOLUTION)


async def authenticate(session: Session, secret: str | None) -> Principal:
    """The principal that holds this secret; notes that its token is in use.

    Raises:
        UnauthenticatedError: If it is missing, unknown, revoked or expired, or its user is
            disabled.
    """
    authenticated = await identify(session, secret)
    token_id = authenticated.principal.token_id
    if authenticated.is_use_due and token_id is not None:
        await note_use(session, token_id)
    return authenticated.principal


async def present(
    session: Session, principals: Collection[Principal]
) -> Mapping[uuid.UUID, Principal]:
    """The current state of principals whose token is still active, by token."""
    ids = {p.token_id for p in principals if p.token_id is not None and p.session_id is None}
    rows = await tokens.active(session, ids)
    return {row.token_id: _principal(row) for row in rows}


def _principal(row: Any) -> Principal:
    return Principal(
        user_id=row.user_id,
        token_id=row.token_id,
        name=row.user_name,
        role=lowest_role(row.user_role, row.token_role, row.project_id),
        project_id=row.project_id,
        expires_at=row.expires_at,
    )


def _role(token: Token, user: User) -> Role:
    return lowest_role(user.role, token.role, token.project_id)


def lowest_role(user: str, token: str | None, project_id: uuid.UUID | None) -> Role:
    """The role of a token or of a session: at most the user's."""
    # A token that is limited to a project cannot manage the lab.
    ceiling: Role | None = "member" if project_id is not None else None
    # The database allows no other roles.
    return lowest(cast(Role, user), cast(Role | None, token), ceiling)


async def create(session: Session, request: TokenCreate, by: Actor | None = None) -> TokenCreated:
    """Creates a token; only the response contains its secret.

    Args:
        session: Committed by the caller.
        request: The token. Without a user, it belongs to the user with the token's name, who is
            created with the token's role if needed.
        by: The author.

    Raises:
        RoleRequiredError: If the principal is not an administrator.
        UnknownUserError: If the user does not exist.
        UserDisabledError: If the user is disabled.
        InvalidTokenError: If the user cannot have such a token.
    """
    if isinstance(by, Principal):
        by.require("admin", "manage tokens")
    if request.user is not None:
        return await _make(session, await users.named(session, request.user), request, by)
    role = _required_role(request)
    user = await user_rows.by_name(session, request.name)
    if user is not None:
        return await _make(session, user, request, by)
    created = await users.create(session, UserCreate(name=request.name, role=role), by)
    user = await users.get(session, created.id)
    return await _make(session, user, request.model_copy(update={"role": None}), by)


def _required_role(request: TokenCreate) -> Role:
    if request.role is None:
        raise InvalidTokenError("role: is required without `user`.", field="role")
    return request.role


async def create_for(
    session: Session, user_id: uuid.UUID, request: UserTokenCreate, by: Principal
) -> TokenCreated:
    """Creates a token of a user, at the request of that user or of an administrator.

    The token cannot have more rights, or last longer, than the one used for the request.

    Raises:
        UserNotFoundError: If there is no such user.
        UserDisabledError: If the user is disabled.
        InvalidTokenError: If the user cannot have such a token.
        BeyondOwnTokenError: If it would exceed the token used for the request.
    """
    user = await users.get(session, user_id)
    if not by.has("admin"):
        request = await _within_own(session, request, by)
    return await _make(session, user, request, by)


async def _within_own(session: Session, request: UserTokenCreate, by: Principal) -> UserTokenCreate:
    role = lowest(by.role, request.role)
    if request.role is not None and role != request.role:
        raise BeyondOwnTokenError(
            f"Your own token has the role {by.role}: it cannot create one with the role "
            f"{request.role}.",
            field="role",
        )
    scope = await projects.name_of(session, by.project_id)
    if scope is not None and request.project not in (None, scope):
        raise BeyondOwnTokenError(
            f"Your own token is limited to the project '{scope}'.", field="project"
        )
    expires_at = request.expires_at or by.expires_at
    if by.expires_at is not None and expires_at is not None and expires_at > by.expires_at:
        raise BeyondOwnTokenError(
            f"Your own token expires at {by.expires_at.isoformat()}: it cannot create one that"
            " lasts longer.",
            field="expires_at",
        )
    update = {"role": role, "project": request.project or scope, "expires_at": expires_at}
    return request.model_copy(update=update)


async def _make(
    session: Session, user: User, request: UserTokenCreate, by: Actor | None
) -> TokenCreated:
    if user.disabled_at is not None:
        raise UserDisabledError(
            f"The user '{user.name}' is disabled; enable them before creating a token.",
            field="user",
        )
    if request.role is not None and RANK[request.role] > RANK[cast(Role, user.role)]:
        raise InvalidTokenError(
            f"role: '{user.name}' has the role {user.role}; a token cannot have the higher role"
            f" {request.role}. Change the user's role first.",
            field="role",
        )
    now = datetime.now(UTC)
    if request.expires_at is not None and request.expires_at <= now:
        raise InvalidTokenError("expires_at: must be in the future.", field="expires_at")
    secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    token = Token(
        user_id=user.id,
        name=request.name,
        role=request.role,
        project_id=await _scope(session, user, request.project),
        secret_sha256=secret_sha256(secret),
        expires_at=request.expires_at,
    )
    await user_rows.announce(session)
    await tokens.add(session, token)
    row = TokenRow(token, user, request.project)
    await audit.record(
        session,
        by,
        action="created",
        object_kind="token",
        object_id=token.id,
        after=_values(row),
    )
    return TokenCreated(**_read(row).model_dump(), secret=secret)


async def _scope(session: Session, user: User, project: str | None) -> uuid.UUID | None:
    if project is None:
        return None
    row = await projects.by_name(session, project)
    is_member = row is not None and await projects.role_in(session, row.id, user.id) is not None
    if row is None or (row.visibility == "private" and not is_member):
        raise InvalidTokenError(
            f"project: '{user.name}' is not a member of a project '{project}'.", field="project"
        )
    return row.id


def _values(row: TokenRow) -> dict[str, Any]:
    return {
        "name": row.token.name,
        "user": row.user.name,
        "role": _role(row.token, row.user),
        "project": row.project,
        "expires_at": row.token.expires_at,
    }


def _read(row: TokenRow) -> TokenRead:
    fields = ("id", "name", "user_id", "created_at", "expires_at", "last_used_at", "revoked_at")
    values = {name: getattr(row.token, name) for name in fields}
    shown = {"user": row.user.name, "role": _role(row.token, row.user), "project": row.project}
    return TokenRead.model_validate({**values, **shown, "in_force": _in_force(row)})


def _in_force(row: TokenRow) -> bool:
    expires_at = row.token.expires_at
    has_expired = expires_at is not None and expires_at <= datetime.now(UTC)
    return row.token.revoked_at is None and row.user.disabled_at is None and not has_expired


async def list_all(session: Session, user_id: uuid.UUID | None = None) -> TokenList:
    """All tokens, or those of a user, including revoked ones.

    Raises:
        UserNotFoundError: If there is no such user.
    """
    if user_id is not None:
        await users.get(session, user_id)
    return TokenList(items=[_read(row) for row in await tokens.all_tokens(session, user_id)])


async def read(session: Session, token_id: uuid.UUID) -> TokenRead:
    """A token without its secret.

    Raises:
        TokenNotFoundError: If the token does not exist.
    """
    row = await tokens.get(session, token_id)
    if row is None:
        raise TokenNotFoundError(f"Token {token_id} not found.", field="token_id")
    return _read(row)


async def revoke(
    session: Session,
    token_id: uuid.UUID,
    by: Actor | None = None,
    *,
    of_user: uuid.UUID | None = None,
) -> TokenRead:
    """Ends a token at once; revoking it again changes nothing.

    Args:
        session: Committed by the caller.
        token_id: The token.
        by: The author.
        of_user: Revoke the token only if it belongs to this user.

    Raises:
        TokenNotFoundError: If the token does not exist.
        LastAdminError: If it is the last active token of an administrator.
    """
    await user_rows.announce(session)
    await user_rows.lock_admins(session)
    row = await tokens.get(session, token_id)
    if row is None or of_user not in (None, row.token.user_id):
        raise TokenNotFoundError(f"Token {token_id} not found.", field="token_id")
    if [admin.id for admin in await tokens.administering(session)] == [row.token.id]:
        raise LastAdminError(
            "This is the last active admin token; create another before revoking it."
        )
    if row.token.revoked_at is None:
        before = {**_values(row), "revoked_at": None}
        row.token.revoked_at = datetime.now(UTC)
        await session.flush()
        await audit.record(
            session,
            by,
            action="revoked",
            object_kind="token",
            object_id=row.token.id,
            before=before,
            after={**before, "revoked_at": row.token.revoked_at},
        )
    return _read(row)


async def create_first_admin(session: Session) -> TokenCreated | None:
    """Creates an administrator's token, unless one exists; then returns None."""
    if await tokens.administering(session):
        return None
    user = await user_rows.by_name(session, FIRST_ADMIN)
    if user is None or user.role != "admin" or user.disabled_at is not None:
        name = await user_rows.free_name(session, FIRST_ADMIN)
        created = await users.create(session, UserCreate(name=name, role="admin"), None)
        user = await users.get(session, created.id)
    return await _make(session, user, UserTokenCreate(name=FIRST_ADMIN), None)
