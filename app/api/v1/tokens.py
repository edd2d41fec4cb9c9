"""Tokens: an admin makes them, lists them and ends them."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import APIRouter, Path

from app.api.access import TOKENS
from app.api.body import validated
from app.api.deps import Body, Caller, CurrentSession
from app.api.openapi import request_body
from app.api.v1.examples import TOKEN
from app.api.v1.responses import BODY, problems
from app.schemas.tokens import TokenCreate, TokenCreated, TokenList, TokenRead
from app.services import tokens

router = APIRouter(prefix="/tokens", tags=["tokens"])


@router.post(
    "",
    status_code=201,
    operation_id="createToken",
    dependencies=[TOKENS],
    summary="Make a token",
    responses=problems(403, *BODY),
    openapi_extra=request_body(TokenCreate, {"member": TOKEN}, "Name and role."),
)
async def create_token(session: CurrentSession, caller: Caller, body: Body) -> TokenCreated:
    """The answer alone holds the secret. Needs the role admin."""
    return await tokens.create(session, validated(TokenCreate, body), caller)


@router.get(
    "",
    operation_id="listTokens",
    dependencies=[TOKENS],
    summary="List tokens",
    responses=problems(403),
)
async def list_tokens(session: CurrentSession, caller: Caller) -> TokenList:
    """Every token, without its secret, revoked ones too. Needs the role admin."""
    return await tokens.list_all(session)


@router.delete(
    "/{token_id}",
    operation_id="revokeToken",
    dependencies=[TOKENS],
    summary="Revoke a token",
    responses=problems(403, 404, 409),
)
async def revoke_token(
    session: CurrentSession,
    caller: Caller,
    token_id: Annotated[uuid.UUID, Path(description="Id of the token.")],
) -> TokenRead:
    """It ends at once. The last admin token cannot be revoked. Needs the role admin."""
    return await tokens.revoke(session, token_id, caller)
