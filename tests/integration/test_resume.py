"""Runs that ended early are resumed: same run, same bill."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from app.services.attempts import execution
from models import Attempt, Quote, Run
from tests.support.api import Api, finished_run, problem
from tests.support.budgets import make_budget
from tests.support.executions import JournalMaker, claimed

BUDGET_SPENT = {"code": "budget-exceeded", "message": "the budget lab is used up"}


async def ended(api: Api, status: str, reason: dict[str, Any] | None = None, **body: Any) -> str:
    """A member's run whose first attempt has used energy and ended so."""
    run_id = await api.post_run(**body)
    async with api.database.session_scope() as session:
        claimed_run = await claimed(session, UUID(run_id))
        journal = JournalMaker(claimed_run.attempt_id)
        journal.whole(status, reason)
        await execution.ingest(session, claimed_run.attempt_id, journal.records)
    return run_id


async def show(api: Api, run_id: str) -> dict[str, Any]:
    shown_run: dict[str, Any] = (await api.member.get(f"/v1/runs/{run_id}")).json()
    return shown_run


async def price_tag(api: Api, run_id: str) -> dict[str, Any]:
    document: dict[str, Any] = (await api.member.get(f"/v1/runs/{run_id}/price-tag")).json()
    return document


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("cancelled", BUDGET_SPENT),
        ("failed", {"code": "disk-full", "message": "no space left"}),
    ],
)
async def test_a_resumed_run_continues_in_a_new_attempt_on_the_same_bill(
    api: Api, status: str, reason: dict[str, Any]
) -> None:
    run_id = await ended(api, status, reason)
    first = await show(api, run_id)
    assert (first["status"], first["status_reason"]["code"]) == (status, reason["code"])
    response = await api.member.post(f"/v1/runs/{run_id}/resume")
    assert response.status_code == 202
    assert response.json()["status"] == "queued"
    queued = await show(api, run_id)
    assert queued["status_reason"]["code"] == "resumed"
    assert queued["finished_at"] is queued["progress"] is queued["cancel_requested_at"] is None
    assert queued["price_tag"] == first["price_tag"]  # what was used stays on the bill
    async with api.database.session_scope() as session:
        [before] = (await session.scalars(select(Attempt))).all()
        before.started_at = before.started_at - timedelta(hours=1)  # one device, two times
        if before.meter_opened_at is not None:
            before.meter_opened_at -= timedelta(hours=1)
        claimed_run = await claimed(session, UUID(run_id))
        assert (claimed_run.number, claimed_run.max_attempts) == (2, 4)
        journal = JournalMaker(claimed_run.attempt_id)
        journal.whole()
        await execution.ingest(session, claimed_run.attempt_id, journal.records)
    after = await show(api, run_id)
    assert after["status"] == "succeeded"
    tag = await price_tag(api, run_id)
    assert [attempt["status"] for attempt in tag["attempts"]] == [status, "succeeded"]
    once_kwh = first["price_tag"]["it_energy_kwh"]
    assert tag["it_energy_kwh"]["value"] == pytest.approx(2 * once_kwh)
    audit = (await api.admin.get("/v1/audit", params={"object_kind": "run"})).json()["items"]
    assert [(item["action"], item["object_id"]) for item in audit] == [("resumed", run_id)]
    assert audit[0]["before"]["status"] == status


async def test_a_run_canceled_before_it_began_can_be_resumed(api: Api) -> None:
    run_id = await api.post_run()
    assert (await api.member.post(f"/v1/runs/{run_id}/cancel")).json()["status"] == "cancelled"
    assert (await api.member.post(f"/v1/runs/{run_id}/resume")).status_code == 202
    async with api.database.session_scope() as session:
        assert (await claimed(session, UUID(run_id))).number == 1


async def test_runs_that_cannot_be_resumed_are_rejected(api: Api) -> None:
    queued = await api.post_run()
    problem(await api.member.post(f"/v1/runs/{queued}/resume"), 409, "run-open")
    async with api.database.session_scope() as session:
        succeeded = await finished_run(session)
    problem(await api.admin.post(f"/v1/runs/{succeeded}/resume"), 409, "run-finished")
    problem(await api.member.post(f"/v1/runs/{succeeded}/resume"), 403, "not-your-run")
    problem(await api.viewer.post(f"/v1/runs/{queued}/resume"), 403, "role-required")
    missing = "00000000-0000-4000-8000-000000000000"
    problem(await api.member.post(f"/v1/runs/{missing}/resume"), 404, "run-not-found")


async def test_a_resumed_run_must_fit_its_budgets_with_the_rest_of_its_quote(api: Api) -> None:
    run_id = await ended(api, "cancelled", BUDGET_SPENT)
    spent_kwh = (await price_tag(api, run_id))["facility_energy_kwh"]["value"]
    async with api.database.session_scope() as session:
        quote = (await session.scalars(select(Quote).where(Quote.run_id == UUID(run_id)))).one()
        quote.method, quote.facility_energy_kwh = "history", 3 * spent_kwh
    # Spent, and two thirds of the quote to come: three times what was spent.
    tight = await make_budget(api, amount=2.9 * spent_kwh)
    refused = problem(await api.member.post(f"/v1/runs/{run_id}/resume"), 409, "budget-exceeded")
    assert "lab" in refused["errors"][0]["message"]
    assert (await show(api, run_id))["status"] == "cancelled"
    raised = {"amount": 3.1 * spent_kwh}
    assert (await api.admin.patch(f"/v1/budgets/{tight['id']}", json=raised)).status_code == 200
    assert (await api.member.post(f"/v1/runs/{run_id}/resume")).status_code == 202


async def test_a_resumed_run_that_waits_for_a_date_still_does(api: Api) -> None:
    later = datetime(2100, 1, 1, tzinfo=UTC)
    run_id = await api.post_run(not_before=later.isoformat())
    await api.member.post(f"/v1/runs/{run_id}/cancel")
    await api.member.post(f"/v1/runs/{run_id}/resume")
    async with api.database.session_scope() as session:
        run = await session.get_one(Run, UUID(run_id))
        assert run.not_before == later
        assert await execution.demand(session, run.id) is None
