"""Signing in and out."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query, Request, Response
from fastapi.responses import RedirectResponse

from app.api import browsers
from app.api.access import ME, OPEN
from app.api.deps import Caller, CurrentSession, ServerResources, remote_user
from app.services.errors import ForbiddenError, PricetagError, UnauthenticatedError
from app.services.people import identities, sign_in_links, tokens, users, web_sessions
from app.services.people.identities import PROXY
from app.services.people.oidc import Identity
from app.settings import Settings
from app.web import links
from app.web.forms import Form
from app.web.problems import remember_next, wants_page
from app.web.rendering import THEME_COOKIE, THEMES, page_router, render

router = page_router()
Next = Annotated[str | None, Query(max_length=2000)]
Code = Annotated[str, Path(max_length=200)]
YEAR_S = 365 * 24 * 3600


class PlainHttpError(ForbiddenError):
    """The page was opened over plain http from another machine."""

    code = "plain-http"


def require_private(request: Request) -> None:
    """Requires that the connection protects the session's cookie.

    Raises:
        PlainHttpError: If the request came over plain http from another machine.
    """
    if browsers.transport(request) == "plain":
        raise PlainHttpError(
            "Signing in needs https: over plain http, anybody on the network path could read"
            " your session. Open this server over https, or on its own machine."
        )


def go_on(request: Request, path: str | None) -> RedirectResponse:
    """Leads to a path of this server."""
    location = links.to(request, links.local_path(path))
    return RedirectResponse(location, 303, headers={"Cache-Control": "no-store"})


def welcome(request: Request, begun: web_sessions.Begun, path: str | None) -> RedirectResponse:
    """Keeps a new session in the browser, and continues."""
    response = go_on(request, path)
    browsers.keep(request, response, begun.secret)
    return response


def browser_of(request: Request) -> str | None:
    """The browser's own name."""
    return request.headers.get("user-agent")


@router.get("/login", dependencies=[OPEN])
async def show_sign_in(
    request: Request, session: CurrentSession, resources: ServerResources, next: Next = None
) -> Response:
    """How to sign in here; a proxy's user is signed in at once."""
    settings = resources.settings
    remember_next(request, next)
    transport = browsers.transport(request)
    name = remote_user(request, settings)
    if name is not None and transport != "plain":
        groups = request.headers.get("remote-groups", "").split(",")
        identity = Identity(PROXY, name, name, groups=[group.strip() for group in groups])
        user = await identities.user_for(session, identity, settings)
        begun = await web_sessions.begin(session, user, "proxy", browser=browser_of(request))
        return welcome(request, begun, next)
    return sign_in_page(request, settings, next)


def sign_in_page(
    request: Request, settings: Settings, path: str | None, problem: PricetagError | None = None
) -> Response:
    """The ways to sign in, after which the browser continues to a path.

    Args:
        request: The request.
        settings: Which ways there are.
        path: Where to continue after the sign-in.
        problem: Error of a token that was sent.
    """
    return render(
        request,
        "sign_in.html",
        status=200 if problem is None else problem.status,
        next=links.local_path(path),
        transport=browsers.transport(request),
        provider=settings.oidc_name if settings.oidc_issuer else None,
        problem=None if problem is None else problem.message,
    )


@router.post("/login", dependencies=[OPEN])
async def use_token(
    request: Request, session: CurrentSession, resources: ServerResources, form: Form
) -> Response:
    """Signs in with the rights of an API token, until the token ends."""
    remember_next(request, form.get("next"))
    require_private(request)
    try:
        principal = await tokens.authenticate(session, form.get("token"))
    except UnauthenticatedError as error:
        if not wants_page(request):
            raise
        return sign_in_page(request, resources.settings, form.get("next"), error)
    user = await users.get(session, principal.user_id)
    begun = await web_sessions.begin(
        session, user, "token", browser=browser_of(request), token_id=principal.token_id
    )
    return welcome(request, begun, form.get("next"))


@router.get("/login/link/{code}", dependencies=[OPEN])
async def open_link(request: Request, session: CurrentSession, code: Code) -> Response:
    """Signs in where a person opened the link themselves; otherwise asks first.

    So programs that open links in messages do not use it up, and other sites cannot sign anyone in.
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
    begun = await sign_in_links.redeem(session, code, browser_of(request))
    return welcome(request, begun, "/")


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
