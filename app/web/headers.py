"""Security headers: the sources that a page may load, and the sites that may embed it."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'self'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
SHARED_HEADERS = {
    **HEADERS,
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
    "Cache-Control": "no-store",
}
"""Headers of the pages of share links, whose address is a secret."""

API = "/v1/"
SHARED = "/s/"


class SecurityHeaders:
    """ASGI middleware that adds the headers to everything outside the API.

    Args:
        app: The application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the application, and adds the headers to its response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        wanted = SHARED_HEADERS if scope["path"].startswith(SHARED) else HEADERS

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in wanted.items():
                    headers.setdefault(name, value)
            await send(message)

        is_api = scope["path"].startswith(API)
        await self._app(scope, receive, send if is_api else send_guarded)


def install(app: FastAPI) -> None:
    """Adds the headers to the pages of an application."""
    app.add_middleware(SecurityHeaders)
