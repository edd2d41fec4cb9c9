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
    for query, words in (
        ("", "Choose two to eight groups"),
        (f"?a={A}", "One group is not enough"),
    ):
        response = await lab.viewer.get(f"/compare{query}", headers=HTML)
        assert response.status_code == 200
        assert "Nothing to compare yet" in response.text
        assert words in response.text
        assert 'id="field-b"' in response.text
        assert 'id="field-c"' not in response.text
    assert f'value="{A.split(",")[0]},' in response.text


async def test_wrong_groups_keep_the_form_with_every_error_at_once(lab: Api) -> None:
    unknown = "6f0c0d0e-0000-4000-8000-000000000001"
    query = {"a": "x<y", "c": f"{A},{unknown}", "reference": "z", "only": "all"}
    response = await lab.viewer.get("/compare", params=query, headers=HTML)
    assert response.status_code == 422
    for text in ("Group A: ", "Reference: ", "Only: "):
        assert text in response.text, text
    for letter in "abc":
        assert f'id="field-{letter}"' in response.text
    assert 'value="x&lt;y"' in response.text
    right = {"a": f"{A},{unknown}", "b": f"{B},{unknown[:-1]}2"}
    response = await lab.viewer.get("/compare", params=right, headers=HTML)
    assert response.status_code == 422
    assert f"run {unknown} not found" in response.text
    assert f"run {unknown[:-1]}2 not found" in response.text
    assert response.text.count('aria-invalid="true"') == 2


async def test_a_selection_leads_to_the_comparison_or_its_form(lab: Api) -> None:
    ids = (f"{A},{B},{C}").split(",")

    async def select(*run_ids: str) -> Any:
        params = {"run": list(run_ids), "to": "compare"}
        return await lab.viewer.get("/runs/selected", params=params, headers=HTML)

    for number, query in ((0, ""), (1, f"?a={ids[0]}"), (2, f"?a={ids[0]}&b={ids[1]}")):
        response = await select(*ids[:number])
        assert (response.status_code, response.headers["location"]) == (303, f"../compare{query}")
    many = await select(*ids)
    assert len(ids) == 9
    assert many.status_code == 422
    assert "two to eight groups can be compared (got 9)" in many.text
    assert all(one in many.text for one in ids)
    assert f'value="{ids[7]},{ids[8]}"' in many.text
    nothing = await lab.viewer.get("/runs/selected?to=md", headers=HTML)
    assert nothing.status_code == 422
    assert 'href="../runs">Runs</a>' in nothing.text


async def test_means_have_their_interval_their_runs_and_their_spread(lab: Api) -> None:
    read = await compared(lab, a=A, b=B)
    for side in ("a", "b"):
        whole = read[side]["mean_figure"]
        assert whole["value"] == read[side]["mean"]
        assert whole["low"] < whole["value"] < whole["high"]
        assert whole["source"]
        assert read[side]["count"] == 3
        assert read[side]["std"] is not None
    response = await lab.viewer.get("/compare", params={"a": A, "b": B}, headers=HTML)
    [row] = re.findall(r'<th scope="row">IT energy <.*?</tr>', response.text, re.S)
    assert row.count('<span class="interval">') == 2  # of the means: the repeats are equal
    assert row.count("3 runs, sd ") == 2
    single = A.split(",")[0]
    response = await lab.viewer.get("/compare", params={"a": single, "b": B}, headers=HTML)
    [row] = re.findall(r'<th scope="row">IT energy <.*?</tr>', response.text, re.S)
    assert '<span class="hint">1 run</span>' in row


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
