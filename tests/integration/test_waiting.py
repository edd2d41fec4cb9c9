"""Runs that no live worker can take are accepted, and state why until one comes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, update

from app.db import Database
from app.schemas.series import EventRead
from app.services.attempts import execution
from app.services.live import events
from app.services.queueing import waiting
from app.services.queueing.waiting import Offer
from models import WorkerProcess
from tests.support.api import Api, a_principal, run_body
from tests.support.executions import claimed

TRAIN: dict[str, Any] = {
    "task": "classification",
    "data": {"train": "a.tsv", "text": "t", "label": "l"},
    "model": {"config": {}},
    "stages": [{"kind": "train", "epochs": 1, "evaluate": False}],
}
CLOSED = Offer("default", gpus=0, cpu_slots=1, allows_commands=False)
ALLOWING = replace(CLOSED, allows_commands=True)


async def announce(api: Api, worker: str, offer: Offer | None) -> None:
    async with api.database.session_scope() as session:
        await waiting.announce(session, worker, "node", offer)


async def post(api: Api, **changes: Any) -> dict[str, Any]:
    response = await api.member.post("/v1/runs", json=run_body(**changes))
    assert response.status_code == 202, response.text
    return dict(response.json())


async def shown(api: Api, run_id: str) -> dict[str, Any] | None:
    run = (await api.viewer.get(f"/v1/runs/{run_id}")).json()
    wait: dict[str, Any] | None = run["waiting"]
    return wait


async def test_a_run_for_a_pool_without_a_worker_states_it_until_one_starts(api: Api) -> None:
    await announce(api, "w1", ALLOWING)
    accepted = await post(api, resources={"gpus": 0, "pool": "labb"})
    assert accepted["status"] == "queued"
    reason = {
        "code": "no-worker-in-pool",
        "message": "no worker serves pool labb",
        "hint": "pools with a live worker: default",
        "pools_served": ["default"],
    }
    assert accepted["waiting"] == reason
    assert accepted["warnings"] == [
        "the run waits: no worker serves pool labb (pools with a live worker: default)"
    ]
    assert await shown(api, accepted["id"]) == reason
    await announce(api, "w2", replace(ALLOWING, pool="labb"))
    assert await shown(api, accepted["id"]) is None
    await announce(api, "w2", None)  # it stops
    assert await shown(api, accepted["id"]) == reason


async def test_too_few_devices_and_forbidden_commands_are_reasons_too(api: Api) -> None:
    await announce(api, "w1", CLOSED)
    fits = await post(api, recipe=TRAIN)
    assert (fits["waiting"], fits["warnings"]) == (None, [])
    large = await post(api, recipe=TRAIN, resources={"gpus": 2, "pool": "default"})
    assert large["waiting"]["message"] == "no worker of pool default has 2 accelerators"
    program = await post(api)
    assert program["waiting"]["code"] == "no-worker-allows-commands"
    await announce(api, "w2", replace(ALLOWING, gpus=2))
    for accepted in (large, program):
        assert await shown(api, accepted["id"]) is None


async def test_a_worker_that_fell_silent_does_not_count(api: Api) -> None:
    await announce(api, "w1", ALLOWING)
    accepted = await post(api)
    assert accepted["waiting"] is None
    for age_s, is_live in ((waiting.SILENT_S - 5, True), (waiting.SILENT_S + 5, False)):
        async with api.database.session_scope() as session:
            seen = func.now() - timedelta(seconds=age_s)
            await session.execute(update(WorkerProcess).values(last_seen_at=seen))
        assert (await shown(api, accepted["id"]) is None) == is_live
    await announce(api, "w1", ALLOWING)
    assert await shown(api, accepted["id"]) is None


async def test_only_queued_runs_wait_and_resuming_one_gives_a_warning(api: Api) -> None:
    accepted = await post(api)
    async with api.database.session_scope() as session:
        await claimed(session, UUID(accepted["id"]))
    assert await shown(api, accepted["id"]) is None
    other = await post(api)
    cancelled = await api.member.post(f"/v1/runs/{other['id']}/cancel")
    assert (cancelled.json()["waiting"], cancelled.json()["warnings"]) == (None, [])
    resumed = (await api.member.post(f"/v1/runs/{other['id']}/resume")).json()
    assert resumed["waiting"]["code"] == "no-worker-in-pool"
    assert resumed["waiting"]["pools_served"] == []
    assert resumed["warnings"][-1].startswith("the run waits: no worker serves pool default")


async def test_the_same_key_gets_the_same_response(api: Api) -> None:
    headers = {"Idempotency-Key": "k"}
    first, again = [
        (await api.member.post("/v1/runs", json=run_body(), headers=headers)).json()
        for _ in range(2)
    ]
    assert first["waiting"] is not None
    assert first == again


async def test_nodes_list_their_live_workers(api: Api) -> None:
    async with api.database.session_scope() as session:
        await execution.register_node(session, "node", "default", [], {})
    await announce(api, "w1", CLOSED)
    await announce(api, "w2", replace(ALLOWING, pool="lab", gpus=2))
    [node] = (await api.viewer.get("/v1/nodes")).json()["items"]
    listed = [{k: v for k, v in w.items() if k != "last_seen_at"} for w in node["workers"]]
    assert listed == [
        {"pool": "default", "gpus": 0, "cpu_slots": 1, "allows_commands": False, "late": False},
        {"pool": "lab", "gpus": 2, "cpu_slots": 1, "allows_commands": True, "late": False},
    ]


async def test_workers_that_died_without_notice_are_forgotten(db: Database) -> None:
    async with db.session_scope() as session:
        for worker, age_s in (("old", waiting.FORGOTTEN_S + 60), ("new", 60.0)):
            await waiting.announce(session, worker, "node", CLOSED)
            seen = func.now() - timedelta(seconds=age_s)
            by_name = update(WorkerProcess).where(WorkerProcess.identity == worker)
            await session.execute(by_name.values(last_seen_at=seen))
        await waiting.forget_the_dead(session)
        assert list(await session.scalars(select(WorkerProcess.identity))) == ["new"]


async def test_the_event_stream_gives_the_reason_and_withdraws_it(
    committed_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = committed_api
    monkeypatch.setattr(events, "POLL_S", 0.05)
    accepted = await post(api)
    async with api.database.session_scope() as session:
        principal = await a_principal(session)
    received: list[EventRead] = []
    news = asyncio.Event()

    async def follow() -> None:
        hub = events.EventHub(api.database)
        stream = events.stream(api.database, hub, principal, UUID(accepted["id"]), 0)
        async for batch in stream:
            received.extend(batch.events)
            news.set()

    async def until(count: int) -> None:
        async with asyncio.timeout(60):
            while len(received) < count:
                news.clear()
                await news.wait()

    task = asyncio.create_task(follow())
    await until(2)
    await announce(api, "w1", CLOSED)
    await until(3)
    await announce(api, "w2", ALLOWING)
    await until(4)
    await api.member.post(f"/v1/runs/{accepted['id']}/cancel")
    async with asyncio.timeout(60):
        await task
    codes = [(e.payload["waiting"] or {}).get("code") for e in received if e.kind == "waiting"]
    assert codes == ["no-worker-in-pool", "no-worker-allows-commands", None]
    assert [event.kind for event in received] == ["status", *["waiting"] * 3, "status"]
    # They do not move the point from which a client resumes.
    assert {event.id for event in received[:4]} == {received[0].id}
