"""Every page behind a proxy that removes its prefix silently, and behind one that keeps it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from html.parser import HTMLParser
from typing import get_args
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.browser.conftest import NewContext
from tests.support.patience import PATIENCE_S
from tests.support.proxy import PREFIX, Manner, proxied
from tests.support.site import OPEN_PAGES, PAGES, Site

HTML = {"Accept": "text/html"}
OWN = {"Sec-Fetch-Site": "same-origin"}
IDS = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{64}")
"""What rows of a table differ in: of links that are the same but for these, one is followed."""

LINKS = {"href", "src", "action", "formaction", "data-document", "data-src"}


async def looked_at(visitor: httpx.AsyncClient, url: str) -> httpx.Response:
    """The beginning of what is at an address: a stream does not end."""
    async with visitor.stream("GET", url, headers=OWN) as response:
        return response


class Links(HTMLParser):
    """What a page links to: of forms, the address with their method."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[tuple[str, str]] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if "noreferrer" in (values.get("rel") or ""):
            return  # the citation of a factor
        method = (values.get("method") or "get") if tag == "form" else "get"
        for name, value in attrs:
            if name in LINKS and value and not value.startswith(("#", "data:")):
                self.found.add((method, value))


@pytest.fixture(scope="module", params=get_args(Manner))
def behind(site: Site, request: pytest.FixtureRequest) -> Iterator[str]:
    with proxied(site.url, request.param) as url:
        yield url


@pytest_asyncio.fixture
async def visitor(site: Site, behind: str) -> AsyncIterator[httpx.AsyncClient]:
    """An administrator's browser, whose cookie is named after the port that it sees."""
    cookies = {f"pricetag-{urlsplit(behind).port}": site.secret}
    async with httpx.AsyncClient(
        cookies=cookies, headers=HTML, trust_env=False, timeout=PATIENCE_S
    ) as opened:
        yield opened


async def test_all_that_any_page_links_to_is_behind_the_prefix_too(
    site: Site, behind: str, visitor: httpx.AsyncClient
) -> None:
    def beside(target: str) -> str:
        return site.url + target.removeprefix(behind)

    direct = httpx.AsyncClient(
        cookies={site.cookie["name"]: site.secret},
        headers=HTML,
        trust_env=False,
        timeout=PATIENCE_S,
    )
    seen: dict[tuple[str, str], tuple[str, str]] = {}
    for path in (*PAGES, *OPEN_PAGES):
        url = behind + site.filled(path)
        page = await visitor.get(url)
        assert page.status_code < 500, url
        links = Links()
        links.feed(page.text)
        assert links.found, url
        for method, link in links.found:
            assert not re.match(r"/|[a-z]+:", link), f"{path} loses the prefix: {link}"
            target = urljoin(url, link).partition("#")[0]
            assert urlsplit(target).path.startswith(f"{PREFIX}/"), f"{path}: {link}"
            seen.setdefault((method, IDS.sub("*", target)), (path, target))
    assert any("/static/" in target for _, target in seen.values())
    wrong = []
    for (method, _), (path, target) in seen.items():
        if method == "post":  # sent by another site: it is there, and changes nothing
            cross = {"Sec-Fetch-Site": "cross-site"}
            response = await visitor.post(target, headers=cross)
            right = response.status_code == 403
        else:
            response = await looked_at(visitor, target)
            right = response.status_code in (200, 303) or (
                response.status_code == (await looked_at(direct, beside(target))).status_code
            )
        if not right:
            wrong.append(f"{path}: {method} {target}: {response.status_code}")
    await direct.aclose()
    assert not wrong, "\n".join(wrong)


async def test_redirects_lead_below_the_prefix(behind: str) -> None:
    async with httpx.AsyncClient(headers=HTML, trust_env=False, timeout=PATIENCE_S) as nobody:
        asked = await nobody.get(f"{behind}/runs?limit=20")
        assert asked.status_code == 303
        there = urljoin(f"{behind}/runs", asked.headers["location"])
        assert there == f"{behind}/login?next=%2Fruns%3Flimit%3D20"
        form = {"theme": "dark", "next": "/runs"}
        redirect = await nobody.post(f"{behind}/theme", headers=OWN, data=form)
        assert urljoin(f"{behind}/theme", redirect.headers["location"]) == f"{behind}/runs"


async def test_events_come_through_as_they_are_sent(
    behind: str, visitor: httpx.AsyncClient
) -> None:
    url = f"{behind}/v1/stream?topics=runs"
    async with visitor.stream("GET", url, headers=OWN) as response:
        assert response.status_code == 200
        async for line in response.aiter_lines():
            if line.startswith("data:"):
                break  # of a stream that has not ended


async def test_a_browser_signs_in_and_goes_about(
    context: NewContext, site: Site, behind: str
) -> None:
    page = await (await context(signed_in=False)).new_page()
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    link = await site.link("a member")
    await page.goto(behind + link.removeprefix(site.url))
    await expect(page.locator("h1")).to_have_text("Overview")
    navigation = page.get_by_role("navigation", name="Pages")
    await navigation.get_by_role("link", name="Runs", exact=True).click()
    await expect(page.locator("h1")).to_have_text("Runs")
    await page.get_by_role("link", name="a member").click()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.locator("h1")).to_have_text("Sign in")
    await expect(page).to_have_url(f"{behind}/login")
    outside = [url for url in requests if not url.startswith((f"{behind}/", "data:"))]
    assert not outside


async def test_the_reference_tries_operations_below_the_prefix(
    context: NewContext, behind: str
) -> None:
    page = await (await context(signed_in=False)).new_page()
    await page.goto(f"{behind}/docs")
    await page.get_by_role("button", name="Liveness check").click()
    await page.get_by_role("button", name="Try it out").click()
    async with page.expect_response("**/healthz") as response:
        await page.get_by_role("button", name="Execute").click()
    assert (await response.value).url == f"{behind}/healthz"
    assert (await response.value).status == 200
