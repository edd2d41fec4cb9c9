"""Runs by energy and by cost: in the API, on the page, and from the overview in one click."""

from __future__ import annotations

import re
from typing import Any

import pytest

from app.services import cursors
from app.services.runs.listing import RunFilter
from tests.support.api import Api, fields, problem
from tests.support.run_lists import FIGURE_SORTS, Lab, admin, by_hand

HTML = {"Accept": "text/html"}


async def filled(api: Api) -> Lab:
    async with api.database.session_scope() as session:
        lab = Lab(session)
        await lab.fill(40)
    return lab


async def page(api: Api, path: str, **query: Any) -> str:
    response = await api.admin.get(path, params=query, headers=HTML)
    assert response.status_code == 200, response.text
    return response.text


@pytest.mark.parametrize("sort", FIGURE_SORTS)
async def test_pages_by_a_figure_lead_forwards_and_back(api: Api, sort: str) -> None:
    lab = await filled(api)
    expected = [str(run_id) for run_id in by_hand(lab, admin(lab), RunFilter(), sort)]
    query: dict[str, Any] = {"sort": sort, "limit": 7}
    pages = []
    while True:
        read = (await api.admin.get("/v1/runs", params=query)).json()
        pages.append([item["id"] for item in read["items"]])
        if read["next_cursor"] is None:
            break
        query["cursor"] = read["next_cursor"]
    assert [run_id for ids in pages for run_id in ids] == expected
    back = {**query, "cursor": read["previous_cursor"]}
    before = (await api.admin.get("/v1/runs", params=back)).json()
    assert [item["id"] for item in before["items"]] == pages[-2]


async def test_a_cursor_without_a_number_and_a_start_time_are_rejected(api: Api) -> None:
    await filled(api)
    cursor = cursors.encode("-cost", "much", "6b0e3a52-4bb2-4c7a-9d9e-0a54a4a5c1c3")
    refused = await api.admin.get("/v1/runs", params={"sort": "-cost", "cursor": cursor})
    problem(refused, 422, "invalid-cursor")
    at = {"sort": "cost", "start_at": "2026-03-01T00:00Z"}
    refused = await api.admin.get("/v1/runs", params=at)
    assert fields(problem(refused, 422, "no-start-time")) == ["start_at"]


async def test_the_columns_of_the_page_sort_by_their_figures_most_expensive_first(api: Api) -> None:
    lab = await filled(api)
    for sort in ("-cost", "-it_energy_kwh"):
        text = await page(api, "/runs", sort=sort, limit=7)
        first = by_hand(lab, admin(lab), RunFilter(), sort)[:7]
        links = [re.search(rf'href="[./]*runs/{run_id}"', text) for run_id in first]
        places = [link.start() for link in links if link]
        assert len(places) == 7
        assert places == sorted(places)
        assert text.count('aria-sort="descending"') == 1
        assert ("Costs in another currency than USD, the server's," in text) == (sort == "-cost")
    plain = await page(api, "/runs")
    assert "Costs in another currency" not in plain
    assert "sort=-cost" in plain
    assert "sort=-it_energy_kwh" in plain


async def test_the_overview_leads_to_the_most_expensive_runs_of_the_month(api: Api) -> None:
    await filled(api)
    text = await page(api, "/")
    link = re.search(r'href="([^"]+)">Most expensive runs', text)
    assert link is not None
    address = link[1].replace("&amp;", "&")
    assert re.search(r"finished_after=\d{4}-\d{2}-01&sort=-(cost|it_energy_kwh)", address)
    assert "Most expensive first" in await page(api, "/" + address.removeprefix("./"))
