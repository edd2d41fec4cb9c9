"""Users: managed by administrators, disabled but never deleted, since runs refer to them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from app.db import Session
from app.repositories.people import projects, tokens, users
from app.schemas.users import (
    ExternalIdentityRead,
    Me,
    MembershipRead,
    MeToken,
    UserChange,
    UserCreate,
    UserPage,
    UserRead,
)
from app.services import cursors
from app.services.errors import ConflictError, InvalidError, NotFoundError
from app.services.people import audit
from app.services.principals import Actor, Principal
from models import User

TO = "manage users"


class UserNotFoundError(NotFoundError):
    """The user does not exist."""

    code = "user-not-found"


class UserExistsError(ConflictError):
    """The name or the external identity is in use."""

    code = "user-exists"


class UserDisabledError(ConflictError):
    """A disabled user cannot get tokens."""

    code = "user-disabled"


class UnknownUserError(InvalidError):
    """A field refers to a user that does not exist."""

    code = "unknown-user"


class LastAdminError(ConflictError):
    """Without this administrator, nobody could manage users and tokens."""

    code = "last-admin"


async def create(session: Session, request: UserCreate, by: Actor | None) -> UserRead:
    """Creates a user, who needs a token before they can do anything.

    Raises:
        RoleRequiredError: If the caller is not an administrator.
        UserExistsError: If the name or the external identity is in use.
    """
    _require_admin(by)
    identity = request.external_identity
    user = User(
        id=uuid.uuid4(),
        name=request.name,
        email=request.email,
        role=request.role,
        issuer=identity.issuer if identity else None,
        subject=identity.subject if identity else None,
        created_at=datetime.now(UTC),
    )
    await users.announce(session)
    if not await users.add(session, user):
        raise _name_in_use(request.name)
    await audit.record(
        session, by, action="created", object_kind="user", object_id=user.id, after=_values(user)
    )
    return read_of(user)


def _require_admin(by: Actor | None) -> None:
    if isinstance(by, Principal):
        by.require("admin", TO)


def _name_in_use(name: str) -> UserExistsError:
    return UserExistsError(
        f"The name '{name}' or the external identity is in use; choose another name.",
        field="name",
    )


def _values(user: User) -> dict[str, Any]:
    fields = ("name", "email", "role", "issuer", "subject", "disabled_at")
    return {name: getattr(user, name) for name in fields}


def read_of(user: User) -> UserRead:
    """A user in the form of the API."""
    identity = None
    if user.issuer is not None and user.subject is not None:
        identity = ExternalIdentityRead(issuer=user.issuer, subject=user.subject)
    fields = ("id", "name", "email", "role", "created_at", "disabled_at")
    values = {name: getattr(user, name) for name in fields}
    return UserRead.model_validate({**values, "external_identity": identity})


async def read(session: Session, user_id: uuid.UUID) -> UserRead:
    """A user.

    Raises:
        UserNotFoundError: If there is no such user.
    """
    return read_of(await get(session, user_id))


async def get(session: Session, user_id: uuid.UUID, *, lock: bool = False) -> User:
    """The database row of a user.

    Raises:
        UserNotFoundError: If there is no such user.
    """
    user = await users.get(session, user_id, lock=lock)
    if user is None:
        raise UserNotFoundError(f"User {user_id} not found.", field="user_id")
    return user


async def named(session: Session, name_or_id: str, field: str = "user") -> User:
    """The user with an ID or a name.

    Raises:
        UnknownUserError: If there is no such user.
    """
    try:
        user = await users.get(session, uuid.UUID(name_or_id))
    except ValueError:
        user = None
    user = user or await users.by_name(session, name_or_id)
    if user is None:
        raise UnknownUserError(
            f"User '{name_or_id}' not found; use the name or ID of a user.", field=field
        )
    return user


async def find(session: Session, name_or_id: str) -> User:
    """The user with an ID or a name, for a request about them.

    Raises:
        UserNotFoundError: If there is no such user.
    """
    try:
        return await named(session, name_or_id)
    except UnknownUserError as error:
        raise UserNotFoundError(f"User '{name_or_id}' not found.", field="user") from error


async def first_admin(session: Session) -> User:
    """The administrator who was there first.

    Raises:
        UnknownUserError: If every administrator is disabled.
    """
    user = await users.first_admin(session)
    if user is None:
        raise UnknownUserError("There is no active administrator; name a user.", field="user")
    return user


async def list_page(session: Session, cursor: str | None, limit: int) -> UserPage:
    """A page of users by name, including disabled ones.

    Raises:
        CursorError: If the cursor is not of this list.
    """
    after = str(cursors.decode(cursor, str)[0]) if cursor else None
    rows = await users.page(session, after, limit + 1)
    shown, following = cursors.page(rows, limit, lambda row: (row.name,))
    return UserPage(items=[read_of(row) for row in shown], next_cursor=following)


async def change(
    session: Session, user_id: uuid.UUID, request: UserChange, by: Actor | None
) -> UserRead:
    """Changes a user. A disabled user keeps their runs, but their tokens stop working at once.

    Raises:
        RoleRequiredError: If the caller is not an administrator.
        UserNotFoundError: If the user does not exist.
        UserExistsError: If the name or the external identity is in use.
        LastAdminError: If no other administrator can sign in.
    """
    _require_admin(by)
    await users.announce(session)
    await users.lock_admins(session)
    user = await get(session, user_id, lock=True)
    loses_power = request.disabled is True or request.role not in (None, "admin")
    if loses_power and user.role == "admin":
        await _require_another_admin(session, user)
    before = _values(user)
    changes = request.given()
    for name in ("name", "email", "role"):
        if name in changes:
            setattr(user, name, changes[name])
    if request.external_identity is not None:
        user.issuer = request.external_identity.issuer
        user.subject = request.external_identity.subject
    if request.disabled is not None and request.disabled != (user.disabled_at is not None):
        user.disabled_at = datetime.now(UTC) if request.disabled else None
    if not await users.save(session):
        raise _name_in_use(request.name or before["name"])
    if _values(user) != before:
        await audit.record(
            session,
            by,
            action="changed",
            object_kind="user",
            object_id=user.id,
            before=before,
            after=_values(user),
        )
    return read_of(user)


async def _require_another_admin(session: Session, user: User) -> None:
    if {row.user_id for row in await tokens.administering(session)} == {user.id}:
        raise LastAdminError(
            f"'{user.name}' is the last administrator with an active token; create a token for"
            " another administrator first.",
        )


async def me(session: Session, principal: Principal) -> Me:
    """The caller, with their token and their memberships."""
    user = await get(session, principal.user_id)
    row = None if principal.token_id is None else await tokens.get(session, principal.token_id)
    scope = await projects.name_of(session, principal.project_id)
    return Me(
        user=read_of(user),
        role=principal.role,
        token=None
        if row is None
        else MeToken(
            id=row.token.id, name=row.token.name, project=scope, expires_at=row.token.expires_at
        ),
        projects=[
            MembershipRead.model_validate({"project": name, "role": role})
            for name, role in await users.memberships(session, principal.user_id)
            if scope in (None, name)
        ],
    )
