"""Proxies in front of the server: which ones to trust for scheme and address of a request."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address, ip_network

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

PEER = "pricetag.peer"


class Proxies:
    """ASGI middleware that believes ``X-Forwarded-Proto`` and ``-For`` of some addresses.

    Args:
        app: The application.
        trusted: Addresses and networks of the proxies.
    """

    def __init__(self, app: ASGIApp, trusted: Sequence[str]) -> None:
        self._app = ProxyHeadersMiddleware(app, trusted_hosts=list(trusted))  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Notes the address of the peer before the headers of proxies replace it."""
        if scope["type"] == "http":
            client = scope.get("client")
            scope[PEER] = client[0] if client else ""
        await self._app(scope, receive, send)  # type: ignore[arg-type]


def came_from(scope: Scope, addresses: Sequence[str]) -> bool:
    """Whether a request came directly from one of some addresses and networks."""
    try:
        peer = ip_address(scope.get(PEER, ""))
    except ValueError:
        return False
    return any(peer in ip_network(address, strict=False) for address in addresses)


def install(app: FastAPI, trusted: Sequence[str]) -> None:
    """Makes an application trust its proxies."""
    app.add_middleware(Proxies, trusted=trusted)
