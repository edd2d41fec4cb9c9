"""Users of an identity provider or a proxy: found or created, with the role of their groups."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from app.db import Session
from app.repositories.people import users as user_rows
from app.schemas.common import Role
from app.schemas.users import ExternalIdentity, UserChange, UserCreate
from app.services.people import users
from app.services.people.oidc import Identity, SignInRejectedError
from app.services.people.users import LastAdminError
from app.services.principals import RANK
from app.settings import Settings
from models import User

log = logging.getLogger("pricetag.server")

PROXY = "proxy"
"""Issuer of the identities that a proxy states."""


def role_of(groups: Sequence[str], roles: Mapping[str, Role], default: Role | None) -> Role | None:
    """The highest role of somebody's groups; the default role if none has one."""
    granted = [roles[group] for group in groups if group in roles]
    return max(granted, key=RANK.__getitem__, default=default)


async def user_for(session: Session, identity: Identity, settings: Settings) -> User:
    """The user of an identity, with the role of their groups.

    Args:
        session: Committed by the caller.
        identity: Who was confirmed.
        settings: Roles of groups, and the role of everybody else.

    Raises:
        SignInRejectedError: If the user is disabled, or no group has a role.
    """
    role = role_of(identity.groups, settings.group_roles, settings.default_role)
    user = await _existing(session, identity)
    if user is None:
        if role is None:
            raise _without_role(identity)
        return await _create(session, identity, role)
    if user.disabled_at is not None:
        raise SignInRejectedError(f"The user '{user.name}' is disabled; ask an administrator.")
    if not settings.group_roles:
        return user  # administrators decide about roles
    if role is None:
        raise _without_role(identity)
    if role != user.role:
        await _set_role(session, user, role)
    return user


async def _existing(session: Session, identity: Identity) -> User | None:
    if identity.issuer == PROXY:
        return await user_rows.by_name(session, identity.name)
    return await user_rows.by_identity(session, identity.issuer, identity.subject)


def _without_role(identity: Identity) -> SignInRejectedError:
    return SignInRejectedError(
        f"'{identity.name}' was recognized, and may not sign in here: none of their groups has a"
        " role. An administrator can give one to a group (PRICETAG_GROUP_ROLES)."
    )


async def _create(session: Session, identity: Identity, role: Role) -> User:
    external = None
    if identity.issuer != PROXY:
        external = ExternalIdentity(issuer=identity.issuer, subject=identity.subject)
    try:
        request = UserCreate(
            name=await user_rows.free_name(session, identity.name),
            role=role,
            email=identity.email,
            external_identity=external,
        )
    except ValidationError as error:
        raise SignInRejectedError(
            "The name of this identity cannot be used here: it is too long, or has invisible "
            "characters."
        ) from error
    created = await users.create(session, request, None)
    return await users.get(session, created.id)


async def _set_role(session: Session, user: User, role: Role) -> None:
    try:
        await users.change(session, user.id, UserChange(role=role), None)
    except LastAdminError:
        log.warning(
            "user %s stays an administrator, although their groups have the role %s: no other"
            " administrator has an active token",
            user.name,
            role,
        )
