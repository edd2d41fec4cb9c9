"""One server and one browser for all tests of pages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from playwright.async_api import (
    Browser,
    BrowserContext,
    Page,
    Request,
    Response,
    async_playwright,
    expect,
)
from sqlalchemy import make_url

from app.db import libpq_url
from tests.support.site import Site, running_site

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

STREAMS = ("/v1/stream", "/events")
"""Ends of addresses whose requests last as long as a page is open."""
QUIET_S = 0.3
PATIENCE_MS = 120_000.0
"""Longest time for whatever a page or the browser does, on a machine with too much work."""

expect.set_options(timeout=PATIENCE_MS)

NewContext = Callable[..., Awaitable[BrowserContext]]


async def visit(page: Page, path: str) -> Response:
    """Opens a page, and waits until all its requests have ended, except streams."""
    under_way: set[Request] = set()

    def begun(request: Request) -> None:
        if not request.url.partition("?")[0].endswith(STREAMS):
            under_way.add(request)

    def ended(request: Request) -> None:
        under_way.discard(request)

    page.on("request", begun)
    page.on("requestfinished", ended)
    page.on("requestfailed", ended)
    response = await page.goto(path, wait_until="load")
    assert response is not None
    quiet_since = time.monotonic()
    while time.monotonic() < quiet_since + QUIET_S:
        if under_way:
            quiet_since = time.monotonic()
        await asyncio.sleep(0.02)
    page.remove_listener("request", begun)
    page.remove_listener("requestfinished", ended)
    page.remove_listener("requestfailed", ended)
    return response


async def until(page: Page, condition: str) -> None:
    """Waits for a condition; Playwright's own waiting evaluates text, which the policy forbids."""
    assert await page.evaluate(
        f"""(async () => {{
          const end = performance.now() + {PATIENCE_MS};
          while (performance.now() < end) {{
            if ({condition}) return true;
            await new Promise((done) => setTimeout(done, 30));
          }}
          return false;
        }})()"""
    ), condition


async def has_loaded(page: Page, heading: str) -> None:
    """Waits until the page with this heading is there, and its scripts listen to keys."""
    await expect(page.locator("h1")).to_have_text(heading)
    await page.wait_for_load_state("load")


@pytest.fixture(scope="session")
def site_database_url(database_url: str) -> Iterator[str]:
    """A migrated database of the server's own."""
    base = libpq_url(database_url)
    name = f"site_{make_url(base).database}"
    with psycopg.connect(base, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
        admin.execute(f"CREATE DATABASE {name} TEMPLATE pricetag_template".encode())
    yield make_url(database_url).set(database=name).render_as_string(hide_password=False)
    with psycopg.connect(base, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())


@pytest_asyncio.fixture(scope="session")
async def site(
    site_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    async with running_site(site_database_url, tmp_path_factory.mktemp("site")) as opened:
        yield opened


@pytest_asyncio.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    if not CHROMIUM.exists():
        pytest.fail(f"{CHROMIUM} is missing: install it with 'apt-get install chromium'")
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=FLAGS, timeout=PATIENCE_MS
        )
        yield opened
        await opened.close()


@pytest_asyncio.fixture
async def context(browser: Browser, site: Site) -> AsyncIterator[NewContext]:
    """Opens windows of the browser, of an administrator by default."""
    opened: list[BrowserContext] = []

    async def new(*, signed_in: bool = True, **options: Any) -> BrowserContext:
        made = await browser.new_context(base_url=site.url, **options)
        made.set_default_timeout(PATIENCE_MS)
        if signed_in:
            await made.add_cookies([site.cookie])  # type: ignore[list-item]
        opened.append(made)
        return made

    yield new
    for made in opened:
        await made.close()
