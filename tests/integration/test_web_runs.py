"""The page of runs: its filters are the API's, and its address says all of its state."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import parse_qs, urlsplit

import httpx

from app.web.views.run_filters import filters
from tests.support.api import Api

HTML = {"Accept": "text/html"}


def names(page: httpx.Response) -> list[str]:
    """The names of the runs in the table, in order."""
    assert page.status_code == 200, page.text
    return [
        unescape(name)
        for name in re.findall(r'<th scope="row"[^>]*>.*?class="clip"[^>]*>(.*?)</bdi>', page.text)
    ]


async def shown(api: Api, query: str = "") -> httpx.Response:
    return await api.member.get(f"/runs{query}", headers=HTML)


async def test_the_form_of_the_page_filters_as_the_api_does(api: Api) -> None:
    await api.post_run(name="a <b>", tags=["seed:1"])
    await api.post_run(name="b", tags=["seed:2"], project="other")
    await api.post_run(name="c", tags=["seed:1"])
    empty = "&experiment=&tag=&kind=&created_after=&created_before=&finished_after=&q="
    for query, expected in (
        ("", ["c", "b", "a <b>"]),
        ("?sort=name", ["a <b>", "b", "c"]),
        (f"?project=other{empty}", ["b"]),
        (f"?project={empty}&tag=seed:1&sort=created_at", ["a <b>", "c"]),
        ("?q=B&user=me&status=queued&status=running", ["b", "a <b>"]),
        ("?status=failed", []),
    ):
        assert names(await shown(api, query)) == expected, query
        listed = await api.member.get("/v1/runs" + re.sub(r"[a-z_]+=(&|$)", "", query))
        assert [item["name"] for item in listed.json()["items"]] == expected, query


async def test_pages_follow_one_another_without_gaps(api: Api) -> None:
    for number in range(5):
        await api.post_run(name=f"run {number}")
    page = await shown(api, "?limit=2&sort=name")
    seen = names(page)
    while (link := re.search(r'rel="next" href="([^"]+)"', page.text)) is not None:
        target = urlsplit(unescape(link[1]))
        assert parse_qs(target.query)["sort"] == ["name"]
        page = await shown(api, f"?{target.query}")
        seen += names(page)
    assert seen == [f"run {number}" for number in range(5)]


async def test_a_filter_by_a_name_that_does_not_exist_says_so(api: Api) -> None:
    await api.post_run(project="vision")
    page = await shown(api, "?project=visoin")
    assert page.status_code == 404
    assert "visoin" in page.text
    assert 'role="alert"' in page.text
    assert 'value="visoin"' in page.text  # to be corrected


async def test_a_wrong_time_is_named(api: Api) -> None:
    page = await shown(api, "?created_after=yesterday")
    assert page.status_code == 422
    assert "created_after" in page.text


def test_the_same_list_for_programs() -> None:
    query = [("q", ""), ("tag", "it's"), ("status", "failed"), ("status", "queued")]
    here = [("cursor", "x"), ("limit", "20"), ("columns", "name,cost"), ("by", "tag")]
    made = filters([*query, *here, ("sort", "name")])
    address = "$PRICETAG_URL/v1/runs?tag=it%27s&status=failed&status=queued&sort=name"
    assert made.curl == f'curl -H "Authorization: Bearer $PRICETAG_TOKEN" "{address}"'
    command = "pricetag runs '--tag=it'\"'\"'s' --status=failed --status=queued --sort=name"
    assert made.command == command
    assert made.count == 3
    assert filters([("created_after", "2026-03-01T00:00Z")]).command is None
