"""Filters by a name that nothing has: an error with similar names, not an empty list."""

from __future__ import annotations

from typing import Any

import pytest

from app.repositories.nodes import registry
from tests.support.api import Api, problem


async def test_a_misspelled_filter_is_an_error_with_similar_names(api: Api) -> None:
    await api.post_run(project="sentiment", experiment="baseline")
    await api.post_run(project="vision", experiment="ablation")
    cases: list[tuple[dict[str, str], str, str, str]] = [
        (
            {"project": "sentimnet"},
            "project-not-found",
            "project",
            "Project 'sentimnet' not found: it does not exist or is hidden from you; "
            "did you mean 'sentiment'?",
        ),
        (
            {"project": "SENTIMENT"},
            "project-not-found",
            "project",
            "Project 'SENTIMENT' not found: it does not exist or is hidden from you; "
            "did you mean 'sentiment'?",
        ),
        (
            {"project": "qqq"},
            "project-not-found",
            "project",
            "Project 'qqq' not found: it does not exist or is hidden from you.",
        ),
        (
            {"experiment": "basline"},
            "experiment-not-found",
            "experiment",
            "Experiment 'basline' not found: it does not exist or is hidden from you; "
            "did you mean 'baseline'?",
        ),
        (
            {"project": "vision", "experiment": "baseline"},
            "experiment-not-found",
            "experiment",
            "Experiment 'baseline' not found in project 'vision': it does not exist or is hidden "
            "from you.",
        ),
        (
            {"project": "vison", "experiment": "baseline"},
            "project-not-found",
            "project",
            "Project 'vison' not found: it does not exist or is hidden from you; "
            "did you mean 'vision'?",
        ),
        (
            {"user": "a memebr"},
            "user-not-found",
            "user",
            "User 'a memebr' not found; did you mean 'a member'?",
        ),
    ]
    for filters, code, field, detail in cases:
        unknown = problem(await api.viewer.get("/v1/runs", params=filters), 404, code)
        assert unknown["detail"] == detail
        assert [error["field"] for error in unknown["errors"]] == [field]


async def test_a_filter_that_selects_nothing_is_an_empty_list(api: Api) -> None:
    await api.post_run(project="sentiment", experiment="baseline")
    for filters in (
        {"user": "a viewer"},  # exists, and posted nothing
        {"project": "sentiment", "status": "failed"},
        {"experiment": "baseline", "tag": "unused"},
        {"q": "nothing"},
    ):
        page = await api.viewer.get("/v1/runs", params=filters)
        assert (page.status_code, page.json()["items"]) == (200, [])


async def test_names_that_are_hidden_do_not_exist(api: Api) -> None:
    await api.post_run(project="secret", experiment="hidden plan")
    changed = await api.admin.patch("/v1/projects/secret", json={"visibility": "private"})
    assert changed.status_code == 200
    for path, filters, code in (
        ("/v1/runs", {"project": "secret"}, "project-not-found"),
        ("/v1/runs", {"project": "secrte"}, "project-not-found"),
        ("/v1/runs", {"experiment": "hidden plan"}, "experiment-not-found"),
        ("/v1/runs", {"user": "a membre"}, "user-not-found"),
        ("/v1/experiments", {"project": "secret"}, "project-not-found"),
    ):
        unknown = problem(await api.viewer.get(path, params=filters), 404, code)
        assert "did you mean" not in unknown["detail"]


async def test_experiments_of_a_misspelled_project_are_an_error(api: Api) -> None:
    await api.post_run(project="sentiment")
    params = {"project": "sentment"}
    unknown = problem(await api.viewer.get("/v1/experiments", params=params), 404, CODE)
    assert unknown["detail"].endswith("did you mean 'sentiment'?")


CODE = "project-not-found"


@pytest.mark.parametrize(
    ("filters", "field"),
    [
        ({"project": "sentment"}, "filter.project"),
        ({"project": "sentiment", "experiment": "basline"}, "filter.experiment"),
    ],
)
async def test_a_report_on_a_misspelled_name_is_an_error(
    api: Api, filters: dict[str, Any], field: str
) -> None:
    await api.post_run(project="sentiment", experiment="baseline")
    body = {"title": "a report", "filter": filters}
    unknown = problem(await api.member.post("/v1/reports", json=body), 422, "nothing-to-report")
    assert [error["field"] for error in unknown["errors"]] == [field]
    assert "did you mean" in unknown["detail"]


UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("filters", "code", "hint"),
    [
        ({"actor": "a membre"}, "user-not-found", "User 'a membre' not found; did you mean"),
        ({"actor": "A ADMIN"}, "user-not-found", "did you mean 'a admin'"),
        ({"actor": "servcie"}, "user-not-found", "did you mean 'service'?"),
        ({"actor": "qqq", "object_kind": "token"}, "user-not-found", "User 'qqq' not found."),
        ({"user_id": UNKNOWN_ID}, "user-not-found", UNKNOWN_ID),
        ({"token_id": UNKNOWN_ID}, "token-not-found", UNKNOWN_ID),
        ({"object_id": UNKNOWN_ID}, "object-not-found", UNKNOWN_ID),
        ({"object_id": "berlni"}, "object-not-found", "'berlni'"),
    ],
)
async def test_an_unknown_name_in_the_audit_log_is_an_error(
    api: Api, filters: dict[str, str], code: str, hint: str
) -> None:
    await api.admin.post("/v1/sites", json={"name": "berlin"})
    unknown = problem(await api.admin.get("/v1/audit", params=filters), 404, code)
    assert hint in unknown["detail"]
    assert [error["field"] for error in unknown["errors"]] == [next(iter(filters))]


async def test_actors_of_the_audit_log_that_changed_nothing_exist(api: Api) -> None:
    run_id = await api.post_run()
    for filters in (
        {"actor": "a viewer"},
        {"actor": "database"},
        {"actor": "a admin", "action": "repriced"},
        {"object_id": run_id},
    ):
        page = await api.admin.get("/v1/audit", params=filters)
        assert (page.status_code, page.json()["items"]) == (200, []), filters


async def test_the_former_name_of_an_actor_exists(api: Api) -> None:
    ada = (await api.admin.post("/v1/users", json={"name": "ada", "role": "admin"})).json()["id"]
    secret = (await api.admin.post(f"/v1/users/{ada}/tokens", json={"name": "t"})).json()["secret"]
    headers = {"Authorization": f"Bearer {secret}"}
    await api.nobody.post("/v1/sites", json={"name": "berlin"}, headers=headers)
    await api.admin.patch(f"/v1/users/{ada}", json={"name": "lovelace"})
    for actor, entries in (("ada", 1), ("lovelace", 0)):
        page = await api.admin.get("/v1/audit", params={"actor": actor})
        assert (page.status_code, len(page.json()["items"])) == (200, entries)
    nothing = await api.admin.get("/v1/audit", params={"actor": "ada", "object_kind": "run"})
    assert (nothing.status_code, nothing.json()["items"]) == (200, [])


@pytest.mark.parametrize(
    ("name", "typo"), [("object_kind", "bugdet"), ("action", "craeted"), ("access", "tokn")]
)
async def test_an_unknown_kind_in_the_audit_log_lists_the_kinds(
    api: Api, name: str, typo: str
) -> None:
    response = await api.admin.get("/v1/audit", params={name: typo})
    [error] = problem(response, 422, "invalid-request")["errors"]
    assert error["field"] == name
    assert "token" in str(error) or "created" in str(error)


async def test_a_misspelled_budget_is_an_error_and_a_closed_one_is_not(api: Api) -> None:
    body = {"name": "monthly", "scope": "lab", "metric": "co2e_kg", "amount": 1}
    budget = (await api.admin.post("/v1/budgets", json=body)).json()["id"]
    listed = await api.viewer.get("/v1/budgets", params={"name": "montly"})
    detail = problem(listed, 404, "budget-not-found")["detail"]
    assert detail.endswith("did you mean 'monthly'?")
    await api.admin.post(f"/v1/budgets/{budget}/close")
    closed = await api.viewer.get("/v1/budgets", params={"name": "monthly"})
    assert (closed.status_code, closed.json()["items"]) == (200, [])
    alerts = await api.viewer.get("/v1/budget-alerts", params={"budget_id": UNKNOWN_ID})
    problem(alerts, 404, "budget-not-found")
    none = await api.viewer.get("/v1/budget-alerts", params={"budget_id": budget})
    assert (none.status_code, none.json()["items"]) == (200, [])


async def test_a_hidden_budget_does_not_exist(api: Api) -> None:
    await api.post_run(project="secret")
    await api.admin.patch("/v1/projects/secret", json={"visibility": "private"})
    body = {"name": "hidden plan", "scope": "project", "project": "secret", "metric": "co2e_kg"}
    budget = (await api.admin.post("/v1/budgets", json=body | {"amount": 1})).json()["id"]
    for name in ("hidden plan", "hidden pln"):
        listed = await api.viewer.get("/v1/budgets", params={"name": name})
        assert "did you mean" not in problem(listed, 404, "budget-not-found")["detail"]
    alerts = await api.viewer.get("/v1/budget-alerts", params={"budget_id": budget})
    problem(alerts, 404, "budget-not-found")


async def test_prices_of_a_misspelled_accelerator_are_an_error(api: Api) -> None:
    response = await api.viewer.get("/v1/prices", params={"accelerator": "NVIDIA H10 SXM"})
    detail = problem(response, 404, "accelerator-not-found")["detail"]
    assert "did you mean 'NVIDIA H100 SXM'" in detail
    for accelerator in ("NVIDIA H100 SXM", "nvidia h100 sxm", "h100-sxm", "H100"):
        none = await api.viewer.get("/v1/prices", params={"accelerator": accelerator})
        assert (none.status_code, none.json()["items"]) == (200, [])


async def test_energy_of_a_misspelled_node_names_similar_nodes(api: Api) -> None:
    async with api.database.session_scope() as session:
        await registry.upsert(
            session, name="node-a", pool="cpu", devices=[], capabilities={}, place=None
        )
    response = await api.viewer.get("/v1/energy", params={"node": "node-aa"})
    detail = problem(response, 404, "node-not-found")["detail"]
    assert detail == "Node 'node-aa' not found; did you mean 'node-a'?"
