"""One server and one browser for all tests of pages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, async_playwright
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

NewContext = Callable[..., Awaitable[BrowserContext]]


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
        opened = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        await opened.close()


@pytest_asyncio.fixture
async def context(browser: Browser, site: Site) -> AsyncIterator[NewContext]:
    """Opens windows of the browser, of an administrator by default."""
    opened: list[BrowserContext] = []

    async def new(*, signed_in: bool = True, **options: Any) -> BrowserContext:
        made = await browser.new_context(base_url=site.url, **options)
        if signed_in:
            await made.add_cookies([site.cookie])  # type: ignore[list-item]
        opened.append(made)
        return made

    yield new
    for made in opened:
        await made.close()
