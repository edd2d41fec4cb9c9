"""Requests of browsers: the cookie of their session, and their origin.

A browser sends its cookie with every request, from any site. So a cookie is accepted only for
pages, whose forms must come from this server, and for reading the API from our own pages.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

from fastapi import Request, Response
from fastapi.routing import APIRoute

from app.services.errors import ForbiddenError

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
SECURE_NAME = "__Host-pricetag"
WITHOUT_COOKIES = {"x-without-cookies": True}
"""`openapi_extra` of an operation outside our API that is not a page either: it uses no cookie."""

VISIT = "-visit"
"""Suffix of the name of the cookie for a visit to the identity provider."""


class CrossSiteError(ForbiddenError):
    """A form or script of another site made the request."""

    code = "cross-site"


def is_page(request: Request) -> bool:
    """Whether the request is for a page, and not for the API."""
    route = request.scope.get("route")
    if not isinstance(route, APIRoute) or route.include_in_schema:
        return False
    return not WITHOUT_COOKIES.items() <= (route.openapi_extra or {}).items()


def transport(request: Request) -> Literal["https", "loopback", "plain"]:
    """How the request arrived: encrypted, on this machine alone, or readable on the way."""
    if request.url.scheme == "https":
        return "https"
    peer = request.client.host if request.client else ""
    is_local = _is_loopback(request.url.hostname or "") and _is_loopback(peer)
    return "loopback" if is_local else "plain"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def cookie_name(request: Request) -> str | None:
    """Name of the session's cookie; None if the connection is not private.

    Cookies are shared by all ports of a host, so that on this machine the name has the port.
    """
    match transport(request):
        case "https":
            return SECURE_NAME
        case "loopback":
            return f"pricetag-{request.url.port or 80}"
        case "plain":
            return None


def session_secret(request: Request) -> str | None:
    """The secret of the browser's session, if a cookie is accepted."""
    secret = kept(request)
    if secret is None:
        return None
    if is_page(request):
        return secret
    is_own = request.headers.get("sec-fetch-site") == "same-origin"
    return secret if is_own and request.method in SAFE else None


async def require_own_forms(request: Request) -> None:
    """Requires that a change was sent by a page of this server.

    Raises:
        CrossSiteError: If it was not, or the browser does not state it.
    """
    if request.method in SAFE or not is_page(request):
        return
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        is_own = site == "same-origin"
    else:
        origin = urlsplit(request.headers.get("origin", ""))
        is_own = bool(origin.netloc) and origin.netloc == request.headers.get("host")
    if not is_own:
        raise CrossSiteError(
            "This form was not sent by a page of this server, so nothing was changed. Open the"
            " page here and send its form again."
        )


def keep(request: Request, response: Response, secret: str, *, suffix: str = "") -> None:
    """Sets a secret in the browser, until it is closed or the secret expires.

    Args:
        request: The sign-in, over https or on this machine.
        response: Gets the cookie.
        secret: The secret of the session, or of a visit to the identity provider.
        suffix: Suffix of the cookie's name.
    """
    name = cookie_name(request)
    if name is None:
        raise ValueError("a secret must not be sent over plain http")
    response.set_cookie(
        name + suffix,
        secret,
        path="/",
        httponly=True,
        samesite="lax",
        secure=name == SECURE_NAME,
    )


def kept(request: Request, *, suffix: str = "") -> str | None:
    """The secret that the browser has under a name."""
    name = cookie_name(request)
    return None if name is None else request.cookies.get(name + suffix)


def forget(request: Request, response: Response, *, suffix: str = "") -> None:
    """Removes a secret from the browser."""
    name = cookie_name(request)
    if name is not None:
        response.delete_cookie(
            name + suffix, path="/", httponly=True, samesite="lax", secure=name == SECURE_NAME
        )
