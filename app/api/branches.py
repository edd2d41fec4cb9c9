"""Routers that are searched only for paths that can be theirs."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter
from starlette.routing import BaseRoute, Match
from starlette.types import Scope


class Branch(APIRouter):
    """A router that knows the segments with which its routes begin.

    A path is compared with every route of every router, and once more at each level of routers.
    Of hundreds of routes, most are ruled out by a segment: the first one of the path, or the
    second one below a prefix of all routers.
    """

    _heads: tuple[int, frozenset[str] | None] = (-1, None)
    """Number of routes, and their first segments; None if one of these is a parameter."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether a route has the path and the method of a request."""
        if scope["type"] == "http" and not scope.get("root_path"):
            heads = self._first_segments()
            if heads is not None and heads.isdisjoint(scope["path"].split("/", 3)[1:3]):
                return Match.NONE, {}
        return super().matches(scope)

    def _first_segments(self) -> frozenset[str] | None:
        number, heads = self._heads
        if number != len(self.routes):
            heads = first_segments(self.prefix, self.routes)
            self._heads = (len(self.routes), heads)
        return heads


def first_segments(prefix: str, routes: Sequence[BaseRoute]) -> frozenset[str] | None:
    """The segments with which routes begin; None if one of them can begin with any.

    Args:
        prefix: Prefix of all of them; may be empty.
        routes: The routes. Those of another router in them begin with the prefix.
    """
    paths = [str(getattr(route, "path", prefix)) for route in routes]
    heads = frozenset(path.split("/", 2)[1] if path else "{" for path in paths)
    return None if any("{" in head for head in heads) else heads
