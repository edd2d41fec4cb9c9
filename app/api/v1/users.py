"""Users and their tokens: managed by administrators; users see and renew their own."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Path

from app.api.access import ME, READ, USERS, rule
from app.api.body import validated
from app.api.branches import Branch
from app.api.deps import (
    Body,
    Caller,
    CurrentSession,
    Cursor,
    FromHour,
    Limit,
    ServerResources,
    ToHour,
)
from app.api.openapi import request_body
from app.api.v1.examples import SIGN_IN_LINK, USER, USER_CHANGE, USER_TOKEN
from app.api.v1.responses import BODY, problems
from app.schemas.common import PathName
from app.schemas.tokens import TokenCreated, TokenList, TokenRead
from app.schemas.users import (
    Me,
    SignInLinkCreate,
    SignInLinkRead,
    UserChange,
    UserCreate,
    UserPage,
    UserRead,
    UserTokenCreate,
)
from app.schemas.work import WorkRead
from app.services.overview import work
from app.services.people import sign_in_links, tokens, users

router = Branch(tags=["users"])

UserId = Annotated[uuid.UUID, Path(description="ID of the user.")]
SEE_SELF = rule("viewer", "see a user", "user", "self")
OWN_TOKENS = rule("viewer", "manage the tokens of a user", "user", "self")


@router.get(
    "/me",
    dependencies=[ME],
    summary="Show your user and token",
    responses=problems(),
)
async def get_me(session: CurrentSession, caller: Caller) -> Me:
    """The user and the token of the request, and the user's projects."""
    return await users.me(session, caller)


@router.post(
    "/users",
    status_code=201,
    dependencies=[USERS],
    summary="Create a user",
    responses=problems(403, 409, *BODY),
    openapi_extra=request_body(UserCreate, {"ada": USER}, "Name and role."),
)
async def create_user(session: CurrentSession, caller: Caller, body: Body) -> UserRead:
    """Creates a user, who still needs a token. Requires the role admin."""
    return await users.create(session, validated(UserCreate, body), caller)


@router.get(
    "/users/{user}/account",
    dependencies=[READ],
    summary="Show the use of a user",
    responses=problems(404),
)
async def get_user_account(
    session: CurrentSession,
    resources: ServerResources,
    caller: Caller,
    user: Annotated[PathName, Path(description="Name or ID of the user.")],
    start: FromHour = None,
    stop: ToHour = None,
) -> WorkRead:
    """Shows the same figures as the account of a project, for the user's runs in projects that you
    may see."""
    return await work.of_user(
        session, caller, user, start=start, stop=stop, currency=resources.settings.currency
    )


@router.get(
    "/users",
    dependencies=[USERS],
    summary="List users",
    responses=problems(403),
)
async def list_users(
    session: CurrentSession, caller: Caller, cursor: Cursor = None, limit: Limit = 50
) -> UserPage:
    """Lists users by name, including disabled ones. Requires the role admin."""
    return await users.list_page(session, cursor, limit)


@router.get(
    "/users/{user_id}",
    dependencies=[SEE_SELF],
    summary="Show a user",
    responses=problems(403, 404),
)
async def get_user(session: CurrentSession, caller: Caller, user_id: UserId) -> UserRead:
    """A user with their role and projects. For the user and administrators."""
    return await users.read(session, user_id)


@router.patch(
    "/users/{user_id}",
    dependencies=[USERS],
    summary="Change or disable a user",
    responses=problems(403, 404, 409, *BODY),
    openapi_extra=request_body(UserChange, {"disable": USER_CHANGE}, "The fields to change."),
)
async def change_user(
    session: CurrentSession, caller: Caller, user_id: UserId, body: Body
) -> UserRead:
    """The tokens of a disabled user stop working at once; the user keeps their runs. The last
    administrator cannot be disabled or demoted. Requires the role admin.
    """
    return await users.change(session, user_id, validated(UserChange, body), caller)


@router.get(
    "/users/{user_id}/tokens",
    dependencies=[OWN_TOKENS],
    summary="List a user's tokens",
    responses=problems(403, 404),
)
async def list_user_tokens(session: CurrentSession, caller: Caller, user_id: UserId) -> TokenList:
    """Lists a user's tokens without their secrets, including revoked ones. For the user and
    administrators.
    """
    return await tokens.list_all(session, user_id)


@router.post(
    "/users/{user_id}/tokens",
    status_code=201,
    dependencies=[OWN_TOKENS],
    summary="Create a token of a user",
    responses=problems(403, 404, 409, *BODY),
    openapi_extra=request_body(
        UserTokenCreate, {"laptop": USER_TOKEN}, "Name, and optional limits of the token."
    ),
)
async def create_user_token(
    session: CurrentSession, caller: Caller, user_id: UserId, body: Body
) -> TokenCreated:
    """Creates a token; only this response contains its secret. For the user and administrators.
    The token cannot have more rights, or last longer, than the one used for the request.
    """
    return await tokens.create_for(session, user_id, validated(UserTokenCreate, body), caller)


@router.post(
    "/users/{user_id}/sign-in-links",
    status_code=201,
    dependencies=[USERS],
    summary="Create a sign-in link of a user",
    responses=problems(403, 404, 409, *BODY),
    openapi_extra=request_body(SignInLinkCreate, {"day": SIGN_IN_LINK}, "How long the link works."),
)
async def create_sign_in_link(
    session: CurrentSession, caller: Caller, user_id: UserId, body: Body
) -> SignInLinkRead:
    """Creates a link that signs a browser in once as the user; only this response contains its
    secret. Pass it on privately. Requires the role admin.
    """
    return await sign_in_links.create_for(
        session, user_id, validated(SignInLinkCreate, body), caller
    )


@router.delete(
    "/users/{user_id}/tokens/{token_id}",
    dependencies=[OWN_TOKENS],
    summary="Revoke a token of a user",
    responses=problems(403, 404, 409),
)
async def revoke_user_token(
    session: CurrentSession,
    caller: Caller,
    user_id: UserId,
    token_id: Annotated[uuid.UUID, Path(description="ID of the token.")],
) -> TokenRead:
    """The token stops working at once. For the user and administrators."""
    return await tokens.revoke(session, token_id, caller, of_user=user_id)
