"""Prefixes of paths: believed where somebody stated them who may, and never guessed."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI, Request

from app.edge import paths, prefixes, proxies

TRUSTED = ["127.0.0.1", "10.0.0.0/8"]


def application(public_url: str | None = None) -> FastAPI:
    app = FastAPI(redirect_slashes=False)

    @app.get("/{path:path}")
    async def show(request: Request, path: str) -> list[str]:
        return [path, request.scope["raw_path"].decode()]

    paths.install(app)
    prefixes.install(app, TRUSTED, public_url)
    proxies.install(app, TRUSTED)
    return app


async def asked(
    path: str, stated: str | None = None, *, peer: str = "127.0.0.1", public: str | None = None
) -> httpx.Response:
    transport = httpx.ASGITransport(application(public), client=(peer, 5000))
    headers = {} if stated is None else {"X-Forwarded-Prefix": stated}
    async with httpx.AsyncClient(transport=transport, base_url="http://lab.test") as http:
        return await http.get(path, headers=headers)


@pytest.mark.parametrize(
    ("path", "stated", "below"),
    [
        ("/lab/runs", "/lab", "runs"),
        ("/lab/", "/lab/", ""),
        ("/a/b/runs", "/a/b", "runs"),
        ("/lab/lab/runs", "/lab", "lab/runs"),
        ("/runs", "/lab", "runs"),  # the proxy has removed it
        ("/laboratory/runs", "/lab", "laboratory/runs"),
        ("/lab/runs", None, "lab/runs"),
        ("/lab/runs", "", "lab/runs"),
        ("/lab/runs", "lab", "lab/runs"),
        ("/lab/runs", "/lab, /other", "lab/runs"),
    ],
)
async def test_a_stated_prefix_is_removed_once(path: str, stated: str | None, below: str) -> None:
    response = await asked(path, stated)
    assert response.json() == [below, "/" + below]


@pytest.mark.parametrize("text", ["/..", "/a/./b", "/a//b", "https://lab.test/a", "/a b", "/a?x"])
def test_what_is_not_a_prefix_is_ignored(text: str) -> None:
    assert prefixes.prefix_of(text) == ""


async def test_only_listed_proxies_state_a_prefix() -> None:
    assert (await asked("/lab/runs", "/lab", peer="10.1.2.3")).json()[0] == "runs"
    assert (await asked("/lab/runs", "/lab", peer="192.0.2.7")).json()[0] == "lab/runs"


async def test_the_public_address_states_a_prefix_for_everybody() -> None:
    public = "https://lab.test/tools/pricetag/"
    for peer in ("127.0.0.1", "192.0.2.7"):
        response = await asked("/tools/pricetag/runs", peer=peer, public=public)
        assert response.json()[0] == "runs"
    assert (await asked("/runs", public=public)).json()[0] == "runs"
    assert (await asked("/other/runs", public="https://lab.test")).json()[0] == "other/runs"


async def test_an_encoded_slash_below_a_prefix_stays_in_its_segment() -> None:
    response = await asked("/lab/projects/a%2Fb", "/lab")
    assert response.json() == ["projects/a\x1fb", "/projects/a%2Fb"]


async def test_the_prefix_alone_leads_to_its_folder() -> None:
    for stated in ("/a/lab", "/a/lab/"):
        response = await asked("/a/lab?x=1", stated)
        assert (response.status_code, response.headers["location"]) == (307, "lab/?x=1")
