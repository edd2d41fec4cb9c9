"""The visitor's share links: creating, listing and withdrawing them."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Path, Request, Response
from fastapi.responses import RedirectResponse

from app.api.access import READ, SHARE, SHARES, SHARING, WITHDRAW_SHARE
from app.api.deps import Caller, CurrentSession, Cursor, Limit, ServerResources
from app.schemas.shares import USUAL_DAYS, ShareCreate, ShareCreated
from app.services.sharing import links
from app.web.forms import Form
from app.web.links import rel
from app.web.rendering import page_router, render, section
from app.web.submitting import Rejected, read_model, submit
from app.web.views.forms import FormView

router = page_router()
ShareId = Annotated[uuid.UUID, Path(description="ID of the share link.")]
IN_ADMIN = section("show_admin")
KINDS = ("paper", "report", "run")


@router.get("/shares", dependencies=[READ])
async def show_shares(
    request: Request,
    session: CurrentSession,
    caller: Caller,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Response:
    """The visitor's links, newest first."""
    page = await links.list_page(session, caller, everyone=False, cursor=cursor, limit=limit)
    return render(request, "shares.html", page=page, limit=limit)


@router.get("/admin/shares", dependencies=[SHARES], openapi_extra=IN_ADMIN)
async def show_all_shares(
    request: Request,
    session: CurrentSession,
    caller: Caller,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Response:
    """The links of all users, newest first."""
    page = await links.list_page(session, caller, everyone=True, cursor=cursor, limit=limit)
    return render(request, "admin/shares.html", tab="show_all_shares", page=page, limit=limit)


@router.get("/shares/new", dependencies=[SHARING])
async def show_new_share(
    request: Request,
    paper: uuid.UUID | None = None,
    report: uuid.UUID | None = None,
    run: uuid.UUID | None = None,
) -> Response:
    """The form for a new link."""
    targets = {"paper": paper, "report": report, "run": run}
    values = {kind: str(id_) for kind, id_ in targets.items() if id_ is not None}
    return _form(request, FormView({**values, "days": str(USUAL_DAYS)}))


def _form(request: Request, form: FormView, status: int = 200) -> Response:
    target = next(((kind, form.get(kind)) for kind in KINDS if form.get(kind)), None)
    return render(request, "share_new.html", form=form, target=target, status=status)


@router.post("/shares", dependencies=[SHARE])
async def add_share(
    request: Request,
    session: CurrentSession,
    resources: ServerResources,
    caller: Caller,
    form: Form,
) -> Response:
    """Creates a link, and shows it once."""

    async def create() -> ShareCreated:
        return await links.create(session, caller, read_model(ShareCreate, form))

    result = await submit(session, form, create)
    if isinstance(result, Rejected):
        return _form(request, result.form, result.status)
    server = resources.settings.public_url or f"{request.url.scheme}://{request.url.netloc}"
    address = f"{server.rstrip('/')}{result.path}"
    return render(request, "share_made.html", share=result, address=address)


@router.post("/shares/{share_id}/withdraw", dependencies=[WITHDRAW_SHARE])
async def withdraw_share_here(
    request: Request, session: CurrentSession, caller: Caller, share_id: ShareId
) -> Response:
    """Withdraws a link."""
    share = await links.withdraw(session, caller, share_id)
    page = "show_shares" if share.user_id == caller.user_id else "show_all_shares"
    return RedirectResponse(rel(request, page), 303)
