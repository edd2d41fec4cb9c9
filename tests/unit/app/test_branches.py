"""Operations of branches are those of routers, and each is analyzed once."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.responses import HTMLResponse
from fastapi.testclient import TestClient

from app.api.branches import Branch, install


def branch(prefix: str, path: str, **options: Any) -> Branch:
    router = Branch(prefix=prefix, **options)

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
    install(app, outer)
    install(app, branch("", "/nodes"))
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


def test_a_path_below_a_prefix_of_a_proxy_finds_its_route(client: TestClient) -> None:
    client.app.root_path = "/lab"  # type: ignore[attr-defined]
    assert client.get("/lab/v1/runs/1").json() == "/runs/{run}"
    assert client.get("/lab/nodes").json() == "/nodes"


async def refuse() -> None:
    raise ZeroDivisionError


def test_tags_response_class_schema_and_dependencies_are_those_of_the_branch() -> None:
    app = FastAPI(dependencies=[Depends(refuse)])
    install(app, branch("/a", "/b", tags=["runs"]))
    install(app, branch("/c", "", include_in_schema=False, default_response_class=HTMLResponse))
    assert app.openapi()["paths"].keys() == {"/a/b"}
    assert app.openapi()["paths"]["/a/b"]["get"]["tags"] == ["runs"]
    (described, page) = app.routes[-2:]
    assert page.response_class is HTMLResponse  # type: ignore[attr-defined]
    for path in ("/a/b", "/c"):
        with pytest.raises(ZeroDivisionError):
            TestClient(app).get(path)
    assert [depends.dependency for depends in described.dependencies] == [refuse]  # type: ignore[attr-defined]


def test_a_branch_takes_no_other_router_and_no_options() -> None:
    with pytest.raises(TypeError, match="a branch takes branches"):
        Branch().include_router(APIRouter())
    with pytest.raises(TypeError, match="a branch takes branches"):
        Branch().include_router(Branch(), prefix="/v1")
