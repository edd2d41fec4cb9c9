"""Administrators create, change and close budgets."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.support.api import Api, fields, finished_run, problem

BODY: dict[str, Any] = {
    "name": "lab",
    "scope": "lab",
    "metric": "facility_energy_kwh",
    "amount": 10,
}


async def make(api: Api, **changes: Any) -> dict[str, Any]:
    response = await api.admin.post("/v1/budgets", json=BODY | changes)
    assert response.status_code == 201, response.text
    return dict(response.json())


async def log_of(api: Api, budget_id: str) -> list[dict[str, Any]]:
    response = await api.admin.get("/v1/audit", params={"object_id": budget_id})
    return list(response.json()["items"])


async def test_a_budget_from_creation_to_closing(api: Api) -> None:
    made = await make(api, amount="0.10", metric="cost", currency="EUR", thresholds=[1, 0.5, 1])
    assert (made["limit"], made["unit"], made["thresholds"]) == (0.1, "EUR", [0.5, 1.0])
    assert (made["refuses"], made["stops"], made["closed_at"]) == (True, True, None)
    where = f"/v1/budgets/{made['id']}"
    assert (await api.viewer.get(where)).json() == made
    raised = await api.admin.patch(where, json={"amount": 20.5, "name": "more", "stops": False})
    assert raised.status_code == 200, raised.text
    assert (raised.json()["limit"], raised.json()["name"]) == (20.5, "more")
    assert raised.json()["stops"] is False
    assert raised.json()["thresholds"] == [0.5, 1.0]
    closed = await api.admin.post(f"{where}/close")
    assert closed.json()["closed_at"] is not None
    assert (await api.admin.post(f"{where}/close")).json() == closed.json()
    assert (await api.viewer.get("/v1/budgets")).json()["items"] == []
    listed = await api.viewer.get("/v1/budgets", params={"closed": True})
    assert [budget["id"] for budget in listed.json()["items"]] == [made["id"]]
    problem(await api.admin.patch(where, json={"amount": 1}), 409, "budget-closed")


async def test_changes_of_budgets_and_their_authors_are_in_the_audit_log(api: Api) -> None:
    made = await make(api)
    where = f"/v1/budgets/{made['id']}"
    await api.admin.patch(where, json={"amount": 12})
    await api.admin.patch(where, json={"amount": 12})  # changes nothing
    await api.admin.post(f"{where}/close")
    await api.admin.post(f"{where}/close")
    closed, changed, created = await log_of(api, made["id"])
    assert [entry["action"] for entry in (created, changed, closed)] == [
        "created",
        "changed",
        "closed",
    ]
    assert {entry["actor"] for entry in (created, changed, closed)} == {"a admin"}
    assert created["before"] is None
    assert created["after"]["amount"] == "10"
    assert (changed["before"]["amount"], changed["after"]["amount"]) == ("10", "12")
    assert closed["before"] == changed["after"]
    assert closed["after"]["closed_at"] is not None


@pytest.mark.parametrize("role", ["viewer", "member"])
async def test_only_admins_change_them_and_all_read_them(api: Api, role: str) -> None:
    made = await make(api)
    client, where = getattr(api, role), f"/v1/budgets/{made['id']}"
    problem(await client.post("/v1/budgets", content=b"{"), 403, "role-required")
    problem(await client.patch(where, json={"amount": 1}), 403, "role-required")
    problem(await client.post(f"{where}/close"), 403, "role-required")
    assert (await client.get(where)).status_code == 200
    assert len((await client.get("/v1/budgets")).json()["items"]) == 1
    assert (await client.get("/v1/budget-alerts")).json()["items"] == []
    problem(await api.nobody.get("/v1/budgets"), 401, "unauthenticated")


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"amount": -1}, "amount", "must be at least 0"),
        ({"amount": "many"}, "amount", "number"),
        ({"amount": 2e18}, "amount", "must be at most"),
        ({"metric": "joules"}, "metric", "facility_energy_kwh"),
        ({"metric": "cost"}, "currency", "needs a currency, e.g. EUR"),
        ({"currency": "EUR"}, "currency", "has no currency"),
        ({"metric": "cost", "currency": "euro"}, "currency", "three capital letters"),
        ({"metric": "cost", "currency": "XQZ"}, "currency", "not the ISO 4217 code"),
        ({"scope": "team"}, "scope", "'lab'"),
        ({"scope": "project"}, "project", "is required for"),
        ({"project": "text"}, "project", "is not allowed for"),
        ({"scope": "experiment", "experiment": "e"}, "project", "is required for"),
        ({"scope": "experiment", "project": "p"}, "experiment", "is required for"),
        ({"scope": "project", "project": "p", "user": "ada"}, "user", "is not allowed for"),
        ({"period": "day"}, "period", "'week'"),
        ({"period": "month", "time_zone": "Berlin"}, "time_zone", "Europe/Berlin"),
        ({"time_zone": "../../etc/passwd"}, "time_zone", "IANA"),
        ({"time_zone": "localtime"}, "time_zone", "IANA"),
        ({"amount": "1_0"}, "amount", "digits 0 to 9"),
        ({"thresholds": [0.5, 1.5]}, "thresholds.1", "must be at most 1"),
        ({"thresholds": [0]}, "thresholds.0", "must be greater than 0"),
        ({"thresholds": [n / 20 for n in range(1, 13)]}, "thresholds", "at most 10"),
        ({"name": ""}, "name", "must not be empty"),
        ({"limit": 5}, "limit", "not a known field"),
    ],
)
async def test_invalid_input_is_rejected_with_its_field(
    api: Api, changes: dict[str, Any], field: str, words: str
) -> None:
    response = await api.admin.post("/v1/budgets", json=BODY | changes)
    document = problem(response, 422, "invalid-request")
    assert fields(document) == [field]
    assert words in str(document["errors"][0]), document
    assert (await api.viewer.get("/v1/budgets")).json()["items"] == []


async def test_names_are_unique(api: Api) -> None:
    made = await make(api)
    other = await make(api, name="other")
    problem(await api.admin.post("/v1/budgets", json=BODY), 409, "budget-exists")
    await api.admin.post(f"/v1/budgets/{made['id']}/close")
    problem(await api.admin.post("/v1/budgets", json=BODY), 409, "budget-exists")
    where = f"/v1/budgets/{other['id']}"
    problem(await api.admin.patch(where, json={"name": "lab"}), 409, "budget-exists")
    assert (await api.viewer.get(where)).json()["name"] == "other"
    same = await api.admin.patch(where, json={"name": "other"})
    assert same.status_code == 200


async def test_an_unknown_budget_is_not_found(api: Api) -> None:
    where = f"/v1/budgets/{uuid4()}"
    problem(await api.viewer.get(where), 404, "budget-not-found")
    problem(await api.admin.patch(where, json={}), 404, "budget-not-found")
    problem(await api.admin.post(f"{where}/close"), 404, "budget-not-found")


async def test_a_user_is_identified_by_name_or_id(api: Api) -> None:
    ada = (await api.admin.post("/v1/users", json={"name": "ada", "role": "member"})).json()["id"]
    for number, user in enumerate(("ada", ada)):
        made = await make(api, name=f"b{number}", scope="user", user=user)
        assert (made["user"], made["user_id"]) == ("ada", ada)
    wanted = BODY | {"scope": "user", "user": "ada"}
    for unknown in ("grace", str(uuid4())):
        response = await api.admin.post("/v1/budgets", json=wanted | {"name": "g", "user": unknown})
        assert fields(problem(response, 422, "unknown-user")) == ["user"]


async def test_an_unknown_scope_is_rejected_with_similar_names(api: Api) -> None:
    await api.post_run(project="translation", experiment="baselines")
    for changes, field, similar in (
        ({"scope": "project", "project": "translatoin"}, "project", "'translation'"),
        (
            {"scope": "experiment", "project": "translation", "experiment": "baseline"},
            "experiment",
            "'baselines'",
        ),
        ({"scope": "project", "project": "x" * 20}, "project", "create_missing"),
    ):
        response = await api.admin.post("/v1/budgets", json=BODY | changes)
        document = problem(response, 422, "unknown-scope")
        assert fields(document) == [field]
        assert similar in document["detail"]
    assert (await api.viewer.get("/v1/budgets")).json()["items"] == []
    assert len((await api.viewer.get("/v1/projects")).json()["items"]) == 1
    assert len((await api.viewer.get("/v1/experiments")).json()["items"]) == 1


async def test_scopes_that_do_not_exist_yet_are_created_on_request(api: Api) -> None:
    made = await make(api, scope="experiment", project="p", experiment="e", create_missing=True)
    members = (await api.viewer.get("/v1/projects/p/members")).json()["items"]
    assert [(each["user"], each["role"]) for each in members] == [("a admin", "owner")]
    assert (made["scope"], made["project"], made["experiment"]) == ("experiment", "p", "e")
    (project,) = (await api.viewer.get("/v1/projects")).json()["items"]
    (experiment,) = (await api.viewer.get("/v1/experiments")).json()["items"]
    assert (project["name"], experiment["name"]) == ("p", "e")


async def test_pages_and_names(api: Api) -> None:
    for name in ("c", "a", "b"):
        await make(api, name=name)
    first = (await api.viewer.get("/v1/budgets", params={"limit": 2})).json()
    rest = {"limit": 2, "cursor": first["next_cursor"]}
    second = (await api.viewer.get("/v1/budgets", params=rest)).json()
    names = [budget["name"] for budget in first["items"] + second["items"]]
    assert (names, second["next_cursor"]) == (["a", "b", "c"], None)
    (named,) = (await api.viewer.get("/v1/budgets", params={"name": "b"})).json()["items"]
    assert named["name"] == "b"


async def test_a_budget_created_too_late_warns_at_once_and_a_raised_one_again(api: Api) -> None:
    async with api.database.session_scope() as session:
        await finished_run(session)
    made = await make(api, amount="0.0005", thresholds=[0.5, 1])  # 2400 J, and the PUE's part
    used = made["spent"]
    assert used > 0.00066
    assert [alert["threshold_ratio"] for alert in made["alerts"]] == [0.5, 1.0]
    where = f"/v1/budgets/{made['id']}"
    raised = (await api.admin.patch(where, json={"amount": used * 1.5})).json()
    assert [alert["threshold_ratio"] for alert in raised["alerts"]] == [0.5]
    raised = (await api.admin.patch(where, json={"amount": used * 3})).json()
    assert raised["alerts"] == []


@pytest.mark.parametrize("cursor", ["x", "WyJhIl0", "WyJpbmZpbml0eSIsImEiLCIxIl0"])
async def test_a_cursor_of_another_list_is_rejected(api: Api, cursor: str) -> None:
    response = await api.viewer.get("/v1/budget-alerts", params={"cursor": cursor})
    problem(response, 422, "invalid-cursor")
