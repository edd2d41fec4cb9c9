"""Tokens of all users, managed by administrators."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Path

from app.api.access import TOKENS
from app.api.body import validated
from app.api.branches import Branch
from app.api.deps import Body, Caller, CurrentSession
from app.api.openapi import request_body
from app.api.v1.examples import TOKEN
from app.api.v1.responses import BODY, problems
from app.schemas.tokens import TokenCreate, TokenCreated, TokenList, TokenRead
from app.services.people import tokens

router = Branch(prefix="/tokens", tags=["tokens"])


@router.post(
    "",
    status_code=201,
    dependencies=[TOKENS],
    summary="Create a token",
    responses=problems(403, 409, *BODY),
    openapi_extra=request_body(TokenCreate, {"member": TOKEN}, "Name and role."),
)
async def create_token(session: CurrentSession, caller: Caller, body: Body) -> TokenCreated:
    """Creates a token; only this response contains its secret. Requires the role admin."""
    return await tokens.create(session, validated(TokenCreate, body), caller)


@router.get(
    "",
    dependencies=[TOKENS],
    summary="List tokens",
    responses=problems(403),
)
async def list_tokens(session: CurrentSession, caller: Caller) -> TokenList:
    """Lists all tokens without their secrets, including revoked ones. Requires the role admin."""
    return await tokens.list_all(session)


@router.delete(
    "/{token_id}",
    dependencies=[TOKENS],
    summary="Revoke a token",
    responses=problems(403, 404, 409),
)
async def revoke_token(
    session: CurrentSession,
    caller: Caller,
    token_id: Annotated[uuid.UUID, Path(description="ID of the token.")],
) -> TokenRead:
    """The token stops working at once. The last active admin token cannot be revoked. Requires
    the role admin.
    """
    return await tokens.revoke(session, token_id, caller)
