"""Routers that are searched only for paths that can be theirs."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.api.branches import Branch, first_segments


def branch(prefix: str, path: str) -> Branch:
    router = Branch(prefix=prefix)

    @router.get(path)
    async def show() -> str:
        return prefix + path

    return router


@pytest.fixture
def client() -> TestClient:
    app = FastAPI()
    outer = Branch(prefix="/v1")
    for prefix, path in (("/runs", "/{run}"), ("", "/nodes"), ("", "/{any}/rest")):
        outer.include_router(branch(prefix, path))
    app.include_router(outer)
    app.include_router(branch("", "/nodes"))
    return TestClient(app)


@pytest.mark.parametrize(
    ("path", "status", "route"),
    [
        ("/v1/runs/1", 200, "/runs/{run}"),
        ("/v1/nodes", 200, "/nodes"),
        ("/v1/anything/rest", 200, "/{any}/rest"),
        ("/nodes", 200, "/nodes"),
        ("/runs/1", 404, None),
        ("/v1/runs", 404, None),
        ("/v1", 404, None),
        ("/", 404, None),
    ],
)
def test_a_path_finds_its_route(
    client: TestClient, path: str, status: int, route: str | None
) -> None:
    response = client.get(path)
    assert response.status_code == status
    assert route is None or response.json() == route


def test_another_method_is_not_allowed(client: TestClient) -> None:
    assert client.post("/v1/nodes").status_code == 405
    assert client.post("/nodes").status_code == 405


def test_a_route_that_begins_with_a_parameter_may_have_any_path() -> None:
    assert first_segments("", branch("", "/{any}/rest").routes) is None
    heads = first_segments("", branch("/runs", "/{run}").routes)
    assert heads == frozenset({"runs"})
