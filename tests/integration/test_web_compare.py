"""Comparisons of two to eight groups: the page, its form, and what the API returns."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from pricetag.tag.verdicts import NO_DIFFERENCE, verdict
from tests.support.api import Api, problem
from tests.support.insights import TRIALS, trials

HTML = {"Accept": "text/html"}
A, B, C = (",".join(map(str, ids)) for ids in (TRIALS["a"][:3], TRIALS["b"][:3], TRIALS["b"][3:]))


@pytest.fixture
async def lab(api: Api) -> Api:
    async with api.database.session_scope() as session:
        await trials(session)
    return api


async def compared(api: Api, **query: Any) -> dict[str, Any]:
    response = await api.viewer.get("/v1/comparisons", params=query)
    assert response.status_code == 200, response.text
    return dict(response.json())


async def test_further_groups_are_compared_with_group_b(lab: Api) -> None:
    read = await compared(lab, a=A, b=B, c=C)
    [third] = read["others"]
    assert (third["group"], len(third["side"]["runs"])) == ("c", 3)
    assert third["ratio"] == (await compared(lab, a=C, b=B))["ratio"]
    assert third["verdict"].startswith(f"IT energy: {NO_DIFFERENCE} (ratio 1.00, ")
    assert read["verdict"].startswith("IT energy: a has 50.0% less than b (ratio 0.500")
    assert [item["metric"] for item in third["quality"]] == ["accuracy"]
    [stage] = read["stages"]
    assert (stage["index"], stage["kind"], sorted(stage["means"])) == (0, "train", ["a", "b", "c"])
    assert stage["means"]["b"]["value"] == pytest.approx(2 * stage["means"]["a"]["value"])
    assert stage["means"]["b"]["low"] < stage["means"]["b"]["value"]


async def test_a_run_is_in_one_group_alone_and_groups_have_bounds(lab: Api) -> None:
    query = {"a": A, "b": B, "c": A}
    refused = problem(
        await lab.viewer.get("/v1/comparisons", params=query), 422, "nothing-to-compare"
    )
    assert refused["errors"][0]["field"] == "c.0"
    assert "is in group a, too" in refused["errors"][0]["message"]


async def test_the_page_shows_what_the_api_returns(lab: Api) -> None:
    query = {"a": A, "b": B, "c": C, "reference": "b"}
    response = await lab.viewer.get("/compare", params=query, headers=HTML)
    assert response.status_code == 200, response.text
    text = response.text
    for metric in ("it_energy_kwh", "co2e_kg", "duration_s"):
        read = await compared(lab, a=A, b=B, c=C, metric=metric)
        for one in (read, *read["others"]):
            if one["ratio"]["value"] is not None:
                assert f'<data value="{one["ratio"]["value"]}">' in text
        assert read["verdict"] in text
    assert text.count('class="badge">reference') == 2  # of the figures, and of the stages
    spec = re.search(r'href="[./]*v1/charts/([0-9a-f]{64})\.json"', text)
    assert spec is not None
    made = (await lab.viewer.get(f"/v1/charts/{spec[1]}.json")).json()
    assert made["usermeta"]["projects"] == ["trials"]
    assert {row["group"] for row in made["datasets"]["drawn"]} == {"A: 3 runs", "C: 3 runs"}
    only = await lab.viewer.get("/compare", params={**query, "only": "differences"}, headers=HTML)
    assert "Time" not in re.findall(r'<th scope="row">(.*?) <span', only.text)


async def test_runs_move_between_groups_by_a_form(lab: Api) -> None:
    first, second = A.split(",")[0], B.split(",")[0]
    response = await lab.viewer.post(
        "/compare",
        data={f"run.{first}": "b", f"run.{second}": "", "add": f"{C}", "to": "d", "reference": "d"},
        headers={"Sec-Fetch-Site": "same-origin"},
    )
    assert response.status_code == 303
    query = parse_qs(urlsplit(response.headers["location"]).query)
    assert query == {"b": [first], "d": [C], "reference": ["d"]}


async def test_less_than_two_groups_are_asked_for(lab: Api) -> None:
    for query in ("", f"?a={A}"):
        response = await lab.viewer.get(f"/compare{query}", headers=HTML)
        assert "Nothing to compare yet" in response.text
    problem(await lab.viewer.get("/compare?a=x&b=y"), 422, "nothing-to-compare")


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        ((0.78, 0.7, 0.86), "CO2e: a has 22.0% less than b (ratio 0.780, 0.700 to 0.860)"),
        ((1.2, 1.1, 1.3), "CO2e: a has 20.0% more than b (ratio 1.20, 1.10 to 1.30)"),
        ((3.5, 3.0, 4.0), "CO2e: a has 3.5x that of b (ratio 3.50, 3.00 to 4.00)"),
        ((1.2, 0.9, 1.5), f"CO2e: {NO_DIFFERENCE} (ratio 1.20, 0.900 to 1.50)"),
        ((1.2, None, None), "CO2e: no verdict, one run (ratio 1.20)"),
        ((None, None, None), "CO2e: unknown (one run)"),
    ],
)
def test_a_difference_within_its_interval_is_none(ratio: tuple[Any, ...], text: str) -> None:
    ends = dict(zip(("value", "low", "high"), ratio, strict=True))
    assert verdict("co2e_kg", {**ends, "reason": "one run"}, "a", "b") == text
