"""Pages of budgets: forms with errors at their fields, what-if, and names that are hard to show."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import httpx
import pytest
from markupsafe import escape

from app.charts import steady
from tests.support.api import COMMAND, Api, run_body
from tests.support.budgets import make_budget

FORM = {
    "name": "text, monthly",
    "scope": "project",
    "project": "text",
    "metric": "co2e_kg",
    "amount": "25",
    "period": "month",
    "time_zone": "Europe/Berlin",
    "thresholds": "50, 80",
    "refuses": "on",
}
BROWSER = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}


async def page(client: httpx.AsyncClient, path: str, **params: Any) -> httpx.Response:
    return await client.get(path, params=params, headers=BROWSER)


async def send(client: httpx.AsyncClient, path: str, **fields: Any) -> httpx.Response:
    return await client.post(path, data=fields, headers=BROWSER)


async def test_a_budget_is_made_changed_and_closed_by_forms(api: Api) -> None:
    await api.post_run(project="text")
    made = await send(api.admin, "/budgets/new", **FORM)
    assert made.status_code == 303, made.text
    [budget] = (await api.viewer.get("/v1/budgets")).json()["items"]
    assert made.headers["location"] == f"../budgets/{budget['id']}"
    assert (budget["project"], budget["limit"], budget["unit"]) == ("text", 25.0, "kg")
    assert (budget["thresholds"], budget["refuses"], budget["stops"]) == ([0.5, 0.8], True, False)
    path = f"/budgets/{budget['id']}"
    form = await page(api.admin, f"{path}/edit")
    assert 'value="50, 80"' in form.text
    changed = await send(
        api.admin, f"{path}/edit", name="renamed", amount="40", thresholds="", stops="on"
    )
    assert changed.status_code == 303, changed.text
    [budget] = (await api.viewer.get("/v1/budgets")).json()["items"]
    assert (budget["name"], budget["limit"], budget["thresholds"]) == ("renamed", 40.0, [])
    assert (budget["refuses"], budget["stops"]) == (False, True)
    assert (await send(api.admin, f"{path}/close")).status_code == 303
    assert (await api.viewer.get("/v1/budgets")).json()["items"] == []
    assert "renamed" in (await page(api.viewer, "/budgets", closed="true")).text


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"amount": "much"}, "amount", "digits 0 to 9"),
        ({"name": ""}, "name", "required"),
        ({"time_zone": "Berlin"}, "time_zone", "Europe/Berlin"),
        ({"thresholds": "80, 120"}, "thresholds", "percentages between 0 and 100"),
        ({"metric": "cost"}, "currency", "needs a currency"),
        ({"project": "txt"}, "project", "did you mean 'text'?"),
        ({"scope": "user", "user": "nobody"}, "user", "not found"),
    ],
)
async def test_an_invalid_form_comes_back_with_its_errors_and_its_texts(
    api: Api, changes: dict[str, str], field: str, words: str
) -> None:
    await api.post_run(project="text")
    again = await send(api.admin, "/budgets/new", **(FORM | changes))
    assert again.status_code == 422
    assert f'<a href="#{field}">' in again.text
    assert f'id="{field}-error"' in again.text
    assert str(escape(words)) in again.text
    assert 'value="Europe/Berlin"' in again.text or field == "time_zone"
    assert (await api.viewer.get("/v1/budgets")).json()["items"] == []
    assert len((await api.viewer.get("/v1/projects")).json()["items"]) == 1


async def test_all_errors_of_a_budget_come_at_once_and_nothing_typed_is_lost(api: Api) -> None:
    await api.post_run(project="text")
    await make_budget(api, name=FORM["name"])
    wrong = FORM | {
        "project": "txt",
        "amount": "much",
        "time_zone": "Berlin",
        "thresholds": "80, a lot, 120",
        "metric": "cost",
        "currency": "",
    }
    again = await send(api.admin, "/budgets/new", **wrong)
    assert again.status_code == 422
    fields = ("name", "project", "currency", "amount", "time_zone", "thresholds")
    for field in fields:
        assert f'<a href="#{field}">' in again.text, field
        assert f'id="{field}-error"' in again.text, field
    for text in ("txt", "much", "Berlin", "80, a lot, 120", FORM["name"]):
        assert f'value="{text}"' in again.text, text
    assert 'name="create_missing"' in again.text

    made = await make_budget(api, name="other")
    changed = {"name": FORM["name"], "amount": "-1", "thresholds": "0", "stops": "on"}
    again = await send(api.admin, f"/budgets/{made['id']}/edit", **changed)
    assert again.status_code == 422
    for field in ("name", "amount", "thresholds"):
        assert f'id="{field}-error"' in again.text, field
    assert 'value="-1"' in again.text


async def test_the_api_reports_a_name_in_use_and_an_unknown_project_together(api: Api) -> None:
    await make_budget(api, name="used")
    body = {
        **{"name": "used", "scope": "project", "project": "nowhere"},
        **{"metric": "co2e_kg", "amount": 1},
    }
    response = await api.admin.post("/v1/budgets", json=body)
    assert (response.status_code, response.json()["code"]) == (422, "invalid-budget")
    assert [error["field"] for error in response.json()["errors"]] == ["name", "project"]


async def test_a_change_with_wrong_ids_keeps_the_form_and_names_each(api: Api) -> None:
    run_id = await api.post_run(name="the long one")
    path = f"/budgets/{(await make_budget(api))['id']}"
    shown = await page(api.member, path, without=[run_id, "x", "y"], run="name: a run")
    assert shown.status_code == 422
    assert "&#39;x&#39; is not the ID of a run" in shown.text
    assert "&#39;y&#39; is not the ID of a run" in shown.text
    assert f'value="{run_id}" aria-label="Without the long one" checked' in shown.text
    assert ">name: a run</textarea>" in shown.text


async def test_an_unknown_project_is_created_only_where_the_box_is_checked(api: Api) -> None:
    unknown = FORM | {"project": "new"}
    again = await send(api.admin, "/budgets/new", **unknown)
    assert (again.status_code, 'name="create_missing"' in again.text) == (422, True)
    made = await send(api.admin, "/budgets/new", **unknown, create_missing="on")
    assert made.status_code == 303, made.text
    [project] = (await api.viewer.get("/v1/projects")).json()["items"]
    assert project["name"] == "new"


async def test_a_name_in_use_makes_no_project(api: Api) -> None:
    await make_budget(api, name=FORM["name"])
    again = await send(api.admin, "/budgets/new", **(FORM | {"create_missing": "on"}))
    assert again.status_code == 409
    assert "already exists" in again.text
    assert (await api.viewer.get("/v1/projects")).json()["items"] == []


async def test_a_page_that_is_asked_for_again_stores_no_new_chart(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steady, "EVERY", timedelta(days=36_500))
    budget_id = (await make_budget(api))["id"]
    path = f"/budgets/{budget_id}"

    async def shown() -> str:
        match = re.search(r"/v1/charts/([0-9a-f]{64})", (await page(api.viewer, path)).text)
        assert match is not None
        return match[1]

    first = await shown()
    assert await shown() == first
    changed = await api.admin.patch(f"/v1/budgets/{budget_id}", json={"amount": 77.0})
    assert changed.status_code == 200, changed.text
    assert await shown() != first


async def test_a_budgets_page_shows_the_effect_of_a_change(api: Api) -> None:
    run_id = await api.post_run(name="the long one")
    budget = await make_budget(api)
    path = f"/budgets/{budget['id']}"
    shown = await page(api.member, path)
    assert "the time at which it is used up is unknown" in shown.text
    assert "the long one" in shown.text
    without = await page(api.member, path, without=run_id)
    assert "With this change" in without.text
    assert f'value="{run_id}" aria-label="Without the long one" checked' in without.text
    body = run_body()
    recipe = f"project: {body['project']}\nexperiment: e\nname: n\nrecipe: {COMMAND}"
    posted = await page(api.member, path, run=recipe)
    assert "It would be admitted." in posted.text
    assert "no similar run has succeeded" in posted.text
    wrong = await page(api.member, path, run="name: [")
    assert (wrong.status_code, "not YAML or JSON" in wrong.text) == (422, True)
    wrong = await page(api.member, path, run="name: x")
    assert (wrong.status_code, "run.project" in wrong.text) == (422, True)
    assert len((await api.viewer.get("/v1/runs")).json()["items"]) == 1


async def test_only_administrators_see_the_buttons(api: Api) -> None:
    budget = await make_budget(api)
    for path in ("/budgets", f"/budgets/{budget['id']}"):
        assert "/edit" not in (await page(api.viewer, path)).text
        assert "New budget" not in (await page(api.viewer, path)).text
    assert "New budget" in (await page(api.admin, "/budgets")).text
    assert f"{budget['id']}/edit" in (await page(api.admin, f"/budgets/{budget['id']}")).text
