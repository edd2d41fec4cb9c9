"""Browsers make of every page what its source shows."""

from __future__ import annotations

import httpx
import pytest

from tests.support.html import wrong_structure
from tests.support.site import OPEN_PAGES, PAGES, Site


async def test_the_structure_of_every_page_is_that_of_its_source(site: Site) -> None:
    headers = {"Accept": "text/html", "Cookie": f"{site.cookie['name']}={site.secret}"}
    wrong = []
    async with httpx.AsyncClient(base_url=site.url, headers=headers, timeout=60) as client:
        for path in (*PAGES, *OPEN_PAGES):
            page = await client.get(site.filled(path))
            assert page.headers["content-type"].startswith("text/html"), path
            wrong += [f"{path}: {line}" for line in wrong_structure(page.text)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("<p>a\n<details></details></p>", "line 2: <details> ends the <p> around it"),
        ("<div><b>x</div></b>", "line 1: </div> where <b> is open"),
        ("<form><div><form></form></div></form>", "line 1: <form> in <form>"),
        ('<a id="x"></a><b id="x"></b>', "line 1: the id 'x' twice"),
        ("<ul><li>", "<ul> is never closed"),
        ("<span/>", "line 1: <span/> is not closed by its slash"),
    ],
)
def test_other_structures_are_noticed(text: str, line: str) -> None:
    assert line in wrong_structure(text)
