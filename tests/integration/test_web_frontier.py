"""The page of the frontier: what the API returns, grouped, with its state in the address."""

from __future__ import annotations

import re
from html import unescape

import pytest

from tests.support.api import Api
from tests.support.insights import compressed_run, moved, scored_run, sweep
from tests.support.site import NAMES

HTML = {"Accept": "text/html"}


async def shown(api: Api, query: str = "") -> str:
    response = await api.viewer.get(f"/insights/frontier{query}", headers=HTML)
    assert response.status_code == 200, response.text
    return response.text


async def test_the_table_has_what_the_api_returns(api: Api) -> None:
    async with api.database.session_scope() as session:
        await sweep(session, "sweep")
    page = await shown(api, "?project=sweep&by=tag:method")
    read = (await api.viewer.get("/v1/insights/frontier", params={"project": "sweep"})).json()
    rows = re.findall(r'<th scope="row">(?:<a[^>]*>)?<bdi class="clip" title="([^"]*)"', page)
    names = {point["run_id"]: point["name"] for point in read["points"]}
    best = [names[step["run_id"]] for step in read["steps"]]
    assert rows[: len(best)] == best == ["cheap", "middle", "dear"]
    assert set(rows) == set(names.values())
    assert "3 of 6 scored runs are beaten by no other run" in page
    for point in read["points"]:
        assert f'<data value="{point["cost"]["value"]}">' in page
    assert f'<data value="{read["wasted_cost"]["value"]}">' in page
    assert "method:distill" in page
    assert "1 run without this score" in page


async def test_the_picture_of_the_page_can_be_fetched(api: Api) -> None:
    async with api.database.session_scope() as session:
        await sweep(session, "sweep")
    page = await shown(api, "?project=sweep&metric=co2e_kg&log=cost&whiskers=hidden")
    spec = re.search(r'href="\.\./v1/charts/([0-9a-f]{64})\.json"', page)
    assert spec is not None
    chart = (await api.viewer.get(f"/v1/charts/{spec[1]}.json")).json()
    assert chart["usermeta"]["projects"] == ["sweep"]
    assert len(chart["datasets"]["drawn"]) == 7
    assert {layer["mark"]["type"] for layer in chart["layer"]} == {"line", "point", "text"}
    assert "CO2e" in unescape(page)


async def test_names_of_all_kinds_are_text(api: Api) -> None:
    async with api.database.session_scope() as session:
        for name in NAMES:
            await sweep(session, name.strip())
    page = await shown(api, "?by=project")
    assert "<img src=x" not in page
    assert NAMES[2] in page


async def test_an_empty_page_says_what_is_missing(api: Api) -> None:
    assert "No ended run to show" in await shown(api)
    response = await api.viewer.get("/insights/frontier?project=nowhere&log=cost", headers=HTML)
    assert response.status_code == 422
    assert 'value="nowhere"' in response.text
    assert "Project: " in response.text
    assert 'id="problem-project"' in response.text


@pytest.mark.parametrize(
    ("axis", "name", "unit"),
    [
        ("flops_dense", "Operations", "FLOP"),
        ("latency_p50_s", "Latency", "s"),
        ("model_bytes", "Model size", "bytes"),
        ("co2e_kg", "CO2e", "kg"),
        ("cost", "Cost", "money"),
    ],
)
async def test_every_axis_shows_what_the_api_returns(
    api: Api, axis: str, name: str, unit: str
) -> None:
    async with api.database.session_scope() as session:
        await sweep(session, "sweep")
        await moved(session, [await compressed_run(session)], "sweep")
    query = {"project": "sweep", "metric": axis}
    read = (await api.viewer.get("/v1/insights/frontier", params=query)).json()
    page = await shown(api, f"?project=sweep&metric={axis}")
    assert f'<option value="{axis}" selected>{name}</option>' in page
    assert read["unit"] == unit
    known_costs = [point["cost"] for point in read["points"] if point["cost"]["value"] is not None]
    assert all(f'<data value="{cost["value"]}">' in page for cost in known_costs)
    reasons = {
        point["cost"]["reason"] for point in read["points"] if point["cost"]["value"] is None
    }
    if axis in ("latency_p50_s", "model_bytes"):
        assert len(known_costs) == (axis == "model_bytes")
        assert reasons == {"no measure stage of the run reported it"}
        assert read["wasted"] is None
        assert read["wasted_reason"] == "a figure of a model, which no run spends"


async def test_the_axes_of_a_single_run_begin_at_zero(api: Api) -> None:
    async with api.database.session_scope() as session:
        await moved(session, [await scored_run(session, 0.8, name="alone")], "single")
    page = await shown(api, "?project=single&whiskers=hidden")
    spec = re.search(r'href="\.\./v1/charts/([0-9a-f]{64})\.json"', page)
    assert spec is not None
    chart = (await api.viewer.get(f"/v1/charts/{spec[1]}.json")).json()
    [row] = chart["datasets"]["drawn"]
    scales = chart["layer"][0]["encoding"]
    assert scales["x"]["scale"]["domain"] == [0, 2 * row["cost"]]
    assert scales["y"]["scale"]["domain"] == [0, 1]
