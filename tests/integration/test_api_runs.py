from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import yaml
from sqlalchemy import event, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.api.v1.examples import COMMAND_RUN, PIPELINE_RUN
from app.db import Database
from models import IdempotencyKey, Run
from tests.support.api import Api, fields, finished_run, problem, run_body, running_run
from tests.support.executions import make_run


async def count(database: Database, table: Any) -> int:
    async with database.session_scope() as session:
        return int((await session.execute(select(func.count()).select_from(table))).scalar_one())


async def entries(session: AsyncSession, run_id: str) -> list[tuple[str, int]]:
    query = text(
        "SELECT queue_name, priority FROM procrastinate_jobs WHERE args ->> 'run_id' = :run_id"
    )
    return [(row[0], row[1]) for row in await session.execute(query, {"run_id": run_id})]


@pytest.mark.parametrize("body", [PIPELINE_RUN, COMMAND_RUN], ids=["pipeline", "command"])
async def test_a_posted_run_is_queued_and_shown(api: Api, body: dict[str, Any]) -> None:
    response = await api.member.post("/v1/runs", json=body)
    assert response.status_code == 202
    accepted = response.json()
    assert accepted["status"] == "queued"
    assert accepted["url"] == f"/v1/runs/{accepted['id']}"
    shown = (await api.viewer.get(accepted["url"])).json()
    kinds = [stage["kind"] for stage in body["recipe"]["stages"]]
    assert shown["kind"] == "+".join(kinds)
    assert [stage["kind"] for stage in shown["recipe"]["stages"]] == kinds
    assert (shown["project"], shown["experiment"]) == (body["project"], body["experiment"])
    assert shown["tags"] == body.get("tags", [])
    assert (shown["attempts"], shown["price_tag"], shown["started_at"]) == ([], None, None)


async def test_the_queue_entry_is_of_the_run_s_pool_and_priority(api: Api) -> None:
    run_id = await api.post_run(resources={"gpus": 2, "pool": "lab"}, priority=7)
    async with api.database.session_scope() as session:
        assert await entries(session, run_id) == [("lab+commands/2gpu", 7)]


async def test_yaml_and_json_are_the_same_run(api: Api) -> None:
    headers = {"Idempotency-Key": "k", "Content-Type": "application/yaml"}
    first = await api.member.post("/v1/runs", content=yaml.safe_dump(PIPELINE_RUN), headers=headers)
    assert first.status_code == 202, first.text
    again = await api.member.post("/v1/runs", json=PIPELINE_RUN, headers={"Idempotency-Key": "k"})
    assert again.status_code == 202
    assert again.json() == first.json()
    assert await count(api.database, Run) == 1


async def test_an_idempotency_key_belongs_to_one_body_and_one_token(api: Api) -> None:
    key = {"Idempotency-Key": "k"}
    first = await api.member.post("/v1/runs", json=run_body(), headers=key)
    other = await api.member.post("/v1/runs", json=run_body(name="another"), headers=key)
    refused = problem(other, 409, "idempotency-key-reused")
    assert fields(refused) == ["Idempotency-Key"]
    elsewhere = await api.admin.post("/v1/runs", json=run_body(name="another"), headers=key)
    assert elsewhere.status_code == 202
    assert elsewhere.json()["id"] != first.json()["id"]


async def test_the_same_key_at_the_same_time_posts_one_run(committed_api: Api) -> None:
    answers = await asyncio.gather(
        *(
            committed_api.member.post(
                "/v1/runs", json=run_body(), headers={"Idempotency-Key": "same"}
            )
            for _ in range(6)
        )
    )
    assert [response.status_code for response in answers] == [202] * 6
    assert len({response.json()["id"] for response in answers}) == 1
    assert await count(committed_api.database, Run) == 1
    assert await count(committed_api.database, IdempotencyKey) == 1
    async with committed_api.database.session_scope() as session:
        assert len(await entries(session, answers[0].json()["id"])) == 1


async def test_runs_of_a_new_project_at_the_same_time_share_it(committed_api: Api) -> None:
    await asyncio.gather(*(committed_api.post_run(project="new") for _ in range(4)))
    projects = (await committed_api.viewer.get("/v1/projects")).json()["items"]
    assert [(item["name"], item["experiments"], item["runs"]) for item in projects] == [
        ("new", 1, 4)
    ]


async def test_a_rejected_run_leaves_nothing(api: Api) -> None:
    wrong = run_body(project="never", recipe={"stages": [{"kind": "trian"}]})
    refused = problem(await api.member.post("/v1/runs", json=wrong), 422, "invalid-recipe")
    assert fields(refused) == ["recipe.stages.0.kind"]
    assert "train" in refused["errors"][0]["hint"]
    assert await count(api.database, Run) == 0
    assert (await api.viewer.get("/v1/projects")).json()["items"] == []


@pytest.mark.parametrize("year", [1, 1969, 9999])
async def test_a_start_beyond_reason_is_rejected(api: Api, year: int) -> None:
    body = run_body(not_before=f"{year:04d}-01-01T00:00:00+14:00")
    refused = problem(await api.member.post("/v1/runs", json=body), 422, "invalid-recipe")
    assert fields(refused) == ["not_before"]


async def test_viewers_can_neither_post_nor_cancel(api: Api) -> None:
    run_id = await api.post_run()
    for path in ("/v1/runs", f"/v1/runs/{run_id}/cancel", "/v1/reports"):
        problem(await api.viewer.post(path, json=run_body(title="x")), 403, "role-required")


async def test_every_request_without_a_token_is_rejected(api: Api) -> None:
    run_id = await api.post_run()
    for path in ("/v1/runs", f"/v1/runs/{run_id}", f"/v1/runs/{run_id}/events", "/v1/recipes"):
        refused = await api.nobody.get(path)
        problem(refused, 401, "unauthenticated")
        assert refused.headers["www-authenticate"] == "Bearer"


async def test_a_queued_run_is_canceled_at_once(api: Api) -> None:
    run_id = await api.post_run()
    response = await api.member.post(f"/v1/runs/{run_id}/cancel")
    assert (response.status_code, response.json()["status"]) == (202, "cancelled")
    async with api.database.session_scope() as session:
        assert await entries(session, run_id) == []
    again = problem(await api.member.post(f"/v1/runs/{run_id}/cancel"), 409, "run-finished")
    assert "already canceled" in again["detail"]


async def test_a_running_run_is_asked_to_stop(api: Api) -> None:
    async with api.database.session_scope() as session:
        run_id = await running_run(session, 3)
    response = await api.admin.post(f"/v1/runs/{run_id}/cancel")
    assert (response.status_code, response.json()["status"]) == (202, "running")
    assert response.json()["cancel_requested_at"] is not None


async def test_a_finished_run_is_not_canceled(api: Api) -> None:
    async with api.database.session_scope() as session:
        run_id = await finished_run(session)
    refused = problem(await api.admin.post(f"/v1/runs/{run_id}/cancel"), 409, "run-finished")
    assert refused["detail"] == "The run has already succeeded and cannot be canceled."


async def test_a_member_cancels_its_own_an_admin_any(api: Api) -> None:
    theirs = (await api.admin.post("/v1/runs", json=run_body())).json()["id"]
    problem(await api.member.post(f"/v1/runs/{theirs}/cancel"), 403, "not-your-run")
    mine = await api.post_run()
    assert (await api.admin.post(f"/v1/runs/{mine}/cancel")).status_code == 202


async def test_an_unknown_run_is_not_found(api: Api) -> None:
    missing = uuid4()
    for path in ("", "/power", "/metrics", "/logs", "/artifacts", "/price-tag", "/events"):
        refused = problem(await api.viewer.get(f"/v1/runs/{missing}{path}"), 404, "run-not-found")
        assert str(missing) in refused["detail"]
    problem(await api.admin.post(f"/v1/runs/{missing}/cancel"), 404, "run-not-found")


async def names(api: Api, **query: Any) -> list[str]:
    response = await api.viewer.get("/v1/runs", params={"sort": "created_at", **query})
    assert response.status_code == 200, response.text
    return [item["name"] for item in response.json()["items"]]


async def test_filters_select_by_every_given_condition(api: Api) -> None:
    train = PIPELINE_RUN["recipe"]
    await api.post_run(name="a", tags=["x", "y"])
    await api.post_run(name="b", tags=["x"], experiment="other")
    await api.post_run(name="c", project="elsewhere", recipe=train)
    cancelled = await api.post_run(name="d")
    await api.member.post(f"/v1/runs/{cancelled}/cancel")
    assert await names(api) == ["a", "b", "c", "d"]
    assert await names(api, project="elsewhere") == ["c"]
    assert await names(api, experiment="other") == ["b"]
    assert await names(api, tag="x") == ["a", "b"]
    assert await names(api, tag=["x", "y"]) == ["a"]
    assert await names(api, status="cancelled") == ["d"]
    assert await names(api, status=["queued", "cancelled"], project="text") == ["a", "b", "d"]
    assert await names(api, kind="command") == ["a", "b", "d"]
    assert await names(api, kind="quantize") == ["c"]
    assert await names(api, kind="train+quantize+measure") == ["c"]
    assert await names(api, kind="train+quantize") == []


@pytest.mark.parametrize(
    ("query", "field", "message"),
    [
        ("kind=bogus", "kind", "has no stage kind 'bogus'; known, joined by '+'"),
        ("kind=train%2Bmesure", "kind", "train, train-early_exit, evaluate,"),
        ("kind=train measure", "kind", "has no stage kind 'train measure'"),
        ("status=queued&status=done", "status", "'queued', 'running'"),
    ],
)
async def test_a_filter_that_matches_no_run_ever_is_rejected(
    api: Api, query: str, field: str, message: str
) -> None:
    refused = problem(await api.viewer.get(f"/v1/runs?{query}"), 422, "invalid-request")
    assert fields(refused) == [field]
    assert message in refused["detail"]


async def test_times_bound_the_list(api: Api) -> None:
    await api.post_run(name="now")
    soon = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    before = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    assert await names(api, created_before=soon, created_after=before) == ["now"]
    assert await names(api, created_after=soon) == []
    assert await names(api, created_before=before) == []


async def pages(api: Api, **query: Any) -> list[list[str]]:
    ids_by_page: list[list[str]] = []
    cursor: str | None = None
    while True:
        params = query | ({"cursor": cursor} if cursor else {})
        page = (await api.viewer.get("/v1/runs", params=params)).json()
        ids_by_page.append([item["name"] for item in page["items"]])
        cursor = page["next_cursor"]
        if cursor is None:
            return ids_by_page


async def test_pages_go_through_every_order(api: Api) -> None:
    async with api.database.session_scope() as session:
        for name, minutes in (("b", 3), ("a", 1), ("c", None), ("a", 2)):
            at = datetime(2026, 3, 1, tzinfo=UTC)
            finished = None if minutes is None else at + timedelta(minutes=minutes)
            await make_run(session, name=name, finished_at=finished)
    assert await pages(api, sort="name", limit=3) == [["a", "a", "b"], ["c"]]
    assert await pages(api, sort="-name", limit=2) == [["c", "b"], ["a", "a"]]
    assert await pages(api, sort="finished_at", limit=1) == [["a"], ["a"], ["b"], ["c"]]
    assert await pages(api, sort="-finished_at", limit=3) == [["b", "a", "a"], ["c"]]
    assert await pages(api, limit=2) == [["a", "c"], ["a", "b"]]


async def test_a_page_is_not_shifted_by_runs_posted_in_the_meantime(api: Api) -> None:
    for name in "abc":
        await api.post_run(name=name)
    first = (await api.viewer.get("/v1/runs", params={"limit": 2})).json()
    await api.post_run(name="late")
    second = await api.viewer.get("/v1/runs", params={"cursor": first["next_cursor"]})
    assert [item["name"] for item in first["items"]] == ["c", "b"]
    assert [item["name"] for item in second.json()["items"]] == ["a"]


@pytest.mark.parametrize(
    "cursor", ["x", "bm9wZQ", "WyItY3JlYXRlZF9hdCIsICJub3QgYSB0aW1lIiwgIngiXQ"]
)
async def test_a_made_up_cursor_is_rejected(api: Api, cursor: str) -> None:
    refused = await api.viewer.get("/v1/runs", params={"cursor": cursor})
    assert fields(problem(refused, 422, "invalid-cursor")) == ["cursor"]


async def test_a_cursor_belongs_to_one_order(api: Api) -> None:
    for name in "ab":
        await api.post_run(name=name)
    cursor = (await api.viewer.get("/v1/runs", params={"limit": 1})).json()["next_cursor"]
    other = await api.viewer.get("/v1/runs", params={"cursor": cursor, "sort": "name"})
    problem(other, 422, "invalid-cursor")


async def test_a_page_of_runs_takes_as_many_queries_as_one_run(api: Api) -> None:
    queries: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.lstrip().upper().startswith("SELECT"):
            queries.append(statement)

    event.listen(api.database.engine.sync_engine, "before_cursor_execute", note)
    try:
        seen: list[int] = []
        for _ in range(2):
            async with api.database.session_scope() as session:
                for _ in range(3):
                    await finished_run(session)
            queries.clear()
            page = (await api.viewer.get("/v1/runs")).json()["items"]
            assert all(item["price_tag"]["version"] == 1 for item in page)
            seen.append(len(queries))
    finally:
        event.remove(api.database.engine.sync_engine, "before_cursor_execute", note)
    # One for the token, one for the projects that the viewer sees, one for the IDs of the page,
    # with the planner's settings before and after it, and one for its rows.
    assert seen == [6, 6]


async def test_a_finished_run_shows_attempts_stages_and_headline(api: Api) -> None:
    async with api.database.session_scope() as session:
        run_id: UUID = await finished_run(session, name="done")
    shown = (await api.viewer.get(f"/v1/runs/{run_id}")).json()
    assert shown["status"] == "succeeded"
    (attempt,) = shown["attempts"]
    assert (attempt["number"], attempt["status"], attempt["duration_s"]) == (1, "succeeded", 16.0)
    assert [(stage["kind"], stage["start_s"], stage["end_s"]) for stage in attempt["stages"]] == [
        ("train", 0.0, 10.0),
        ("evaluate", 10.0, 15.0),
    ]
    assert shown["price_tag"]["version"] == 1
    assert shown["price_tag"]["it_energy_kwh"] == pytest.approx(2400 / 3.6e6)
    assert shown["price_tag"]["duration_s"] == pytest.approx(16.0)
