"""Saved views of the list of runs: a user's own, shared in a project, or a project's default."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import parse_qsl

from app.db import Session
from app.repositories.runs import views
from app.schemas.views import ViewCreate, ViewRead
from app.services import access
from app.services.errors import ConflictError, ForbiddenError, NotFoundError
from app.services.principals import Principal
from models import SavedView

MOST_SHOWN = 200
MOST_OWN = 1_000
"""Views and links that a user may have."""


class ViewNotFoundError(NotFoundError):
    """The view does not exist, or the caller may not open it."""

    code = "view-not-found"


class NotYourViewError(ForbiddenError):
    """Only who saved a view, an owner of its project or an administrator may delete it."""

    code = "not-your-view"


class TooManyViewsError(ConflictError):
    """The user has saved as many views and links as one may."""

    code = "too-many-views"


async def list_own(session: Session, principal: Principal) -> list[ViewRead]:
    """The principal's own views, then those of projects that they see, by name."""
    rows = await views.visible(session, principal.viewer, MOST_SHOWN)
    return [_read(row.SavedView, row.project, principal) for row in rows]


async def read(session: Session, principal: Principal, view_id: uuid.UUID) -> ViewRead:
    """A view, or a stored link.

    Raises:
        ViewNotFoundError: If it does not exist, or the principal may not open it.
    """
    row = await _row(session, principal, view_id)
    return _read(row.SavedView, row.project, principal)


async def default_of(session: Session, principal: Principal, project: str) -> ViewRead | None:
    """The view in which a project's runs are shown by default; None for a hidden project."""
    if not await access.may_see_project(session, principal, project):
        return None
    view = await views.default_of(session, project)
    return None if view is None else _read(view, project, principal)


async def save(session: Session, principal: Principal, request: ViewCreate) -> ViewRead:
    """Saves a view, replacing one with the same name; or stores a link.

    Args:
        session: Database session; the caller commits.
        principal: Who saves it.
        request: The view.

    Raises:
        ProjectNotFoundError: If its project does not exist, or is hidden.
        RoleRequiredError: If the principal may only read, and shares it.
        NotAnOwnerError: If the principal does not own the project, and makes the view its default,
            or would replace its default view or one that somebody else saved.
        TooManyViewsError: If the principal has too many.
    """
    project_id = None
    if request.project is not None:
        principal.require("member", "share views")
        project_id = (await access.require_project(session, principal, request.project)).id
    if request.is_default and request.project is not None:
        await access.require_owner(session, principal, request.project)
    owner = principal.user_id
    present = (
        await views.same_link(session, owner, request.query)
        if request.name is None
        else await views.named(session, owner, project_id, request.name)
    )
    if present is not None and request.project is not None:
        await _require_may_replace(session, principal, request.project, present)
    if request.is_default and project_id is not None:
        await views.drop_default(session, project_id)
    if present is None:
        present = await _add(session, principal, request, project_id)
    else:
        present.query = request.query
        present.is_default = request.is_default or present.is_default
        await session.flush()
    return _read(present, request.project, principal)


async def _require_may_replace(
    session: Session, principal: Principal, project: str, present: SavedView
) -> None:
    """Requires an owner to replace a project's default view, or one that somebody else saved."""
    if present.is_default or present.created_by != principal.user_id:
        await access.require_owner(session, principal, project)


async def _add(
    session: Session, principal: Principal, request: ViewCreate, project_id: uuid.UUID | None
) -> SavedView:
    if await views.count_own(session, principal.user_id, MOST_OWN) == MOST_OWN:
        raise TooManyViewsError(
            f"You have saved {MOST_OWN:,} views and links; delete some first.", field="name"
        )
    view = SavedView(
        id=uuid.uuid4(),
        created_by=principal.user_id,
        project_id=project_id,
        name=request.name,
        query=request.query,
        is_default=request.is_default,
    )
    await views.add(session, view)
    return view


async def delete(session: Session, principal: Principal, view_id: uuid.UUID) -> None:
    """Deletes a view.

    Raises:
        ViewNotFoundError: If it does not exist, or the principal may not open it.
        NotYourViewError: If the principal neither saved it nor owns its project.
    """
    row = await _own_row(session, principal, view_id)
    await views.delete(session, row.SavedView)


async def own(session: Session, principal: Principal, view_id: uuid.UUID) -> ViewRead:
    """A view that the principal may delete.

    Raises:
        ViewNotFoundError: If it does not exist, or the principal may not open it.
        NotYourViewError: If the principal neither saved it nor owns its project.
    """
    row = await _own_row(session, principal, view_id)
    return _read(row.SavedView, row.project, principal)


async def _own_row(session: Session, principal: Principal, view_id: uuid.UUID) -> Any:
    row = await _row(session, principal, view_id)
    if row.SavedView.created_by != principal.user_id and not principal.has("admin"):
        if row.project is None:
            raise NotYourViewError(
                "Only the user who stored this link or an administrator may delete it."
            )
        await access.require_owner(session, principal, row.project)
    return row


async def _row(session: Session, principal: Principal, view_id: uuid.UUID) -> Any:
    row = await views.get(session, principal.viewer, view_id)
    if row is None:
        raise ViewNotFoundError(
            f"View {view_id} not found: it does not exist or is hidden from you.", field="view"
        )
    return row


def merged(query: str, own: Iterable[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    """The parameters of a view, with those that an address states itself in their place.

    Args:
        query: The view's query.
        own: Parameters of the address; an empty one removes the view's.
    """
    stated = list(own)
    names = {name for name, _ in stated}
    stored = parse_qsl(query, keep_blank_values=True)
    return [*((name, value) for name, value in stored if name not in {*names, "view"}), *stated]


def _read(view: SavedView, project: str | None, principal: Principal) -> ViewRead:
    return ViewRead(
        id=view.id,
        name=view.name,
        query=view.query,
        project=project,
        is_default=view.is_default,
        is_own=view.created_by == principal.user_id,
        created_at=view.created_at,
    )
