"""API tokens: created (their secret is shown once) and revoked."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Path, Query, Request, Response
from fastapi.responses import RedirectResponse

from app.api.access import TOKENS
from app.api.deps import Caller, CurrentSession
from app.schemas.common import StoredName
from app.schemas.tokens import TokenCreate, TokenCreated
from app.services.people import tokens
from app.web.forms import Filled, Form
from app.web.links import rel
from app.web.rendering import page_router, render, section
from app.web.submitting import Rejected, read_model, submit
from app.web.views.admin import people
from app.web.views.forms import FormView

router = page_router()
TokenId = Annotated[uuid.UUID, Path(description="ID of the token.")]
IN_ADMIN = section("show_admin")


@router.get("/admin/tokens", dependencies=[TOKENS], openapi_extra=IN_ADMIN)
async def show_tokens(
    request: Request,
    session: CurrentSession,
    caller: Caller,
    every: Annotated[bool, Query(alias="all")] = False,
) -> Response:
    """The valid tokens; with `all`, revoked and expired ones as well."""
    listed = await tokens.list_all(session)
    rows = people.token_rows(listed.items, every=every)
    ended = sum(not token.in_force for token in listed.items)
    return render(
        request, "admin/tokens.html", tab="show_tokens", tokens=rows, every=every, ended=ended
    )


@router.get("/admin/tokens/new", dependencies=[TOKENS], openapi_extra=IN_ADMIN)
async def show_new_token(
    request: Request,
    caller: Caller,
    user: Annotated[Filled[StoredName], Query()] = None,
) -> Response:
    """The form of a new token."""
    return _new_token(request, FormView({"user": user or ""}))


def _new_token(request: Request, form: FormView, status: int = 200) -> Response:
    return render(
        request,
        "admin/token_new.html",
        status=status,
        tab="show_tokens",
        form=form,
        roles=(("", "the user's role"), *people.ROLES),
    )


@router.post("/admin/tokens", dependencies=[TOKENS], openapi_extra=IN_ADMIN)
async def add_token(
    request: Request, session: CurrentSession, caller: Caller, form: Form
) -> Response:
    """Creates a token, and shows its secret.

    This is the one form that ends with a page instead of a redirect: only its hash is stored.
    """

    async def create() -> TokenCreated:
        wanted = read_model(TokenCreate, form, dates=["expires_at"])
        return await tokens.create(session, wanted, caller)

    result = await submit(session, form, create)
    if isinstance(result, Rejected):
        return _new_token(request, result.form, result.status)
    return render(request, "admin/token_made.html", tab="show_tokens", token=result)


@router.get("/admin/tokens/{token_id}/revoke", dependencies=[TOKENS], openapi_extra=IN_ADMIN)
async def confirm_revoke_token(
    request: Request, session: CurrentSession, caller: Caller, token_id: TokenId
) -> Response:
    """Asks before a token is revoked."""
    token = await tokens.read(session, token_id)
    return render(
        request,
        "admin/confirm.html",
        tab="show_tokens",
        question=f"Revoke the token {token.name} of {token.user}?",
        sentences=[
            "It stops working at once, as do sessions of browsers that began with it."
            " This cannot be undone."
        ],
        action=rel(request, "end_token", token_id=token_id),
        back=rel(request, "show_tokens"),
        button="Revoke this token",
    )


@router.post("/admin/tokens/{token_id}/revoke", dependencies=[TOKENS], openapi_extra=IN_ADMIN)
async def end_token(
    request: Request, session: CurrentSession, caller: Caller, token_id: TokenId
) -> Response:
    """Revokes a token; the last one of an administrator cannot be."""
    await tokens.revoke(session, token_id, caller)
    return RedirectResponse(rel(request, "show_tokens"), 303)
