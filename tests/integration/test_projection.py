"""Projections of running jobs: shown with the run, its quote, and its events."""

from __future__ import annotations

from typing import Any

import pytest

from app.services.attempts import execution
from app.services.live import events
from tests.support.api import Api, a_principal
from tests.support.quoted import TrainingJournal, claimed_journal, trained, training

WHOLE_S = 48.0  # 1 s before, 40 s training, 1 s between, 5 s evaluation, 1 s after


async def running(api: Api, **body: Any) -> tuple[str, TrainingJournal]:
    run_id = await api.post_run(recipe=training(), **body)
    async with api.database.session_scope() as session:
        journal = await claimed_journal(session, run_id)
    journal.begin()
    return run_id, journal


async def ship(api: Api, journal: TrainingJournal) -> None:
    async with api.database.session_scope() as session:
        await execution.ingest(session, journal.attempt_id, journal.records)


async def shown(api: Api, run_id: str) -> dict[str, Any]:
    projection = (await api.viewer.get(f"/v1/runs/{run_id}")).json()["projection"]
    quote = (await api.viewer.get(f"/v1/runs/{run_id}/quote")).json()
    assert quote["projection"] == projection
    return dict(projection)


def energy(projection: dict[str, Any]) -> dict[str, Any]:
    return dict(projection["quantities"]["it_energy_kwh"])


async def test_a_running_job_is_projected_from_its_pace_and_history(api: Api) -> None:
    await trained(api, train_s=40.0, evaluate_s=5.0)
    run_id, journal = await running(api)
    await ship(api, journal)
    early = await shown(api, run_id)
    assert energy(early)["value"] is None
    assert energy(early)["reason"] == "no step of the job has begun"
    # This one is half as fast: after 21 s a quarter of the training is done.
    journal.tell(1.0, "0", 0, 200)
    journal.tell(2.0, "0", 1, 200)
    await ship(api, journal)
    assert "a projection is made from 5% on" in energy(await shown(api, run_id))["reason"]
    journal.tell(21.0, "0", 50, 200)
    await ship(api, journal)
    projection = await shown(api, run_id)
    # 80 s of training, and 5 s of evaluation as before it was known.
    expected_kwh = 150.0 * (21.0 + 60.0 + 5.0) / 3.6e6
    assert energy(projection)["value"] == pytest.approx(expected_kwh, rel=1e-6)
    assert energy(projection)["low"] < expected_kwh < energy(projection)["high"]
    assert projection["quantities"]["duration_s"]["value"] == pytest.approx(86.0, rel=1e-6)
    assert projection["quantities"]["facility_energy_kwh"]["value"] == pytest.approx(
        1.54 * expected_kwh
    )
    assert projection["quantities"]["co2e_kg"]["value"] > 0
    assert projection["progress_ratio"] == pytest.approx(0.25 * 40 / 45)


async def test_without_history_the_last_step_alone_is_projected(api: Api) -> None:
    run_id, journal = await running(api)
    journal.tell(1.0, "0", 0, 200)
    journal.tell(21.0, "0", 100, 200)
    await ship(api, journal)
    assert "step 2 (evaluate) is to come" in energy(await shown(api, run_id))["reason"]
    journal.close(41.0, "0")
    journal.edge(41.0, "1", 1, "evaluate")
    journal.tell(41.0, "1", 0, 100)
    journal.tell(43.0, "1", 50, 100)
    await ship(api, journal)
    projection = await shown(api, run_id)
    assert energy(projection)["value"] == pytest.approx(150.0 * 45.0 / 3.6e6)


async def test_earlier_attempts_are_in_the_projection(api: Api) -> None:
    await trained(api)
    run_id, journal = await running(api)
    journal.add("end", 30.0, status="lost", reason=None)
    journal.records[-1]["t_s"] = 30.0
    await ship(api, journal)
    used = (await api.viewer.get(f"/v1/runs/{run_id}/price-tag")).json()
    before_kwh = used["it_energy_kwh"]["value"]
    async with api.database.session_scope() as session:
        second = await claimed_journal(session, run_id)
    second.begin()
    second.tell(1.0, "0", 100, 200)  # from its checkpoint
    second.tell(11.0, "0", 150, 200)
    await ship(api, second)
    projection = await shown(api, run_id)
    assert energy(projection)["value"] == pytest.approx(before_kwh + 150.0 * (21.0 + 5.0) / 3.6e6)
    assert projection["quantities"]["duration_s"]["value"] == pytest.approx(30.0 + 26.0)


async def test_the_newest_progress_event_has_the_projection(api: Api) -> None:
    await trained(api)
    run_id, journal = await running(api)
    journal.tell(1.0, "0", 0, 200)
    journal.tell(21.0, "0", 100, 200)
    await ship(api, journal)
    all_events = []
    async with api.database.session_scope() as session:
        principal = await a_principal(session)
    hub = events.EventHub(api.database)
    async for news in events.stream(api.database, hub, principal, _id(run_id), 0):
        all_events += news.events
        if any(event.payload.get("done") == 100 for event in news.events):
            break
    progress_events = [event for event in all_events if event.kind == "progress"]
    assert ["projection" in event.payload for event in progress_events] == [False, False, True]
    assert progress_events[-1].payload["projection"] == await shown(api, run_id)


async def test_a_run_that_is_not_running_has_no_projection(api: Api) -> None:
    queued = await api.post_run(recipe=training())
    ended = await trained(api)
    for run_id in (queued, ended):
        assert (await api.viewer.get(f"/v1/runs/{run_id}")).json()["projection"] is None


async def test_impossible_progress_does_not_break_any_page(api: Api) -> None:
    run_id, journal = await running(api)
    journal.tell(1.0, "0", 5, 0)
    journal.tell(2.0, "0", -5, -3)
    journal.tell(3.0, "77", 1, 2)
    await ship(api, journal)
    reason = energy(await shown(api, run_id))["reason"]
    assert reason == "the job is in a stage that its recipe does not have"


def _id(run_id: str) -> Any:
    from uuid import UUID

    return UUID(run_id)
