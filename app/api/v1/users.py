"""Users and their tokens: administrators keep them, everybody sees and renews their own."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import APIRouter, Path

from app.api.access import ME, USERS, rule
from app.api.body import validated
from app.api.deps import Body, Caller, CurrentSession, Cursor, Limit
from app.api.openapi import request_body
from app.api.v1.examples import USER, USER_CHANGE, USER_TOKEN
from app.api.v1.responses import BODY, problems
from app.schemas.tokens import TokenCreated, TokenList, TokenRead
from app.schemas.users import Me, UserChange, UserCreate, UserPage, UserRead, UserTokenCreate
from app.services import tokens, users

router = APIRouter(tags=["users"])

UserId = Annotated[uuid.UUID, Path(description="ID of the user.")]
SEE_SELF = rule("viewer", "see a user", "user", "self")
OWN_TOKENS = rule("viewer", "manage the tokens of a user", "user", "self")


@router.get(
    "/me",
    operation_id="getMe",
    dependencies=[ME],
    summary="Who you are",
    responses=problems(),
)
async def get_me(session: CurrentSession, caller: Caller) -> Me:
    """The user and the token that the request came with, and the user's projects."""
    return await users.me(session, caller)


@router.post(
    "/users",
    status_code=201,
    operation_id="createUser",
    dependencies=[USERS],
    summary="Create a user",
    responses=problems(403, 409, *BODY),
    openapi_extra=request_body(UserCreate, {"ada": USER}, "Name and role."),
)
async def create_user(session: CurrentSession, caller: Caller, body: Body) -> UserRead:
    """The user can do nothing before somebody makes a token for them. Needs the role admin."""
    return await users.create(session, validated(UserCreate, body), caller)


@router.get(
    "/users",
    operation_id="listUsers",
    dependencies=[USERS],
    summary="List users",
    responses=problems(403),
)
async def list_users(
    session: CurrentSession, caller: Caller, cursor: Cursor = None, limit: Limit = 50
) -> UserPage:
    """Users by name, disabled ones too. Needs the role admin."""
    return await users.list_page(session, cursor, limit)


@router.get(
    "/users/{user_id}",
    operation_id="getUser",
    dependencies=[SEE_SELF],
    summary="Show a user",
    responses=problems(403, 404),
)
async def get_user(session: CurrentSession, caller: Caller, user_id: UserId) -> UserRead:
    """For the user and administrators."""
    return await users.read(session, user_id)


@router.patch(
    "/users/{user_id}",
    operation_id="changeUser",
    dependencies=[USERS],
    summary="Change or disable a user",
    responses=problems(403, 404, 409, *BODY),
    openapi_extra=request_body(
        UserChange, {"disable": USER_CHANGE}, "The fields to change, and no others."
    ),
)
async def change_user(
    session: CurrentSession, caller: Caller, user_id: UserId, body: Body
) -> UserRead:
    """A disabled user's tokens stop working at once; their runs stay theirs. The last
    administrator cannot be disabled or demoted. Needs the role admin.
    """
    return await users.change(session, user_id, validated(UserChange, body), caller)


@router.get(
    "/users/{user_id}/tokens",
    operation_id="listUserTokens",
    dependencies=[OWN_TOKENS],
    summary="List a user's tokens",
    responses=problems(403, 404),
)
async def list_user_tokens(session: CurrentSession, caller: Caller, user_id: UserId) -> TokenList:
    """Without their secrets, revoked ones too. For the user and administrators."""
    return await tokens.list_all(session, user_id)


@router.post(
    "/users/{user_id}/tokens",
    status_code=201,
    operation_id="createUserToken",
    dependencies=[OWN_TOKENS],
    summary="Create a token of a user",
    responses=problems(403, 404, 409, *BODY),
    openapi_extra=request_body(UserTokenCreate, {"laptop": USER_TOKEN}, "What it is for."),
)
async def create_user_token(
    session: CurrentSession, caller: Caller, user_id: UserId, body: Body
) -> TokenCreated:
    """The response alone holds the secret. For the user and administrators; nobody gets a token
    that may do more, or lasts longer, than the one that they ask with.
    """
    return await tokens.create_for(session, user_id, validated(UserTokenCreate, body), caller)


@router.delete(
    "/users/{user_id}/tokens/{token_id}",
    operation_id="revokeUserToken",
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
    """It ends at once. For the user and administrators."""
    return await tokens.revoke(session, token_id, caller, of_user=user_id)
