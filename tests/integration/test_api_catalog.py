from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from app.api.v1.examples import QUOTE
from app.services.attempts import execution
from pricetag.accounting.bill.estimate import estimate
from pricetag.recipes import REGISTRY
from tests.support.api import Api, fields, problem, running_run


async def test_every_stage_kind_is_described(api: Api) -> None:
    described = (await api.viewer.get("/v1/recipes")).json()
    assert [item["kind"] for item in described["items"]] == list(REGISTRY)
    for item in described["items"]:
        assert item["paper"]["url"].startswith("https://")
        assert item["schema"]["properties"]["kind"]["const"] == item["family"]
        assert item["example"]["kind"] == item["family"]
    assert "recipe" in described["run_schema"]["required"]


async def test_a_quote_equals_the_estimate(api: Api) -> None:
    quoted = (await api.viewer.post("/v1/quotes", json=QUOTE)).json()
    figures = dict(QUOTE)
    low, high = figures.pop("price_low"), figures.pop("price_high")
    expected = asdict(estimate(**figures, price_low=low, price_high=high))
    assert set(quoted) == set(expected)
    for name, value in expected.items():
        if name == "currency":
            assert quoted[name] == value
        else:
            assert quoted[name] == pytest.approx(float(value), rel=1e-12)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"pue": 0.9}, "pue"),
        ({"devices": 0}, "devices"),
        ({"devices": True}, "devices"),
        ({"hours": -1}, "hours"),
        ({"hours": "1"}, "hours"),
        ({"currency": "usd"}, "currency"),
        ({"price_low": 2.0, "price_high": 1.0}, "price_low"),
        ({"grid": 1}, "grid"),
    ],
)
async def test_an_impossible_quote_is_rejected(
    api: Api, changes: dict[str, Any], field: str
) -> None:
    response = await api.viewer.post("/v1/quotes", json=QUOTE | changes)
    assert response.status_code == 422, response.text
    refused = problem(response, 422, response.json()["code"])
    assert fields(refused) == [field]


async def test_projects_and_experiments_are_listed_in_pages(api: Api) -> None:
    for project, experiment in (("b", "y"), ("a", "z"), ("a", "x"), ("a", "x")):
        await api.post_run(project=project, experiment=experiment)
    first = (await api.viewer.get("/v1/projects", params={"limit": 1})).json()
    second = (await api.viewer.get("/v1/projects", params={"cursor": first["next_cursor"]})).json()
    counts = [(p["name"], p["experiments"], p["runs"]) for p in first["items"] + second["items"]]
    assert counts == [("a", 2, 3), ("b", 1, 1)]
    first = (await api.viewer.get("/v1/experiments", params={"limit": 2})).json()
    params = {"cursor": first["next_cursor"]}
    second = (await api.viewer.get("/v1/experiments", params=params)).json()
    listed = [(e["project"], e["name"], e["runs"]) for e in first["items"] + second["items"]]
    assert listed == [("a", "x", 2), ("a", "z", 1), ("b", "y", 1)]
    only = (await api.viewer.get("/v1/experiments", params={"project": "b"})).json()["items"]
    assert [e["name"] for e in only] == ["y"]


async def test_nodes_show_what_runs_on_them(api: Api) -> None:
    async with api.database.session_scope() as session:
        run_id = await running_run(session, 1)
        await execution.register_node(session, "node", "lab", [{"uuid": "GPU-1"}], {"nvml": True})
        await execution.register_node(session, "other", "default", [], {})
    nodes = (await api.viewer.get("/v1/nodes")).json()["items"]
    assert [(n["name"], n["pool"], n["running"]) for n in nodes] == [
        ("node", "lab", [str(run_id)]),
        ("other", "default", []),
    ]
    assert nodes[0]["capabilities"] == {"nvml": True}
