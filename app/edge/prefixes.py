"""Prefixes of paths: a proxy may serve the server below one, and pass it on with the path.

A prefix is stated, never guessed: by the header ``X-Forwarded-Prefix`` of a listed proxy, or by
the path of ``PRICETAG_PUBLIC_URL``. All links are relative to the page, so that a proxy which
removes its prefix needs to state nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.edge.proxies import came_from

HEADER = "x-forwarded-prefix"
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")


class Prefixes:
    """ASGI middleware that removes the prefix of a proxy from the path of a request.

    Args:
        app: The application.
        trusted: Addresses and networks of the proxies whose header is believed.
        public: Prefix of the server's public address; empty without one.
    """

    def __init__(self, app: ASGIApp, trusted: Sequence[str], public: str = "") -> None:
        self._app = app
        self._trusted = trusted
        self._public = public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the application on the path below the prefix."""
        if scope["type"] == "http":
            for prefix in self._prefixes(scope):
                if scope["path"] == prefix:
                    await _folder(scope, prefix)(scope, receive, send)
                    return
                if scope["path"].startswith(f"{prefix}/"):
                    scope = _below(scope, prefix)
                    break
        await self._app(scope, receive, send)

    def _prefixes(self, scope: Scope) -> Sequence[str]:
        stated = prefix_of(Headers(scope=scope).get(HEADER))
        believed = stated if stated and came_from(scope, self._trusted) else ""
        return [prefix for prefix in (believed, self._public) if prefix]


def prefix_of(text: str | None) -> str:
    """A prefix without the slash at its end; empty if the text is not one."""
    prefix = (text or "").strip().rstrip("/")
    is_one = _PREFIX.fullmatch(prefix) and not {".", ".."} & set(prefix.split("/"))
    return prefix if is_one else ""


def _below(scope: Scope, prefix: str) -> Scope:
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return {
        **scope,
        "path": scope["path"].removeprefix(prefix),
        "raw_path": raw.removeprefix(prefix.encode()),
    }


def _folder(scope: Scope, prefix: str) -> Response:
    """Leads from the prefix to the path with a slash at its end, from which links are relative."""
    query = scope["query_string"].decode("latin-1")
    location = prefix.rpartition("/")[2] + "/" + (f"?{query}" if query else "")
    return Response(status_code=307, headers={"Location": location, "Cache-Control": "no-store"})


def install(app: FastAPI, trusted: Sequence[str], public_url: str | None) -> None:
    """Lets an application be served below prefixes."""
    public = prefix_of(urlsplit(public_url).path) if public_url else ""
    app.add_middleware(Prefixes, trusted=trusted, public=public)
