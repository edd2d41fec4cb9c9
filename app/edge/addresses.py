"""The address of a server, from what it listens on."""

from __future__ import annotations

LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}
"""Wildcard addresses, and how a browser on the machine reaches them."""


def address_of(host: str, port: int) -> str:
    """The URL of a server; a wildcard address becomes loopback."""
    name = LOOPBACK.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{name}:{port}"
