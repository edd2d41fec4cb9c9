"""Operations, declared in modules and analyzed once, in the application that serves them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.datastructures import DefaultPlaceholder
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope


class Branch(APIRouter):
    """A router that keeps what its operations declare until it is installed.

    FastAPI analyzes an operation when it is declared, and once more in the application that
    includes the router; and it searches each path at every level of routers. With hundreds of
    operations, that takes a second at each start and a millisecond of each request.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.declared: list[tuple[str, Callable[..., Any], dict[str, Any]]] = []

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        """Keeps an operation; the decorators call it."""
        options["tags"] = [*self.tags, *(options.get("tags") or ())]
        options["include_in_schema"] = self.include_in_schema and options["include_in_schema"]
        if isinstance(options["response_class"], DefaultPlaceholder):
            options["response_class"] = self.default_response_class
        self.declared.append((self.prefix + path, endpoint, options))

    def include_router(self, router: APIRouter, **options: Any) -> None:
        """Takes over the operations of another branch, below the prefix of this one."""
        if not isinstance(router, Branch) or options:
            raise TypeError("a branch takes branches, without options of their own")
        self.declared += [
            (self.prefix + path, endpoint, declared) for path, endpoint, declared in router.declared
        ]


class Operation(APIRoute):
    """An operation whose path is looked at more closely only if it begins like a request's."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self._beginning = path.partition("{")[0]

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether a request has the path and the method of the operation."""
        if not scope.get("root_path") and not scope["path"].startswith(self._beginning):
            return Match.NONE, {}
        return super().matches(scope)


def install(app: FastAPI, branch: Branch) -> None:
    """Adds the operations of a branch to an application."""
    for path, endpoint, options in branch.declared:
        app.router.add_api_route(path, endpoint, **options, route_class_override=Operation)
