"""Pages while the database is away, and when it is back."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urljoin

import pytest

from app.db import Database
from tests.support.api import Api, problem

HTML = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}


@asynccontextmanager
async def database_away(api: Api, folder: Path) -> AsyncIterator[None]:
    """The server with a database that nobody answers for."""
    resources = api.app.state.resources
    present = resources.database
    url = f"postgresql+psycopg://postgres@/none?host={folder}"
    resources.database = Database(url, application_name="away", pool_size=1)
    try:
        yield
    finally:
        await resources.database.dispose()
        resources.database = present


@pytest.mark.parametrize("path", ["/", "/runs?limit=20", "/account", "/admin/users"])
async def test_a_page_says_that_the_database_is_away_and_comes_back_by_its_link(
    api: Api, tmp_path: Path, path: str
) -> None:
    async with database_away(api, tmp_path):
        page = await api.admin.get(path, headers=HTML)
    assert page.status_code == 503
    assert int(page.headers["retry-after"]) > 0
    assert 'class="brand"' in page.text
    assert "The database is unreachable" in page.text
    assert "Nothing is lost" in page.text
    assert not re.search(r"Traceback|psycopg|OperationalError|Idempotency", page.text)
    again = re.search(r'href="([^"]*)">Try again<', page.text)
    assert again is not None
    link = urljoin(f"http://pricetag.test{path}", again[1])
    assert link == f"http://pricetag.test{path}"
    assert (await api.admin.get(link, headers=HTML)).status_code == 200


async def test_a_form_sent_during_an_outage_asks_to_look_first(api: Api, tmp_path: Path) -> None:
    async with database_away(api, tmp_path):
        page = await api.admin.post("/admin/users", headers=HTML, data={"name": "Ada"})
    assert page.status_code == 503
    assert "check before you send it again" in page.text
    assert "Try again" not in page.text


async def test_programs_get_the_error_as_before(api: Api, tmp_path: Path) -> None:
    async with database_away(api, tmp_path):
        problem(await api.admin.get("/v1/runs"), 503, "database-away")
        problem(await api.admin.get("/metrics"), 503, "database-away")
