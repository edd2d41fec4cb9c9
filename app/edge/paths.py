"""Names with a slash in paths: ``/v1/projects/lab%2Fvision`` is the project ``lab/vision``.

Servers decode a path before they match it, so that an encoded slash looks like one between two
segments. Here it stays apart, as ``ENCODED_SLASH``.
"""

from __future__ import annotations

from urllib.parse import unquote

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from app.schemas.common import ENCODED_SLASH


class EncodedSlashes:
    """ASGI middleware that keeps the encoded slashes of a path within their segments.

    Args:
        app: The application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the application on a path whose segments are those that the client sent."""
        raw: bytes = scope.get("raw_path") or b""
        if scope["type"] == "http" and b"%2f" in raw.lower():
            segments = raw.decode("latin-1").split("/")
            path = "/".join(unquote(segment).replace("/", ENCODED_SLASH) for segment in segments)
            scope = {**scope, "path": path}
        await self._app(scope, receive, send)


def install(app: FastAPI) -> None:
    """Keeps the encoded slashes of an application's paths."""
    app.add_middleware(EncodedSlashes)
