"""A price tag that cannot be read takes no page away: the rest is shown, with the reason."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from sqlalchemy import text

from models.documents.codec import decode, encode
from tests.support.api import Api, fields, finished_run, problem, study_body
from tests.support.budgets import make_budget
from tests.support.site import PAGES
from tests.support.site_energy import ENERGY_NAMES
from tests.support.site_papers import SHARED

HTML = {"Accept": "text/html"}
CONTENT = text("SELECT content FROM price_tags WHERE run_id = :run_id")
WRITE = text("UPDATE price_tags SET content = :content WHERE run_id = :run_id")


@dataclass(frozen=True)
class Two:
    """A run whose price tag cannot be read, and another one."""

    api: Api
    bad: UUID
    good: UUID
    is_damaged: bool


def damaged(stored: bytes) -> bytes:
    """What is left of bytes after their end is lost."""
    return stored[:-3]


def of_another_form(stored: bytes) -> bytes:
    """As a later version may write it."""
    content = decode(stored)
    return encode({**content, "it_energy_kwh": "1.2 kWh", "stages": {"first": 1}})


@pytest_asyncio.fixture(params=[damaged, of_another_form])
async def two(committed_api: Api, request: pytest.FixtureRequest) -> AsyncIterator[Two]:
    async with committed_api.database.session_scope() as session:
        bad, good = await finished_run(session), await finished_run(session)
        stored = (await session.execute(CONTENT, {"run_id": bad})).scalar_one()
        values = {"run_id": bad, "content": request.param(bytes(stored))}
        await session.execute(WRITE, values)
    yield Two(committed_api, bad, good, request.param is damaged)


async def page(two: Two, path: str, query: Mapping[str, Any] | None = None) -> str:
    response = await two.api.admin.get(path, params=query, headers=HTML)
    assert response.status_code == 200, response.text
    return response.text


async def test_the_page_of_the_run_shows_everything_else_and_why(two: Two) -> None:
    shown = await page(two, f"/runs/{two.bad}")
    assert "The price tag cannot be read (" in shown
    for part in ("Attempts", "Recipe", "Artifacts", "Log", "Versions:"):
        assert part in shown
    assert "cannot be read" not in await page(two, f"/runs/{two.good}")


async def test_the_list_of_runs_and_the_versions_have_it(two: Two) -> None:
    listed = (await two.api.viewer.get("/v1/runs")).json()["items"]
    assert {item["id"] for item in listed} == {str(two.bad), str(two.good)}
    await page(two, "/runs")
    versions = await two.api.viewer.get(f"/v1/runs/{two.bad}/price-tags")
    assert versions.status_code == 200
    (version,) = versions.json()["items"]
    assert version["it_energy_kwh"]["value"] is None
    assert version["it_energy_kwh"]["reason"]


@pytest.mark.parametrize("name", ["frontier", "compressions", "expected-validation"])
async def test_insights_count_it_apart(two: Two, name: str) -> None:
    read = await two.api.viewer.get(f"/v1/insights/{name}")
    assert read.status_code == 200, read.text
    assert read.json()["unreadable"] == 1


@pytest.mark.parametrize("name", ["frontier", "compressions", "curves"])
async def test_pages_of_insights_say_so(two: Two, name: str) -> None:
    assert "Without 1 run whose price tag cannot be read." in await page(two, f"/insights/{name}")


async def test_comparisons_and_reports_name_the_run(two: Two) -> None:
    groups = {"a": str(two.bad), "b": str(two.good)}
    refused = await two.api.viewer.get("/v1/comparisons", params=groups)
    error = problem(refused, 422, "nothing-to-compare")
    assert fields(error) == ["a.0"]
    assert "cannot be read" in error["detail"]
    compared = await two.api.admin.get("/compare", params=groups, headers=HTML)
    assert compared.status_code < 500
    assert "cannot be read" in compared.text
    body = {"title": "t", "runs": [str(two.good), str(two.bad)]}
    refused = await two.api.admin.post("/v1/reports", json=body)
    assert fields(problem(refused, 422, "nothing-to-report")) == ["runs.1"]


async def test_what_needs_it_alone_is_an_error_or_a_difference(two: Two) -> None:
    query = {"attempt": 1, "from_s": 0, "to_s": 1}
    window = await two.api.viewer.get(f"/v1/runs/{two.bad}/energy", params=query)
    verified = await two.api.viewer.get(f"/v1/runs/{two.bad}/price-tag/verification")
    if two.is_damaged:
        for response in (window, verified):
            problem(response, 500, "price-tag-unreadable")
    else:  # its readings are whole; what it says is not what they give
        assert window.json()["it_energy_kwh"]["value"] > 0
        assert verified.json()["outcome"] == "differs"


async def test_no_page_fails_because_of_it(two: Two) -> None:
    run = (await two.api.admin.get(f"/v1/runs/{two.bad}")).json()
    budget = await make_budget(two.api)
    collected = {"title": "t", "project": run["project"], "runs": [str(two.good), str(two.bad)]}
    paper = (await two.api.admin.post("/v1/papers", json=collected)).json()
    study = (await two.api.admin.post("/v1/studies", json=study_body())).json()
    names = {**ENERGY_NAMES, "run": two.bad, "budget": budget["id"], "project": run["project"]}
    names |= {"paper": paper["id"], "study": study["id"], "shared": SHARED}
    own = (
        *(f"/projects/{run['project']}", f"/budgets/{budget['id']}", f"/run-progress/{two.bad}"),
        *(f"/runs/{two.bad}?from_s=0&to_s=1", f"/runs?project={run['project']}&sort=-cost"),
    )
    failed = []
    for path in (*PAGES, *own):
        shown = await two.api.admin.get(path.format_map(names), headers=HTML)
        if shown.status_code >= 500:
            failed.append((path, shown.text))
    assert failed == []


async def test_its_verification_names_the_version_and_repricing_replaces_it(two: Two) -> None:
    shown = await page(two, f"/runs/{two.bad}/verification")
    assert "Verification of version 1" in shown
    assert ("The price tag cannot be read (" in shown) == two.is_damaged
    repriced = await two.api.admin.post(f"/v1/runs/{two.bad}/price-tag/reprice", json={})
    assert repriced.status_code in (200, 201), repriced.text
    assert repriced.json()["version"] == 2
    again = await page(two, f"/runs/{two.bad}/verification")
    assert "Verification of version 2" in again
    assert "cannot be read" not in again
    assert "Bill" in await page(two, f"/runs/{two.bad}")
