"""Every number that a page shows is one that the API returns: pages compute none."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx
import pytest
import pytest_asyncio

from app.schemas.factors import FactorCreate
from app.web.views.periods import period
from pricetag.tag.ratios import METRICS
from tests.support.api import make_token
from tests.support.site import PAGES, Site, on_database
from tests.support.site_admin import SITE as ADMIN_SITE

VALUE = re.compile(r'<data value="([^"]+)"')
PATIENCE_S = 120.0
RUN = "/v1/runs/{run}"
PRICED = (RUN, f"{RUN}/price-tag", f"{RUN}/price-tags", f"{RUN}/artifacts", f"{RUN}/quote")
INSIGHTS = {"frontier": "frontier", "curves": "expected-validation", "compressions": "compressions"}
ONLY_OF_PAGES = {"by", "log", "whiskers", "only", "differ", "columns", "budget", "draws"}
"""Parameters that choose what is shown, not what there is."""

ADMIN = {
    f"/admin/sites/{ADMIN_SITE}": (f"/v1/sites/{ADMIN_SITE}",),
    "/admin/factors": ("/v1/factors",),
    "/admin/prices": ("/v1/catalog/prices", "/v1/prices"),
    "/admin/carbon": ("/v1/carbon",),
    "/admin/health": ("/v1/health",),
}
PREVIEW = "/admin/factors/new"
CHANGING = {"/admin/health": 0.2}
"""Relative tolerance for what changes all the time: the free space of a disk."""


def api_of(path: str) -> Sequence[str]:
    """The requests to the API that return what a page shows."""
    page, _, query = path.partition("#")[0].partition("?")
    asked = dict(parse_qsl(query))
    within = urlencode(_range(asked.pop("period", None)))
    kept = [(name, value) for name, value in parse_qsl(query) if name not in ONLY_OF_PAGES]
    turned = urlencode([({"a": "b", "b": "a"}.get(name, name), value) for name, value in kept])
    if page == "/":
        return ("/v1/overview",)
    if page.startswith("/insights/"):
        name = INSIGHTS[page.rpartition("/")[2]]
        return (f"/v1/insights/{name}?{urlencode(kept)}",)
    if page.startswith("/runs/{run}"):
        window: dict[str, str] = {n: asked[n] for n in ("from_s", "to_s") if n in asked}
        return (*PRICED, *([f"{RUN}/energy?{urlencode(window)}"] if window else []))
    if page == "/runs":
        of_runs = [(name, value) for name, value in kept if name != "limit"]
        if "by" in asked:
            return (f"/v1/runs/groups?{urlencode([*of_runs, ('by', asked['by'])])}",)
        return (f"/v1/runs?limit=200&{urlencode(of_runs)}",)
    fixed: dict[str, Sequence[str]] = {
        "/power": ("/v1/power",),
        "/queue": ("/v1/queue",),
        "/studies/{study}": ("/v1/studies/{study}",),
        "/papers/{paper}": ("/v1/papers/{paper}/files/paper.json",),
        "/s/{shared}": ("/s/{shared}/report.json",),
        "/nodes": (f"/v1/energy?by=node&{within}",),
        "/nodes/node": (
            "/v1/nodes",
            f"/v1/energy?by=component&node=node&{within}",
            f"/v1/energy?by=day&node=node&{within}",
        ),
        "/compare": [f"/v1/comparisons?{turned}&metric={metric}" for metric in METRICS],
        "/energy": (f"/v1/energy?compare=true&failed=true&by={asked.get('by', 'node')}&{within}",),
        "/energy/emissions": (f"/v1/energy/emissions?{within}",),
        "/projects/{project}": (
            f"/v1/projects/{{project}}/account?{within}",
            "/v1/runs?project={project}&limit=200",
            "/v1/budgets?limit=200",
        ),
        "/users/{user}": (
            f"/v1/users/{{user}}/account?{within}",
            "/v1/runs?user={user}&limit=200",
            "/v1/budgets?limit=200",
        ),
        "/budgets": ("/v1/budget-outlook", "/v1/budgets?closed=true&limit=200"),
        "/budgets/{budget}": ("/v1/budgets/{budget}", "/v1/budgets/{budget}/burn-down"),
        "/carbon": (f"/v1/carbon/hours?site={ADMIN_SITE}&duration_h=1&{within}",),
        **ADMIN,
    }
    return fixed.get(page, ())


def _range(name: Any) -> dict[str, str]:
    """The first and the last hour of a page's period."""
    if name is None:
        name = "7d"
    span = period(name, None, None, datetime.now(UTC), "7d")
    return {"from": span.start.isoformat(), "to": span.stop.isoformat()}


def numbers(document: Any) -> Iterator[float]:
    """All numbers of a response, and texts that are numbers."""
    if isinstance(document, dict):
        document = list(document.values())
    if isinstance(document, list):
        for part in document:
            yield from numbers(part)
    elif not isinstance(document, bool) and isinstance(document, int | float | str):
        try:
            yield float(document)
        except ValueError:
            return


async def shown_and_returned(
    client: httpx.AsyncClient, site: Site, path: str
) -> tuple[set[float], set[float]]:
    cookie = f"{site.cookie['name']}={site.secret}"
    page = await client.get(site.filled(path), headers={"Cookie": cookie})
    shown = {float(value) for value in VALUE.findall(page.text)}
    returned: set[float] = set()
    if shown and path.startswith(PREVIEW):
        asked = FactorCreate.model_validate_strings(dict(parse_qsl(path.partition("?")[2])))
        factor = asked.model_dump(mode="json", exclude_unset=True)
        response = await client.post("/v1/factors/preview", json=factor)
        assert response.status_code == 200, response.text
        returned |= set(numbers(response.json()))
    for request in api_of(path) if shown else ():
        response = await client.get(site.filled(request))
        if response.status_code != 404:  # of a run without a quote
            assert response.status_code == 200, (request, response.text)
            returned |= set(numbers(response.json()))
    return shown, returned


@pytest_asyncio.fixture(scope="module")
async def token(site: Site) -> str:
    """An administrator's token for the API."""
    return await on_database(site.database_url, lambda session: make_token(session, "admin"))


@pytest.mark.parametrize("path", PAGES)
async def test_every_number_of_a_page_is_one_that_the_api_returns(
    site: Site, token: str, path: str
) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    tolerance = CHANGING.get(path, 1e-9)
    timeout = httpx.Timeout(PATIENCE_S)
    async with httpx.AsyncClient(base_url=site.url, headers=headers, timeout=timeout) as client:
        for _ in range(2):  # an hour may begin between page and API
            shown, returned = await shown_and_returned(client, site, path)
            alone = {
                value
                for value in shown
                if not any(math.isclose(value, other, rel_tol=tolerance) for other in returned)
            }
            if not alone:
                return
    assert not alone


def test_numbers_are_found_at_every_depth() -> None:
    document = {"a": [1, {"b": 2.5, "c": "3.5"}], "d": True, "e": "text", "f": None}
    assert list(numbers(document)) == [1.0, 2.5, 3.5]
