"""Running attempts under a used-up budget are stopped, and thresholds are reported."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from app.db import Session
from app.repositories.runs import events as run_events
from app.services.budgets.watch import BudgetWatch
from models import BudgetAlert, Spend
from tests.support.api import Api, finished_run
from tests.support.budgets import (
    add_budget,
    at_work,
    end_run,
    make_budget,
    standing,
)
from tests.support.executions import make_run

pytestmark = pytest.mark.usefixtures("budget_factors")


async def test_all_running_attempts_are_stopped_when_their_budget_is_used_up(
    session: Session,
) -> None:
    runs = [await make_run(session) for _ in range(3)]
    small, large, elsewhere = [
        await at_work(session, run.id, watts=watts, seconds=60)
        for run, watts in zip(runs, (600.0, 36_000.0, 600.0), strict=True)
    ]
    for run in runs[:2]:
        run.project_id = runs[0].project_id
    await session.flush()
    budget = await add_budget(session, 0.74, scope="project", scope_id=runs[0].project_id)
    watch, attempts = BudgetWatch(), [small, large, elsewhere]
    assert await watch.look(session, attempts) == {}  # 0.732 kWh
    budget.amount = Decimal("0.732")
    await session.flush()
    orders = await watch.look(session, attempts)
    assert set(orders) == {small, large}
    assert {order.code for order in orders.values()} == {"budget-exceeded"}
    assert "'a budget' is used up: 732 Wh of 732 Wh" in orders[small].message
    assert set(await watch.look(session, [large])) == {large}  # another worker's are another's
    budget.stops = False
    await session.flush()
    assert await watch.look(session, attempts) == {}


async def test_use_of_ended_attempts_counts_for_running_ones(session: Session) -> None:
    await finished_run(session)  # 0.0008 kWh
    run = await make_run(session)
    attempt_id = await at_work(session, run.id, watts=360.0, seconds=10)  # 0.0012 kWh
    await add_budget(session, 0.0019)
    assert set(await BudgetWatch().look(session, [attempt_id])) == {attempt_id}


async def test_use_of_ended_attempts_is_summed_again_after_a_short_time(session: Session) -> None:
    now_s = 0.0
    watch = BudgetWatch(lambda: now_s)
    run = await make_run(session)
    attempt_id = await at_work(session, run.id, watts=1.0, seconds=1)
    await add_budget(session, 0.0008)
    assert await watch.look(session, [attempt_id]) == {}
    await finished_run(session)
    assert await watch.look(session, [attempt_id]) == {}
    now_s = 2.0
    assert set(await watch.look(session, [attempt_id])) == {attempt_id}


async def test_a_run_stopped_by_a_budget_ends_canceled_with_that_reason(session: Session) -> None:
    run = await make_run(session)
    reason = {"code": "budget-exceeded", "message": "budget 'a' is used up"}
    await end_run(session, run, "cancelled", reason)
    await session.refresh(run)
    assert (run.status, run.status_reason) == ("cancelled", reason)


WARNS = {"refuses": False, "stops": False}


async def budget_events(session: Session, run_id: UUID) -> list[dict[str, Any]]:
    events = await run_events.after(session, run_id, 0, 1000)
    return [event.payload for event in events if event.kind == "budget"]


async def test_thresholds_are_reported_once_a_period_on_the_run_that_crossed_them(api: Api) -> None:
    made = await make_budget(api, amount=0.002, thresholds=[0.3, 0.75, 1.0], **WARNS)
    async with api.database.session_scope() as session:
        first = await finished_run(session)  # 0.0008 kWh: 40%
        events = await budget_events(session, first)
        assert [event["threshold_ratio"] for event in events] == [0.3]
        assert events[0]["budget"] == "lab"
        assert events[0]["used"] == pytest.approx(0.0008)
        run = await make_run(session)
        attempt_id = await at_work(session, run.id, watts=300.0, seconds=9)  # 0.0009 kWh: 85%
        watch = BudgetWatch()
        for _ in range(2):
            assert await watch.look(session, [attempt_id]) == {}
        events = await budget_events(session, run.id)
        assert [event["threshold_ratio"] for event in events] == [0.75]
        last = await finished_run(session)
        assert [e["threshold_ratio"] for e in await budget_events(session, last)] == [1.0]
        assert await budget_events(session, await finished_run(session)) == []
    shown = await standing(api, made["id"])
    assert [alert["threshold_ratio"] for alert in shown["alerts"]] == [0.3, 0.75, 1.0]
    page = (await api.viewer.get("/v1/budget-alerts", params={"limit": 2})).json()
    rest = {"limit": 2, "cursor": page["next_cursor"], "budget_id": made["id"]}
    page["items"] += (await api.viewer.get("/v1/budget-alerts", params=rest)).json()["items"]
    assert [alert["threshold_ratio"] for alert in page["items"]] == [1.0, 0.75, 0.3]
    assert {(a["budget"], a["unit"], a["period_start"]) for a in page["items"]} == {
        ("lab", "kWh", None)
    }


async def test_thresholds_are_reported_again_in_another_period(api: Api) -> None:
    made = await make_budget(api, amount=0.001, thresholds=[0.5], period="week")
    async with api.database.session_scope() as session:
        await finished_run(session)
        earlier = datetime.fromisoformat(made["period_start"]) - timedelta(days=7)
        await session.execute(update(BudgetAlert).values(period_start=earlier))
        await session.execute(update(Spend).values(at=earlier))
    assert (await standing(api, made["id"]))["alerts"] == []
    async with api.database.session_scope() as session:
        again = await finished_run(session)
        assert len(await budget_events(session, again)) == 1
    assert len((await api.viewer.get("/v1/budget-alerts")).json()["items"]) == 2
