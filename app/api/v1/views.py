"""Saved views of the list of runs."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Path

from app.api.access import DELETE_VIEW, READ, SAVE_VIEW, SEE_VIEW
from app.api.body import validated
from app.api.branches import Branch
from app.api.deps import Body, Caller, CurrentSession
from app.api.openapi import request_body
from app.api.v1.responses import BODY, problems
from app.schemas.views import ViewCreate, ViewList, ViewRead
from app.services.saved import views

router = Branch(prefix="/views", tags=["runs"])
ViewId = Annotated[uuid.UUID, Path(description="ID of the view.")]


@router.get("", dependencies=[READ], summary="List saved views", responses=problems())
async def list_views(session: CurrentSession, caller: Caller) -> ViewList:
    """Lists your own views, then shared views of projects that you may see. Stored links are
    not listed.
    """
    return ViewList(items=await views.list_own(session, caller))


@router.post(
    "",
    status_code=201,
    dependencies=[SAVE_VIEW],
    summary="Save a view",
    responses=problems(403, 404, 409, *BODY),
    openapi_extra=request_body(ViewCreate, {}, "The view."),
)
async def save_view(session: CurrentSession, caller: Caller, body: Body) -> ViewRead:
    """Saves filters, order and columns of the list of runs under a name, for yourself or shared in
    a project; a view with that name is replaced. Without a name, stores a long link. Only a
    project's owners and administrators can set its default view.
    """
    return await views.save(session, caller, validated(ViewCreate, body))


@router.get("/{view_id}", dependencies=[SEE_VIEW], summary="Show a view", responses=problems(404))
async def get_view(session: CurrentSession, caller: Caller, view_id: ViewId) -> ViewRead:
    """Shows a view of your own, a shared view of a project that you may see, or a stored link."""
    return await views.read(session, caller, view_id)


@router.delete(
    "/{view_id}",
    status_code=204,
    dependencies=[DELETE_VIEW],
    summary="Delete a view",
    responses=problems(403, 404),
)
async def delete_view(session: CurrentSession, caller: Caller, view_id: ViewId) -> None:
    """Deletes a view that you saved, or one of a project that you own."""
    await views.delete(session, caller, view_id)
