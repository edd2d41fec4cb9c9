"""Users: created, changed, disabled and enabled."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Annotated

from fastapi import Path, Request, Response
from fastapi.responses import RedirectResponse

from app.api.access import USERS
from app.api.deps import Caller, CurrentSession, Cursor, Limit, ServerResources
from app.schemas.users import SignInLinkCreate, SignInLinkRead, UserChange, UserCreate, UserRead
from app.services.people import sign_in_links, tokens, users
from app.settings import Settings
from app.web.forms import Form
from app.web.links import rel
from app.web.rendering import page_router, render, section
from app.web.submitting import Rejected, read_model, submit
from app.web.views.admin import people
from app.web.views.forms import FormView

router = page_router()
UserId = Annotated[uuid.UUID, Path(description="ID of the user.")]
IN_ADMIN = section("show_admin")
NEW = FormView({"role": "member"})


@router.get("/admin/users", dependencies=[USERS], openapi_extra=IN_ADMIN)
async def show_users(
    request: Request,
    session: CurrentSession,
    caller: Caller,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Response:
    """A page of the users, by name."""
    page = await users.list_page(session, cursor, limit)
    return render(
        request,
        "admin/users.html",
        tab="show_users",
        users=page.items,
        next_cursor=page.next_cursor,
        limit=limit,
    )


@router.get("/admin/users/new", dependencies=[USERS], openapi_extra=IN_ADMIN)
async def show_new_user(request: Request, caller: Caller) -> Response:
    """The form of a new user."""
    return _new_user(request, NEW)


def _new_user(request: Request, form: FormView, status: int = 200) -> Response:
    return render(
        request,
        "admin/user_new.html",
        status=status,
        tab="show_users",
        form=form,
        roles=people.ROLES,
    )


@router.post("/admin/users", dependencies=[USERS], openapi_extra=IN_ADMIN)
async def add_user(
    request: Request,
    session: CurrentSession,
    resources: ServerResources,
    caller: Caller,
    form: Form,
) -> Response:
    """Creates a user, and shows a link that signs them in."""

    async def create() -> UserRead:
        return await users.create(session, read_model(UserCreate, form), caller)

    result = await submit(session, form, create)
    if isinstance(result, Rejected):
        return _new_user(request, result.form, result.status)
    if result.role == "ingest":  # sees no page
        return _to_user(request, result.id)
    link = await sign_in_links.create_for(session, result.id, SignInLinkCreate(), caller)
    return _link(request, resources.settings, result, link, is_new=True)


def _link(
    request: Request, settings: Settings, user: UserRead, link: SignInLinkRead, *, is_new: bool
) -> Response:
    """A new sign-in link.

    Such a form ends with a page instead of a redirect: only the hash of the link is stored.
    """
    server = settings.public_url or f"{request.url.scheme}://{request.url.netloc}"
    return render(
        request,
        "admin/user_link.html",
        tab="show_users",
        user=user,
        link=link,
        address=f"{server.rstrip('/')}{link.path}",
        is_new=is_new,
    )


@router.post("/admin/users/{user_id}/sign-in-link", dependencies=[USERS], openapi_extra=IN_ADMIN)
async def make_sign_in_link(
    request: Request,
    session: CurrentSession,
    resources: ServerResources,
    caller: Caller,
    user_id: UserId,
) -> Response:
    """Makes a link that signs the user in, and shows it once."""
    user = await users.read(session, user_id)
    link = await sign_in_links.create_for(session, user_id, SignInLinkCreate(), caller)
    return _link(request, resources.settings, user, link, is_new=False)


def _to_user(request: Request, user_id: uuid.UUID) -> Response:
    return RedirectResponse(rel(request, "show_admin_user", user_id=user_id), 303)


@router.get("/admin/users/{user_id}", dependencies=[USERS], openapi_extra=IN_ADMIN)
async def show_admin_user(
    request: Request, session: CurrentSession, caller: Caller, user_id: UserId
) -> Response:
    """A user with their tokens."""
    user = await users.read(session, user_id)
    return await _user(request, session, user, people.user_form(user))


async def _user(
    request: Request, session: CurrentSession, user: UserRead, form: FormView, status: int = 200
) -> Response:
    listed = await tokens.list_all(session, user.id)
    return render(
        request,
        "admin/user.html",
        status=status,
        tab="show_users",
        user=user,
        form=form,
        roles=people.ROLES,
        tokens=people.token_rows(listed.items, every=True),
    )


@router.post("/admin/users/{user_id}", dependencies=[USERS], openapi_extra=IN_ADMIN)
async def save_user(
    request: Request, session: CurrentSession, caller: Caller, form: Form, user_id: UserId
) -> Response:
    """Changes a user."""
    return await _change(request, session, caller, user_id, form)


async def _change(
    request: Request,
    session: CurrentSession,
    caller: Caller,
    user_id: uuid.UUID,
    fields: Mapping[str, str],
) -> Response:
    async def change() -> UserRead:
        return await users.change(session, user_id, read_model(UserChange, fields), caller)

    changed = await submit(session, fields, change)
    if isinstance(changed, Rejected):
        user = await users.read(session, user_id)
        values = {**people.user_form(user).values, **fields}
        form = FormView(values, changed.form.problems)
        return await _user(request, session, user, form, changed.status)
    return _to_user(request, user_id)


@router.get("/admin/users/{user_id}/disable", dependencies=[USERS], openapi_extra=IN_ADMIN)
async def confirm_disable_user(
    request: Request, session: CurrentSession, caller: Caller, user_id: UserId
) -> Response:
    """Asks before a user is disabled."""
    user = await users.read(session, user_id)
    return render(
        request,
        "admin/confirm.html",
        tab="show_users",
        question=f"Disable {user.name}?",
        sentences=[
            "All tokens and sessions of this user end at once. Their runs stay, and those that"
            " are queued or running continue.",
            "An administrator can enable the user again.",
        ],
        action=rel(request, "disable_user", user_id=user_id),
        back=rel(request, "show_admin_user", user_id=user_id),
        button="Disable this user",
    )


@router.post("/admin/users/{user_id}/disable", dependencies=[USERS], openapi_extra=IN_ADMIN)
async def disable_user(
    request: Request, session: CurrentSession, caller: Caller, user_id: UserId
) -> Response:
    """Disables a user; the last administrator cannot be."""
    return await _change(request, session, caller, user_id, {"disabled": "true"})


@router.post("/admin/users/{user_id}/enable", dependencies=[USERS], openapi_extra=IN_ADMIN)
async def enable_user(
    request: Request, session: CurrentSession, caller: Caller, user_id: UserId
) -> Response:
    """Enables a user again."""
    return await _change(request, session, caller, user_id, {"disabled": "false"})
