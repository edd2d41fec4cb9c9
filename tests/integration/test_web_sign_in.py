"""Signing in to the pages: one-time links, sessions, and what cookies may do."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import select, update

from app.housekeeping import tidy
from app.services.people import sign_in_links, users, web_sessions
from models import Token, User, WebSession
from tests.support.api import Api, problem

HTML = {"Accept": "text/html"}
TYPED = HTML | {"Sec-Fetch-Site": "none"}
OWN = HTML | {"Sec-Fetch-Site": "same-origin"}
COOKIE = "__Host-pricetag"


@pytest_asyncio.fixture
async def browser(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    """A browser over https, which keeps cookies and follows nothing by itself."""
    transport = httpx.ASGITransport(api.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="https://lab.test") as opened:
        yield opened


async def link_of(api: Api, name: str) -> str:
    async with api.database.session_scope() as session:
        code = await sign_in_links.create(session, await users.named(session, name))
    return f"/login/link/{code}"


async def signed_in(api: Api, browser: httpx.AsyncClient, name: str = "a member") -> None:
    response = await browser.get(await link_of(api, name), headers=TYPED)
    assert response.status_code == 303, response.text


async def test_a_typed_link_signs_in_once(api: Api, browser: httpx.AsyncClient) -> None:
    link = await link_of(api, "a member")
    response = await browser.get(link, headers=TYPED)
    assert (response.status_code, response.headers["location"]) == (303, "../../")
    cookie = response.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    for part in ("HttpOnly", "Secure", "Path=/", "SameSite=lax"):
        assert part in cookie
    assert "Domain" not in cookie
    page = await browser.get("/", headers=HTML)
    assert page.status_code == 200
    assert "a member" in page.text
    again = await browser.get(link, headers=TYPED)
    assert again.status_code == 404
    assert "was used already" in again.text
    page = await browser.get(link, headers={**TYPED, **HTML})
    assert "This link does not sign in" in page.text
    assert 'href="../../login"' in page.text


@pytest.mark.parametrize("site", ["cross-site", "same-site", "same-origin", None])
async def test_a_link_that_nobody_typed_asks_first(
    api: Api, browser: httpx.AsyncClient, site: str | None
) -> None:
    link = await link_of(api, "a member")
    headers = HTML | ({"Sec-Fetch-Site": site} if site else {})
    page = await browser.get(link, headers=headers)
    assert page.status_code == 200
    assert "set-cookie" not in page.headers
    action = re.search(r'<form method="post" action="([^"]+login/link[^"]+)"', page.text)
    assert action is not None
    assert (await browser.post(link, headers=OWN)).status_code == 303


async def test_pages_lead_to_the_sign_in_and_back(browser: httpx.AsyncClient) -> None:
    response = await browser.get("/runs?limit=20", headers=HTML)
    assert response.status_code == 303
    assert response.headers["location"] == "./login?next=%2Fruns%3Flimit%3D20"
    problem(await browser.get("/runs"), 401, "unauthenticated")  # a program, and not a browser


async def test_a_wrong_token_is_an_error_at_its_field_and_the_way_back_stays(
    browser: httpx.AsyncClient,
) -> None:
    form = {"token": "pt_wrong", "next": "/runs?limit=20"}
    page = await browser.post("/login", headers=OWN, data=form)
    assert page.status_code == 401
    assert "revoked or expired" in page.text
    assert 'aria-invalid="true"' in page.text
    assert 'name="next" value="/runs?limit=20"' in page.text
    assert "pt_wrong" not in page.text


async def test_a_failed_visit_to_the_provider_leads_back_to_the_same_page(
    browser: httpx.AsyncClient,
) -> None:
    page = await browser.get("/login/oidc?next=/runs", headers=HTML)
    assert page.status_code == 404  # none is set up
    assert 'href="../login?next=%2Fruns"' in page.text


async def test_each_sign_in_has_a_new_secret(api: Api, browser: httpx.AsyncClient) -> None:
    browser.cookies.set(COOKIE, "fixed", domain="lab.test")
    await signed_in(api, browser)
    first = [c.value for c in browser.cookies.jar if c.name == COOKIE]
    assert "fixed" not in first
    await signed_in(api, browser)
    assert [c.value for c in browser.cookies.jar if c.name == COOKIE] != first


async def test_signing_out_ends_the_session_on_the_server(
    api: Api, browser: httpx.AsyncClient
) -> None:
    await signed_in(api, browser)
    kept = {COOKIE: next(c.value or "" for c in browser.cookies.jar if c.name == COOKIE)}
    response = await browser.post("/logout", headers=OWN)
    assert (response.status_code, response.headers["location"]) == (303, "./login")
    browser.cookies.clear()
    browser.cookies.update(kept)
    assert (await browser.get("/", headers=HTML)).status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.test"},
        {"Origin": "null"},
        {},
    ],
)
async def test_forms_of_other_sites_change_nothing(
    api: Api, browser: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    await signed_in(api, browser)
    problem(await browser.post("/logout", headers=headers), 403, "cross-site")
    assert (await browser.get("/", headers=HTML)).status_code == 200


async def test_an_old_browser_is_recognized_by_its_origin(
    api: Api, browser: httpx.AsyncClient
) -> None:
    await signed_in(api, browser)
    response = await browser.post("/logout", headers={"Origin": "https://lab.test"})
    assert response.status_code == 303


async def test_the_cookie_reads_the_api_from_our_pages_alone(
    api: Api, browser: httpx.AsyncClient
) -> None:
    await signed_in(api, browser)
    own = {"Sec-Fetch-Site": "same-origin"}
    me = await browser.get("/v1/me", headers=own)
    assert me.status_code == 200
    assert me.json()["user"]["name"] == "a member"
    assert me.json()["token"] is None
    for site in ("cross-site", "same-site", "none"):
        response = await browser.get("/v1/me", headers={"Sec-Fetch-Site": site})
        problem(response, 401, "unauthenticated")
    posted = await browser.post("/v1/runs", headers=own, json={})
    problem(posted, 401, "unauthenticated")


async def test_sessions_end_when_idle_and_after_a_week(
    api: Api, browser: httpx.AsyncClient
) -> None:
    now = datetime.now(UTC)
    cases = (
        {"last_used_at": now - web_sessions.IDLE - timedelta(seconds=1)},
        {"expires_at": now - timedelta(seconds=1)},
        {"revoked_at": now},
    )
    for ended in cases:
        await signed_in(api, browser)
        assert (await browser.get("/", headers=HTML)).status_code == 200
        async with api.database.session_scope() as session:
            await session.execute(update(WebSession).values(**ended))
        assert (await browser.get("/", headers=HTML)).status_code == 303, ended


async def test_a_disabled_user_is_signed_out_everywhere(
    api: Api, browser: httpx.AsyncClient
) -> None:
    link = await link_of(api, "a member")
    await signed_in(api, browser)
    async with api.database.session_scope() as session:
        named = User.name == "a member"
        await session.execute(update(User).where(named).values(disabled_at=datetime.now(UTC)))
    assert (await browser.get("/", headers=HTML)).status_code == 303
    assert (await browser.get(link, headers=TYPED)).status_code == 404


async def test_a_session_of_a_token_ends_with_it(api: Api, browser: httpx.AsyncClient) -> None:
    async with api.database.session_scope() as session:
        user = await users.named(session, "a member")
        token_id = (await session.execute(Token.__table__.select())).first()
        assert token_id is not None
        begun = await web_sessions.begin(session, user, "token", token_id=token_id.id)
    browser.cookies.set(COOKIE, begun.secret, domain="lab.test")
    assert (await browser.get("/", headers=HTML)).status_code == 200
    async with api.database.session_scope() as session:
        await session.execute(update(Token).values(revoked_at=datetime.now(UTC)))
    assert (await browser.get("/", headers=HTML)).status_code == 303


async def test_plain_http_from_elsewhere_says_why_there_is_no_sign_in(api: Api) -> None:
    transport = httpx.ASGITransport(api.app, client=("192.0.2.7", 5000))
    async with httpx.AsyncClient(transport=transport, base_url="http://lab.test") as plain:
        page = await plain.get("/login", headers=HTML)
        assert "You cannot sign in over plain http" in page.text
        response = await plain.get(await link_of(api, "a member"), headers=TYPED)
        assert response.status_code == 403
        assert "set-cookie" not in response.headers


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000"])
async def test_plain_http_on_this_machine_signs_in(api: Api, host: str) -> None:
    transport = httpx.ASGITransport(api.app, client=("127.0.0.1", 5000))
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as local:
        response = await local.get(await link_of(api, "a member"), headers=TYPED)
        assert response.status_code == 303
        assert response.headers["set-cookie"].startswith("pricetag-8000=")
        assert "Secure" not in response.headers["set-cookie"]


@pytest.mark.parametrize("to", ["//evil.test/", "https://evil.test/", "/\\evil.test", "evil", ""])
async def test_the_way_back_stays_on_this_server(browser: httpx.AsyncClient, to: str) -> None:
    form = {"theme": "dark", "next": to}
    response = await browser.post("/theme", headers=OWN, data=form)
    assert (response.status_code, response.headers["location"]) == (303, "./")


async def test_sessions_that_ended_long_ago_are_forgotten(
    api: Api, browser: httpx.AsyncClient
) -> None:
    long_ago = datetime.now(UTC) - web_sessions.KEPT - timedelta(seconds=1)
    await signed_in(api, browser)
    async with api.database.session_scope() as session:
        await session.execute(update(WebSession).values(expires_at=long_ago))
    await signed_in(api, browser)
    await tidy(api.database)
    async with api.database.sessions() as session:
        kept = (await session.execute(select(WebSession.expires_at))).scalars().all()
    assert len(kept) == 1
    assert kept[0] > datetime.now(UTC)
