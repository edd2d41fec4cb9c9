"""The queue of each pool: order, reasons, expected starts, and who sees what."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from app.queue import entries
from app.services.attempts import execution
from app.services.queueing import waiting
from app.services.queueing.waiting import Offer
from models import Project
from tests.support.api import Api, fields, problem
from tests.support.budgets import make_budget
from tests.support.executions import claimed
from tests.support.quoted import claimed_journal, half_trained, trained, training

GPUS = {"gpus": 1, "pool": "default"}
OFFER = Offer("default", gpus=1, cpu_slots=0, allows_commands=False)


async def announce(api: Api, offer: Offer | None = OFFER, worker: str = "w1") -> None:
    async with api.database.session_scope() as session:
        await waiting.announce(session, worker, "node", offer)


async def pool(api: Api, name: str = "default", **query: Any) -> dict[str, Any]:
    response = await api.viewer.get("/v1/queue", params=query)
    assert response.status_code == 200, response.text
    [own] = [each for each in response.json()["pools"] if each["pool"] == name]
    return dict(own)


async def test_runs_are_listed_in_the_order_in_which_workers_take_them(api: Api) -> None:
    first = await api.post_run(recipe=training(), resources=GPUS)
    second = await api.post_run(recipe=training(), resources=GPUS)
    urgent = await api.post_run(recipe=training(), resources=GPUS, priority=5)
    # One whose worker died waits behind those that came before its second entry.
    async with api.database.session_scope() as session:
        await entries.cancel(session, UUID(first))  # as its delivery does
        claim = await claimed(session, UUID(first))
        await execution.close_lost(session, claim.attempt_id)
        await execution.requeue(session, UUID(first))
    own = await pool(api)
    assert own["waiting_count"] == 3
    listed = [(run["position"], run["run_id"]) for run in own["waiting"]]
    assert listed == [(1, urgent), (2, second), (3, first)]
    limited = await pool(api, limit=1)
    assert [run["run_id"] for run in limited["waiting"]] == [urgent]
    assert limited["waiting_count"] == 3


async def test_a_pool_without_a_worker_states_it(api: Api) -> None:
    await api.post_run(recipe=training(), resources=GPUS)
    own = await pool(api)
    assert (own["workers"], own["gpus"], own["busy_ratio"]) == (0, 0, None)
    [run] = own["waiting"]
    assert run["reason"]["code"] == "no-worker-in-pool"
    assert run["reason"]["hint"].startswith("no worker is live")
    assert run["expected_start"] == {
        "at": None,
        "low": None,
        "high": None,
        "reason": "no live worker can take the run",
    }


async def test_an_expected_start_follows_from_progress_and_quotes(api: Api) -> None:
    await trained(api, resources=GPUS)  # 48 s: history for quotes
    await announce(api)
    running = await api.post_run(recipe=training(), resources=GPUS)
    async with api.database.session_scope() as session:
        journal = await claimed_journal(session, running)
    first = await api.post_run(recipe=training(), resources=GPUS)
    second = await api.post_run(recipe=training(), resources=GPUS)
    async with api.database.session_scope() as session:
        started = await half_trained(session, journal)
    own = await pool(api)
    assert (own["gpus"], own["gpus_busy"], own["busy_ratio"]) == (1, 1, 1.0)
    assert [run["run_id"] for run in own["waiting"]] == [first, second]
    projection = (await api.viewer.get(f"/v1/runs/{running}")).json()["projection"]
    quote = (await api.viewer.get(f"/v1/runs/{first}/quote")).json()
    total = projection["quantities"]["duration_s"]
    ends = {end: started + timedelta(seconds=total[name]) for end, name in ENDS.items()}
    assert own["waiting"][0]["reason"]["code"] == "places-taken"
    assert own["waiting"][1]["reason"]["message"] == (
        "1 of 1 accelerators of pool default are in use, and 1 run is ahead"
    )
    for end, expected in ends.items():
        at = datetime.fromisoformat(own["waiting"][0]["expected_start"][end])
        assert abs((at - expected).total_seconds()) < 1e-3
        later = datetime.fromisoformat(own["waiting"][1]["expected_start"][end])
        duration_s = quote["quantities"]["duration_s"][ENDS[end]]
        assert abs((later - at).total_seconds() - duration_s) < 1e-3
    assert own["waiting"][0]["quote"] == quote["quantities"]


ENDS = {"at": "value", "low": "low", "high": "high"}


async def test_a_start_behind_a_run_without_a_projection_is_unknown(api: Api) -> None:
    await announce(api)
    running = await api.post_run(recipe=training(), resources=GPUS)
    async with api.database.session_scope() as session:
        await claimed(session, UUID(running))
    await api.post_run(recipe=training(), resources=GPUS)
    [run] = (await pool(api))["waiting"]
    assert run["expected_start"]["at"] is None
    assert run["expected_start"]["reason"] == (
        "running runs, or runs ahead in the queue, have no expected end"
    )
    assert run["reason"]["message"] == "1 of 1 accelerators of pool default are in use"


async def test_a_free_place_a_start_time_and_scattered_devices_are_stated(api: Api) -> None:
    await announce(api)
    await announce(api, worker="w2")
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    await api.post_run(recipe=training(), resources=GPUS)
    await api.post_run(recipe=training(), resources=GPUS, not_before=later)
    large = {**GPUS, "gpus": 2}
    await api.post_run(recipe=training(), resources=large)
    codes = [run["reason"]["code"] for run in (await pool(api))["waiting"]]
    assert codes == ["starting", "not-before", "no-worker-large-enough"]
    await announce(api, replace(OFFER, gpus=2), worker="w3")
    held = await api.post_run(recipe=training(), resources=GPUS)
    async with api.database.session_scope() as session:
        await claimed(session, UUID(held), worker="w3")
    own = await pool(api)
    codes = [run["reason"]["code"] for run in own["waiting"]]
    assert codes == ["starting", "not-before", "scattered"]


async def test_a_budget_that_is_used_up_blocks_the_runs_under_it(api: Api) -> None:
    await announce(api)
    blocked = await api.post_run(recipe=training(), resources=GPUS)
    await api.post_run(recipe=training(), resources=GPUS, project="other")
    budget = await make_budget(api, scope="project", project="text", amount=0)
    own = await pool(api)
    assert own["blocked_count"] == 1
    first, second = own["waiting"]
    assert first["run_id"] == blocked
    assert first["blocked_by"] == [{"id": budget["id"], "name": budget["name"]}]
    assert first["reason"]["code"] == "budget-exceeded"
    assert budget["name"] in first["reason"]["message"]
    assert first["expected_start"]["reason"] == "a budget is used up"
    # It does not keep its place: the next run starts.
    assert (second["blocked_by"], second["reason"]["code"]) == ([], "starting")


async def test_hidden_runs_keep_their_position_without_their_names(api: Api) -> None:
    await api.post_run(recipe=training(), project="secret", name="hidden run")
    seen = await api.post_run(recipe=training())
    async with api.database.session_scope() as session:
        hidden = update(Project).where(Project.name == "secret")
        await session.execute(hidden.values(visibility="private"))
    response = await api.viewer.get("/v1/queue")
    assert "secret" not in response.text
    assert "hidden run" not in response.text
    own = await pool(api)
    assert [(run["position"], run["run_id"]) for run in own["waiting"]] == [(2, seen)]
    assert (own["waiting_count"], own["waiting_hidden"]) == (2, 1)
    everything = (await api.admin.get("/v1/queue")).json()["pools"][0]
    assert len(everything["waiting"]) == 2


async def test_one_pool_alone_and_the_throughput_of_the_last_hour(api: Api) -> None:
    await trained(api, resources={"gpus": 1, "pool": "lab"})
    await announce(api)
    await announce(api, replace(OFFER, pool="lab"), worker="w2")
    both = (await api.viewer.get("/v1/queue")).json()["pools"]
    assert [each["pool"] for each in both] == ["default", "lab"]
    [lab] = (await api.viewer.get("/v1/queue", params={"pool": "lab"})).json()["pools"]
    assert lab["pool"] == "lab"
    assert (await api.viewer.get("/v1/queue", params={"pool": "no pool"})).status_code == 422


@pytest.mark.parametrize("slots", [0, 1])
async def test_cpu_slots_are_counted_apart(api: Api, slots: int) -> None:
    await announce(api, Offer("default", gpus=0, cpu_slots=slots, allows_commands=True))
    running = await api.post_run()
    async with api.database.session_scope() as session:
        await claimed(session, UUID(running))
    await api.post_run()
    own = await pool(api)
    assert (own["cpu_slots"], own["cpu_slots_busy"]) == (slots, slots)
    assert own["busy_ratio"] == (1.0 if slots else None)
    [run] = own["waiting"]
    assert run["reason"]["code"] == ("places-taken" if slots else "no-worker-large-enough")


async def test_a_higher_priority_moves_a_run_to_the_front(api: Api) -> None:
    first, second = await api.post_run(name="first"), await api.post_run(name="second")

    async def order() -> list[str]:
        [pool] = (await api.viewer.get("/v1/queue")).json()["pools"]
        return [run["run_id"] for run in pool["waiting"]]

    assert await order() == [first, second]
    moved = await api.member.post(f"/v1/runs/{second}/priority", json={"priority": 5})
    assert moved.status_code == 202, moved.text
    assert await order() == [second, first]
    wrong = await api.member.post(f"/v1/runs/{second}/priority", json={"priority": 5000})
    assert fields(problem(wrong, 422, "invalid-request")) == ["priority"]
    await api.member.post(f"/v1/runs/{second}/cancel")
    late = await api.member.post(f"/v1/runs/{second}/priority", json={"priority": 1})
    problem(late, 409, "run-not-queued")
