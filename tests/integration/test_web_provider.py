"""Signing in by an identity provider, which runs as its own process, and by a proxy."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from app.db import Database
from app.schemas.users import UserChange, UserCreate
from app.services.people import users
from app.settings import Settings
from tests.support.api import Api, problem, serving
from tests.support.patience import PATIENCE_S
from tests.support.provider import CLIENT, SECRET

ROOT = Path(__file__).parents[2]
HTML = {"Accept": "text/html"}
ROLES = {"staff": "member", "it": "admin", "guests": "viewer"}
Opened = Callable[..., Any]


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = tmp_path_factory.mktemp("provider") / "port"
    command = [sys.executable, "-m", "tests.support.provider", str(port)]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        while not (port.exists() and port.read_text()):
            assert process.poll() is None, "the provider did not start"
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port.read_text()}"
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def opened(db: Database, tmp_path: Path, issuer: str) -> Opened:
    @asynccontextmanager
    async def open_lab(**changes: Any) -> AsyncIterator[tuple[Api, httpx.AsyncClient]]:
        values: dict[str, Any] = {
            "database_url": db.url,
            "data_dir": tmp_path,
            "public_url": "https://lab.test/",
            "oidc_issuer": issuer,
            "oidc_client_id": CLIENT,
            "oidc_client_secret": SECRET,
            "group_roles": ROLES,
            **changes,
        }
        async with serving(db, Settings(**values)) as api:
            transport = httpx.ASGITransport(api.app, client=("192.0.2.9", 4000))
            url = "https://lab.test"
            async with httpx.AsyncClient(transport=transport, base_url=url) as browser:
                yield api, browser

    return open_lab


async def visited(browser: httpx.AsyncClient, **choices: str) -> httpx.Response:
    """A browser goes to the provider, and comes back to our server."""
    there = await browser.get("/login/oidc?next=/runs", headers=HTML)
    assert there.status_code == 303, there.text
    async with httpx.AsyncClient(timeout=PATIENCE_S) as outside:
        back = await outside.get(there.headers["location"], params=choices_of(there, choices))
    assert back.status_code == 303, back.text
    return await browser.get(back.headers["location"], headers=HTML)


def choices_of(there: httpx.Response, choices: dict[str, str]) -> dict[str, str]:
    sent = parse_qs(urlsplit(there.headers["location"]).query)
    return {name: values[0] for name, values in sent.items()} | choices


async def me(browser: httpx.AsyncClient) -> dict[str, Any]:
    response = await browser.get("/v1/me", headers={"Sec-Fetch-Site": "same-origin"})
    assert response.status_code == 200, response.text
    return dict(response.json())


async def test_a_new_user_gets_the_highest_role_of_their_groups(opened: Opened) -> None:
    async with opened() as (_, browser):
        page = await browser.get("/login", headers=HTML)
        assert "Sign in with single sign-on" in page.text
        person = {"groups": "staff,guests,unknown", "email": "a@b.example", "verified": "yes"}
        back = await visited(browser, **person)
        assert (back.status_code, back.headers["location"]) == (303, "../../runs")
        caller = await me(browser)
        assert (caller["user"]["name"], caller["role"]) == ("ada", "member")
        assert caller["user"]["external_identity"]["subject"] == "id of ada"
        assert (await browser.get("/runs", headers=HTML)).status_code == 200


async def test_an_address_that_was_not_confirmed_is_not_kept(opened: Opened) -> None:
    async with opened() as (_, browser):
        await visited(browser, groups="staff", email="boss@lab.example")
        assert (await me(browser))["user"]["email"] is None


async def test_roles_follow_the_groups_at_every_sign_in(opened: Opened) -> None:
    async with opened() as (_, browser):
        for groups, role in (("staff", "member"), ("guests", "viewer"), ("it", "admin")):
            await visited(browser, groups=groups)
            assert (await me(browser))["role"] == role
        rejected = await visited(browser, groups="others")
        assert rejected.status_code == 403
        assert "none of their groups has a role" in rejected.text


async def test_without_groups_administrators_decide_about_roles(opened: Opened) -> None:
    async with opened(group_roles={}, default_role="viewer") as (api, browser):
        await visited(browser, groups="it")
        caller = await me(browser)
        assert caller["role"] == "viewer"
        async with api.database.session_scope() as session:
            user = await users.named(session, "ada")
            await users.change(session, user.id, UserChange(role="member"), None)
        await visited(browser)
        assert (await me(browser))["role"] == "member"


async def test_a_name_in_use_is_never_taken_over(opened: Opened) -> None:
    async with opened() as (api, browser):
        async with api.database.session_scope() as session:
            await users.create(session, UserCreate(name="ada", role="admin"), None)
        await visited(browser, groups="staff")
        caller = await me(browser)
        assert (caller["user"]["name"], caller["role"]) == ("ada (2)", "member")


async def test_a_disabled_user_cannot_sign_in(opened: Opened) -> None:
    async with opened() as (api, browser):
        await visited(browser, groups="staff")
        async with api.database.session_scope() as session:
            user = await users.named(session, "ada")
            await users.change(session, user.id, UserChange(disabled=True), None)
        assert (await visited(browser, groups="staff")).status_code == 403


@pytest.mark.parametrize(
    "wrong", ["nonce", "no-nonce", "issuer", "audience", "expired", "signature", "unsigned"]
)
async def test_a_wrong_token_signs_nobody_in(opened: Opened, wrong: str) -> None:
    async with opened() as (_, browser):
        back = await visited(browser, groups="staff", wrong=wrong)
        assert back.status_code == 403, back.text
        assert "is not valid" in back.text
        assert (await browser.get("/runs", headers=HTML)).status_code == 303


async def test_a_code_is_of_the_browser_that_began_and_of_no_other(opened: Opened) -> None:
    async with opened() as (_, browser):
        there = await browser.get("/login/oidc", headers=HTML)
        async with httpx.AsyncClient(timeout=PATIENCE_S) as outside:
            back = await outside.get(
                there.headers["location"], params=choices_of(there, {"groups": "staff"})
            )
        kept = dict(browser.cookies.items())
        browser.cookies.clear()  # a link that somebody sends to another browser
        other = await browser.get(back.headers["location"])
        problem(other, 403, "sign-in-rejected")
        browser.cookies.update(kept)
        forged = back.headers["location"].replace("state=", "state=x")
        problem(await browser.get(forged), 403, "sign-in-rejected")
        assert (await browser.get(back.headers["location"])).status_code == 303
        browser.cookies.update(kept)
        problem(await browser.get(back.headers["location"]), 403, "sign-in-rejected")  # used up


async def test_a_provider_that_is_away_is_said(opened: Opened) -> None:
    async with opened(oidc_issuer="http://127.0.0.1:9") as (_, browser):
        response = await browser.get("/login/oidc")
        problem(response, 503, "identity-provider-away")


async def test_no_provider_is_a_page_that_is_not_there(opened: Opened) -> None:
    async with opened(oidc_issuer=None) as (_, browser):
        problem(await browser.get("/login/oidc"), 404, "identity-provider-off")


async def test_a_listed_proxy_signs_its_user_in_and_out_with_its_own(opened: Opened) -> None:
    async with opened(remote_user_proxies=["192.0.2.0/24"]) as (_, browser):
        ada = HTML | {"Remote-User": "ada", "Remote-Groups": "staff, guests"}
        begun = await browser.get("/login?next=/runs", headers=ada)
        assert (begun.status_code, begun.headers["location"]) == (303, "./runs")
        assert (await browser.get("/runs", headers=ada)).status_code == 200
        grace = HTML | {"Remote-User": "grace", "Remote-Groups": "it"}
        assert (await browser.get("/runs", headers=grace)).status_code == 303
        assert (await browser.get("/runs", headers=HTML)).status_code == 303
        assert (await browser.get("/login", headers=grace)).status_code == 303
        page = await browser.get("/account", headers=grace)
        assert "grace" in page.text


@pytest.mark.parametrize("proxies", [[], ["192.0.2.10"], ["198.51.100.0/24"]])
async def test_nobody_else_may_name_the_user(opened: Opened, proxies: list[str]) -> None:
    async with opened(remote_user_proxies=proxies) as (_, browser):
        claimed = HTML | {"Remote-User": "a admin", "X-Forwarded-For": "198.51.100.7"}
        page = await browser.get("/login", headers=claimed)
        assert page.status_code == 200
        assert "set-cookie" not in page.headers


async def test_a_token_signs_in_with_its_rights(opened: Opened) -> None:
    async with opened() as (api, browser):
        secret = api.viewer.headers["authorization"].removeprefix("Bearer ")
        own = {"Sec-Fetch-Site": "same-origin"}
        problem(
            await browser.post("/login", headers=own, data={"token": "pt_wrong"}),
            401,
            "unauthenticated",
        )
        begun = await browser.post("/login", headers=own, data={"token": secret, "next": "/runs"})
        assert (begun.status_code, begun.headers["location"]) == (303, "./runs")
        caller = await me(browser)
        assert (caller["role"], caller["token"]["name"]) == ("viewer", "a viewer")
