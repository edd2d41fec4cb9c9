"""The pages of compressions and expected validation: what the API returns, with all its state."""

from __future__ import annotations

import math
import re
from html import escape
from typing import Any

import pytest
from sqlalchemy import update

from models import Run
from tests.support.api import Api
from tests.support.html import wrong_structure
from tests.support.insights import compressed_run, moved, sweep, trials

HTML = {"Accept": "text/html"}


async def page(api: Api, path: str, **query: Any) -> str:
    response = await api.viewer.get(path, params=query, headers=HTML)
    assert response.status_code == 200, response.text
    return response.text


async def chart_of(api: Api, text: str) -> dict[str, Any]:
    """The document of the page's chart."""
    spec = re.search(r'href="[./]*v1/charts/([0-9a-f]{64})\.json"', text)
    assert spec is not None
    made: dict[str, Any] = (await api.viewer.get(f"/v1/charts/{spec[1]}.json")).json()
    return made


async def compressed(api: Api) -> str:
    async with api.database.session_scope() as session:
        run_id = await compressed_run(session)
        await moved(session, [run_id], "small")
    return str(run_id)


async def ledger(api: Api, **query: Any) -> list[dict[str, Any]]:
    response = await api.viewer.get("/v1/insights/compressions", params=query)
    assert response.status_code == 200, response.text
    [item] = response.json()["items"]
    variants: list[dict[str, Any]] = item["variants"]
    return variants


async def test_the_ledger_counts_making_and_use(api: Api) -> None:
    await compressed(api)
    first, second = await ledger(api, inferences=100_000)
    assert (first["is_baseline"], first["making_kwh"]["value"]) == (True, 0.0)
    each = second["per_1000_inferences_kwh"]
    making = second["making_kwh"]
    for end in ("value", "low", "high"):
        assert second["total_kwh"][end] == pytest.approx(making[end] + 100 * each[end])
    paid = second["break_even_inferences"]["value"]
    saved = (first["per_1000_inferences_kwh"]["value"] - each["value"]) / 1000
    assert paid == pytest.approx(making["value"] / saved)
    assert (await ledger(api))[1]["total_kwh"] is None


async def test_another_baseline_reverses_the_ledger(api: Api) -> None:
    await compressed(api)
    first, second = await ledger(api, baseline="after quantize")
    assert (first["is_baseline"], second["is_baseline"]) == (False, True)
    assert first["making_kwh"]["value"] is None
    assert first["making_kwh"]["reason"] == "it was not made from the baseline"
    assert second["making_kwh"]["value"] == 0.0
    assert first["score_change"] == pytest.approx(0.003)
    assert first["break_even_inferences"]["value"] is None
    usual = await ledger(api)
    assert await ledger(api, baseline="no such variant") == usual


async def test_the_page_of_compressions_draws_a_run_and_its_crossing(api: Api) -> None:
    run_id = await compressed(api)
    text = await page(api, "/insights/compressions", inferences=2000, run=run_id)
    [_, quantized] = await ledger(api, inferences=2000)
    paid = quantized["break_even_inferences"]
    assert f'<data value="{paid["value"]}">' in text
    assert f'<data value="{quantized["total_kwh"]["value"]}">' in text
    made = await chart_of(api, text)
    [crossing] = made["datasets"]["crossings"]
    assert (crossing["at"], crossing["low"]) == (paid["value"], paid["low"])
    assert made["datasets"]["expected"] == [{"at": 2000.0, "text": "expected"}]
    assert made["usermeta"]["projects"] == ["small"]
    assert "No run has measured two variants" not in text
    other = await page(api, "/insights/compressions", baseline="after quantize")
    assert "No chart: the energy" in other


async def test_curves_never_go_past_the_trials_that_were_made(api: Api) -> None:
    async with api.database.session_scope() as session:
        await trials(session)
    query = {"project": "trials", "method": ["method:a", "method:b", "method:c"]}
    response = await api.viewer.get("/v1/insights/expected-validation", params=query)
    read = response.json()
    first, second, third = read["methods"]
    assert [method["name"] for method in read["methods"]] == ["method:a", "method:b", "method:c"]
    assert [point["trials"] for point in first["points"]] == [1, 2, 3, 4, 5, 6]
    assert first["points"][0]["expected"] == pytest.approx(0.775)  # the mean of one trial
    last = second["points"][-1]
    assert (last["expected"], last["low"], last["high"]) == pytest.approx((0.84, 0.84, 0.84))
    mean = second["mean_cost"]["value"]
    assert last["cost"] == pytest.approx(6 * mean)
    assert (third["points"], third["trials"]) == ([], 0)
    assert third["reason"] == "needs 5 runs with this score, and has 0"
    (verdict,) = read["verdicts"]
    assert verdict.startswith("method:b is better than method:a at all budgets from ")
    variances = [point["variance"] for point in first["points"]]
    assert variances == sorted(variances, reverse=True)
    assert (variances[0], variances[-1]) == pytest.approx((0.0001 * 35 / 12, 0.0))
    biased = await api.viewer.get(
        "/v1/insights/expected-validation", params={**query, "with_replacement": True}
    )
    assert biased.json()["methods"][1]["points"][-1]["expected"] < 0.84
    text = await page(
        api, "/insights/curves", project="trials", method=["method:a", "method:b"], budget=0.001
    )
    made = await chart_of(api, text)
    assert len(made["datasets"]["drawn"]) == 12
    assert made["datasets"]["budget"][0]["at"] == pytest.approx(1.0)  # in Wh, the axis' unit
    assert f'<data value="{mean}">' in text


async def test_failed_trials_cost_too(api: Api) -> None:
    async with api.database.session_scope() as session:
        await sweep(session, "sweep")
    query = {"project": "sweep", "metric": "duration_s"}
    response = await api.viewer.get("/v1/insights/expected-validation", params=query)
    [method] = response.json()["methods"]
    assert (method["trials"], method["unscored"]) == (6, 1)
    assert method["mean_cost"]["value"] == pytest.approx(7 * 10.0 / 6)
    text = await page(api, "/insights/curves", **query)
    assert (await chart_of(api, text))["layer"][0]["encoding"]["x"]["axis"]["title"] == "Time (h)"


async def test_a_result_costs_its_tuning_and_all_runs_too(api: Api) -> None:
    async with api.database.session_scope() as session:
        cheap = (await sweep(session, "sweep"))[0]
        await session.execute(update(Run).where(Run.id == cheap).values(kind="train+measure"))
    path, query = "/v1/insights/research-cost", {"project": "sweep"}
    read = (await api.viewer.get(path, params={**query, "equivalents": True})).json()
    assert (read["model"]["name"], read["model"]["quality"]) == ("dear", 0.88)
    model, tuning, research = read["parts"]
    assert [part["runs"] for part in read["parts"]] == [1, 6, 7]
    assert [part["unsuccessful"] for part in read["parts"]] == [0, 1, 1]
    frontier = (await api.viewer.get("/v1/insights/frontier", params=query)).json()["points"]
    costs = [point["cost"]["value"] for point in frontier]
    assert research["costs"]["it_energy_kwh"]["value"] == math.fsum(costs)
    assert 0 < model["costs"]["co2e_kg"]["value"] < tuning["costs"]["co2e_kg"]["value"]
    assert read["green_ai"]["experiments"] == 6
    assert [each["name"][:3] for each in read["equivalents"]] == ["air", "one", "one", "a c"]
    assert (await api.viewer.get(path, params=query)).json()["equivalents"] is None
    nothing = (await api.viewer.get(path, params={**query, "quality": "f1"})).json()
    assert (nothing["model"], nothing["parts"]) == (None, [])
    assert nothing["reason"] == "no run has a score of this kind"


async def test_pages_without_runs_say_what_is_missing(api: Api) -> None:
    assert "No run has measured two variants" in await page(api, "/insights/compressions")
    assert "No ended run to show" in await page(api, "/insights/curves")


@pytest.mark.parametrize(
    ("path", "query", "wrong"),
    [
        (
            "frontier",
            {"metric": "joy", "log": "x", "limit": "0", "whiskers": "some", "project": "<b>"},
            ("metric", "log", "limit", "whiskers"),
        ),
        (
            "compressions",
            {"inferences": "many", "run": "no-id", "limit": "9999", "experiment": "kept"},
            ("inferences", "run", "limit"),
        ),
        (
            "curves",
            {"metric": "joy", "budget": "-1", "draws": "few", "log": "all", "method": ["m"] * 9},
            ("metric", "budget", "draws", "log", "method"),
        ),
    ],
)
async def test_wrong_values_keep_the_form_with_every_error_at_once(
    api: Api, path: str, query: dict[str, Any], wrong: tuple[str, ...]
) -> None:
    response = await api.viewer.get(f"/insights/{path}", params=query, headers=HTML)
    assert response.status_code == 422
    text = response.text
    assert wrong_structure(text) == []
    for name in wrong:
        assert f'href="#field-{name}"' in text, name
        assert f'id="field-{name}"' in text, name
        assert f'id="problem-{name}"' in text, name
    for name, value in query.items():
        shown = value if isinstance(value, str) else value[0]
        assert escape(shown) in text.partition("<form")[2], name
    assert text.count('<li><a href="#field-') == len(wrong)
    unknown = await api.viewer.get(f"/insights/{path}?colour=red", headers=HTML)
    assert unknown.status_code == 422


async def test_further_tags_stay_in_the_form(api: Api) -> None:
    text = await page(api, "/insights/frontier", tag=["seed:1", "method:a"])
    assert text.count('name="tag" value="') == 2
    assert 'name="tag" value="method:a"' in text
