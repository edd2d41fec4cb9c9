"""Signing in and out."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query, Request, Response
from fastapi.responses import RedirectResponse

from app.api import browsers
from app.api.access import ME, OPEN
from app.api.deps import Caller, CurrentSession
from app.services import sign_in_links, web_sessions
from app.services.errors import ForbiddenError
from app.web import links
from app.web.forms import Form
from app.web.rendering import THEME_COOKIE, THEMES, page_router, render

router = page_router()
Next = Annotated[str | None, Query(max_length=2000)]
Code = Annotated[str, Path(max_length=200)]
YEAR_S = 365 * 24 * 3600


class PlainHttpError(ForbiddenError):
    """The page was opened over plain http from another machine."""

    code = "plain-http"


def require_private(request: Request) -> None:
    """Requires that nobody on the way can read the session's cookie.

    Raises:
        PlainHttpError: If the request came over plain http from another machine.
    """
    if browsers.transport(request) == "plain":
        raise PlainHttpError(
            "Signing in needs https: over plain http, everybody on the network between could read"
            " your session. Open this server through https, or on its own machine."
        )


def go_on(request: Request, path: str | None) -> RedirectResponse:
    """Leads to a path of this server."""
    location = links.to(request, links.local_path(path))
    return RedirectResponse(location, 303, headers={"Cache-Control": "no-store"})


@router.get("/login", dependencies=[OPEN])
async def show_sign_in(request: Request, next: Next = None) -> Response:
    """How to sign in here."""
    transport = browsers.transport(request)
    return render(request, "sign_in.html", next=links.local_path(next), transport=transport)


@router.get("/login/link/{code}", dependencies=[OPEN])
async def open_link(request: Request, session: CurrentSession, code: Code) -> Response:
    """Signs in where a person opened the link themselves; otherwise asks first.

    Programs that look at links in messages do not use it up so, and no other site signs anyone in.
    """
    require_private(request)
    if request.headers.get("sec-fetch-site") == "none":
        return await _redeem(request, session, code)
    user = await sign_in_links.user_of(session, code)
    return render(request, "sign_in_link.html", user=user.name, code=code)


@router.post("/login/link/{code}", dependencies=[OPEN])
async def use_link(request: Request, session: CurrentSession, code: Code) -> Response:
    """Signs in."""
    require_private(request)
    return await _redeem(request, session, code)


async def _redeem(request: Request, session: CurrentSession, code: str) -> Response:
    begun = await sign_in_links.redeem(session, code, request.headers.get("user-agent"))
    response = go_on(request, "/")
    browsers.keep(request, response, begun.secret)
    return response


@router.post("/logout", dependencies=[ME])
async def sign_out(request: Request, session: CurrentSession, caller: Caller) -> Response:
    """Ends the session of this browser."""
    if caller.session_id is not None:
        await web_sessions.end(session, caller.session_id, caller)
    response = go_on(request, "/login")
    browsers.forget(request, response)
    return response


@router.post("/theme", dependencies=[OPEN])
async def choose_theme(request: Request, form: Form) -> Response:
    """Keeps the chosen theme in this browser."""
    response = go_on(request, form.get("next"))
    theme = form.get("theme")
    if theme in THEMES:
        response.set_cookie(THEME_COOKIE, theme, max_age=YEAR_S, path="/", samesite="lax")
    return response
