"""Relative links, so that every page works behind any prefix, without a setting."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from fastapi import Request

_PARAMETER = re.compile(r"\{([^}]+)\}")

Query = Mapping[str, str | int | Sequence[str] | None]


class UnknownPageError(LookupError):
    """A template links to a page that does not exist."""


def rel(request: Request, name: str, query: Query | None = None, **parameters: object) -> str:
    """The relative link from this page to another one.

    Args:
        request: The page where the link is.
        name: Name of the other page: that of its function.
        query: Parameters of its query; None is omitted, and a sequence repeated.
        **parameters: Parameters of its path.

    Raises:
        UnknownPageError: If there is no such page, or a parameter of its path is missing.
    """
    path = path_of(request, name, **parameters)
    pairs = [(key, value) for key, value in (query or {}).items() if value is not None]
    return to(request, path + (f"?{urlencode(pairs, doseq=True)}" if pairs else ""))


def path_of(request: Request, name: str, **parameters: object) -> str:
    """The path of a page from the root of the server, encoded.

    Raises:
        UnknownPageError: If there is no such page, or a parameter of its path is missing.
    """
    template = _paths(request).get(name)
    if template is None:
        raise UnknownPageError(f"no page is named {name!r}")

    def filled(match: re.Match[str]) -> str:
        parameter = match[1].partition(":")[0]
        if parameter not in parameters:
            raise UnknownPageError(f"the page {name!r} needs {parameter!r}")
        return quote(str(parameters[parameter]), safe="")

    return _PARAMETER.sub(filled, template)


def has_page(request: Request, name: str) -> bool:
    """Whether this server has a page of a name."""
    return name in _paths(request)


def _paths(request: Request) -> Mapping[str, str]:
    paths: Mapping[str, str] = request.app.state.page_paths
    return paths


def to(request: Request, path: str) -> str:
    """The relative link from this page to a path from the root of the server."""
    depth = request.scope["path"].count("/") - 1
    return ("../" * depth or "./") + path.removeprefix("/")


def stream_url(request: Request) -> str:
    """The relative link to the live stream, for scripts: all pages read the same one."""
    return to(request, "/v1/stream?history=ten-minutes")


def asset(request: Request, name: str) -> str:
    """The relative link to a file of ours, with the hash of all of them."""
    assets: Any = request.app.state.assets
    return to(request, assets.path(name))


def local_path(text: str | None) -> str:
    """A path on this server to continue with, from a form; the overview for any other address."""
    if not text or not text.startswith("/") or re.search(r"[\\\x00-\x20\x7f]", text):
        return "/"
    parts = urlsplit(text)
    is_elsewhere = text.startswith("//") or parts.scheme or parts.netloc
    return "/" if is_elsewhere else text
