"""Budgets: what is spent, running and promised; who is admitted; who is stopped."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from app.db import Session
from app.repositories import executions, run_events
from app.services import execution
from app.services.billing import issuing
from app.services.budgets import admission as budgets
from app.services.budgets.admission import BudgetExceededError
from app.services.budgets.watch import BudgetWatch
from app.settings import get_settings
from models import Budget, BudgetAlert, Run, Spend, User
from tests.support.api import Api, finished_run, running_run
from tests.support.budgets import (
    FACTORS,
    J_PER_KWH,
    KG_PER_KWH,
    PUE,
    at_work,
    draft,
    promise,
)
from tests.support.executions import JournalMaker, claim, claimed, make_run


@pytest.fixture(autouse=True)
def _factors(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in FACTORS.items():
        monkeypatch.setenv(f"PRICETAG_{name.upper()}", str(value))
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


async def add_budget(session: Session, amount: float, **values: Any) -> Budget:
    given = {"name": "a budget", "scope": "lab", "metric": "facility_energy_kwh", **values}
    budget = Budget(amount=Decimal(str(amount)), **given)
    session.add(budget)
    await session.flush()
    return budget


async def spend_of(session: Session, run_id: UUID) -> list[Spend]:
    query = select(Spend).where(Spend.run_id == run_id).order_by(Spend.at)
    query = query.execution_options(populate_existing=True)
    return list((await session.execute(query)).scalars())


async def end(session: Session, run: Run, status: str, reason: dict[str, Any] | None) -> None:
    taken = await claimed(session, run.id)
    journal = JournalMaker(taken.attempt_id)
    journal.whole(status, reason)
    await execution.ingest(session, taken.attempt_id, journal.records)


REASON = {"code": "x", "message": "y"}


@pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled", "interrupted"])
async def test_every_attempt_s_use_is_booked_however_it_ended(
    session: Session, status: str
) -> None:
    run = await make_run(session)
    await end(session, run, status, None if status == "succeeded" else REASON)
    (row,) = await spend_of(session, run.id)
    tag = (await issuing.get_price_tag(session, run.id)).content
    (attempt,) = tag["attempts"]
    assert row.it_energy_kwh == attempt["it_energy_kwh"]["value"] == pytest.approx(2400 / J_PER_KWH)
    assert row.facility_energy_kwh == attempt["facility_energy_kwh"]["value"]
    assert row.co2e_kg == attempt["co2e_kg"]["value"]
    assert row.co2e_kg == pytest.approx(2400 / J_PER_KWH * PUE * KG_PER_KWH)
    assert float(row.cost or 0) == attempt["cost"]["total"]["value"]
    assert row.currency == "USD"
    assert row.sources["co2e_kg"] == attempt["co2e_kg"]["source"]
    assert (row.project_id, row.experiment_id) == (run.project_id, run.experiment_id)


async def test_a_new_price_tag_takes_the_place_of_the_old_one(session: Session) -> None:
    run_id = await finished_run(session)
    run = await executions.lock_run(session, run_id)
    assert run is not None
    (before,) = await spend_of(session, run_id)
    tag = await issuing.issue(session, run_id)
    (after,) = await spend_of(session, run_id)
    assert (before.attempt_id, tag.version) == (after.attempt_id, 2)
    assert after.price_tag_version == 2


async def test_an_attempt_without_a_price_tag_is_unknown_and_not_zero(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: Any, **__: Any) -> None:
        raise ArithmeticError("no")

    made = await budget_over_rest(api)
    monkeypatch.setattr(issuing, "issue", fails)
    async with api.database.session_scope() as session:
        run_id = await finished_run(session)
        (row,) = await spend_of(session, run_id)
        assert (row.facility_energy_kwh, row.cost, row.price_tag_version) == (None, None, 0)
    stands = await standing(api, made["id"])
    assert (stands["spent"], stands["unknown_runs"]) == (0.0, 1)


async def budget_over_rest(api: Api, **changes: Any) -> dict[str, Any]:
    body = {"name": "lab", "scope": "lab", "metric": "facility_energy_kwh", "amount": 10}
    answer = await api.admin.post("/v1/budgets", json=body | changes)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def standing(api: Api, budget_id: str) -> dict[str, Any]:
    answer = await api.viewer.get(f"/v1/budgets/{budget_id}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_a_budget_shows_spent_running_reserved_and_left(api: Api) -> None:
    made = await budget_over_rest(api, amount=1)
    async with api.database.session_scope() as session:
        await finished_run(session)
        await running_run(session, 10)
        waiting = await make_run(session)
        await promise(session, waiting, 0.25)
    stands = await standing(api, made["id"])
    spent = PUE * 2400 / J_PER_KWH
    running = PUE * (110 * 10 - 0 + 50 * 10) / J_PER_KWH  # 100 W, growing by 1 W a second
    assert stands["spent"] == pytest.approx(spent, rel=1e-9)
    assert stands["running"] == pytest.approx(running, rel=1e-9)
    assert stands["reserved"] == 0.25
    assert stands["left"] == pytest.approx(1 - spent - running - 0.25)
    assert stands["used_ratio"] == pytest.approx(spent + running)
    assert (stands["limit"], stands["unit"], stands["running_attempts"]) == (1.0, "kWh", 1)
    assert stands["by_source"] == {"estimated": pytest.approx(spent)}  # as the PUE is
    assert stands["unknown_runs"] == 0


async def test_a_running_attempt_is_computed_like_its_price_tag(api: Api) -> None:
    """The same readings, first while the run runs and then on its bill."""
    metrics: dict[str, dict[str, Any]] = {
        "facility_energy_kwh": {},
        "co2e_kg": {},
        "cost": {"currency": "USD"},
    }
    made = [
        await budget_over_rest(api, name=metric, metric=metric, amount=100, **more)
        for metric, more in metrics.items()
    ]
    async with api.database.session_scope() as session:
        run = await make_run(session)
        attempt_id = await at_work(session, run.id, watts=400.0, seconds=30)
    live = [await standing(api, budget["id"]) for budget in made]
    async with api.database.session_scope() as session:
        await execution.close_lost(session, attempt_id)
    billed = [await standing(api, budget["id"]) for budget in made]
    for before, after in zip(live, billed, strict=True):
        assert before["running"] > 0
        assert before["spent"] == after["running"] == 0
        assert before["running"] == pytest.approx(after["spent"], rel=1e-9)


async def test_a_quote_is_reserved_until_it_is_used(api: Api) -> None:
    made = await budget_over_rest(api)
    async with api.database.session_scope() as session:
        run = await make_run(session)
        await promise(session, run, 1.0)
        assert (await standing(api, made["id"]))["reserved"] == 1.0
        attempt_id = await at_work(session, run.id, watts=36_000.0, seconds=60)  # 0.6 kWh
    stands = await standing(api, made["id"])
    assert stands["running"] == pytest.approx(0.72)
    assert stands["reserved"] == pytest.approx(0.28)
    async with api.database.session_scope() as session:
        await execution.close_lost(session, attempt_id)  # it will be repeated
    stands = await standing(api, made["id"])
    assert (stands["spent"], stands["reserved"]) == (pytest.approx(0.72), pytest.approx(0.28))
    async with api.database.session_scope() as session:
        await at_work(session, run.id, watts=36_000.0, seconds=60)
    stands = await standing(api, made["id"])
    assert (stands["running"], stands["reserved"]) == (pytest.approx(0.72), 0.0)


async def test_other_money_is_unknown_and_never_converted(api: Api) -> None:
    euros = await budget_over_rest(api, metric="cost", currency="EUR")
    dollars = await budget_over_rest(api, name="d", metric="cost", currency="USD")
    async with api.database.session_scope() as session:
        run_id = await finished_run(session)
        (row,) = await spend_of(session, run_id)
    stands = await standing(api, euros["id"])
    assert (stands["spent"], stands["unknown_runs"], stands["unit"]) == (0.0, 1, "EUR")
    stands = await standing(api, dollars["id"])
    assert (stands["spent"], stands["unknown_runs"]) == (float(row.cost or 0), 0)


async def test_budgets_apply_to_their_scope(api: Api) -> None:
    """Two runs in one project, of two experiments and authors, and one elsewhere."""
    async with api.database.session_scope() as session:
        author = (await session.execute(select(User).where(User.role == "member"))).scalar_one()
        first = await finished_run(session, created_by=author.id)
        second = await finished_run(session)
        await finished_run(session)
        run = await session.get(Run, first)
        assert run is not None
        await session.execute(
            update(Spend).where(Spend.run_id == second).values(project_id=run.project_id)
        )
        project, experiment = await executions.names_of(session, run)
    one = PUE * 2400 / J_PER_KWH
    for number, (scope, count) in enumerate(
        [
            ({"scope": "lab"}, 3),
            ({"scope": "project", "project": project}, 2),
            ({"scope": "experiment", "project": project, "experiment": experiment}, 1),
            ({"scope": "user", "user": "a member"}, 1),
            ({"scope": "user", "user": str(author.id)}, 1),
            ({"scope": "project", "project": "new"}, 0),
        ]
    ):
        made = await budget_over_rest(api, name=f"b{number}", **scope)
        assert made["spent"] == pytest.approx(count * one, rel=1e-9), scope
    assert (await api.viewer.get("/v1/projects")).json()["items"][0]["name"] == "new"


async def test_a_period_contains_the_attempts_that_ended_in_it(api: Api) -> None:
    made = await budget_over_rest(api, period="month", time_zone="Asia/Tokyo")
    start, stop = (datetime.fromisoformat(made[f"period_{edge}"]) for edge in ("start", "end"))
    assert start <= datetime.now(UTC) < stop
    assert start.hour == stop.hour == 15  # midnight in Tokyo
    for at, counts in (
        (start, 1),
        (start - timedelta(microseconds=1), 0),
        (stop - timedelta(microseconds=1), 1),
        (stop, 0),
    ):
        async with api.database.session_scope() as session:
            run_id = await finished_run(session)
            own = update(Spend).where(Spend.run_id == run_id)
            await session.execute(own.values(at=at))
            stands = await standing(api, made["id"])
            assert stands["spent"] == pytest.approx(counts * PUE * 2400 / J_PER_KWH)
            await session.execute(own.values(at=start - timedelta(days=40)))


# Admission


async def test_a_run_is_admitted_while_its_quote_fits(session: Session) -> None:
    await add_budget(session, 1.0, thresholds=[0.5])
    first, second, third = [await make_run(session) for _ in range(3)]
    assert await budgets.admit(session, first, draft(0.4)) == []
    await promise(session, first, 0.4)
    (warning,) = await budgets.admit(session, second, draft(0.6))
    assert "100% of 1 kWh in all is used or reserved" in warning
    with pytest.raises(BudgetExceededError) as refused:
        await budgets.admit(session, third, draft(0.600001))
    text = str(refused.value)
    for part in ("'a budget'", "0.6 kWh left of 1 kWh", "0.4 kWh reserved", "need 0.6 kWh", "hist"):
        assert part in text, text
    assert refused.value.status == 409
    assert refused.value.code == "budget-exceeded"
    assert [error.hint for error in refused.value.errors] == [budgets.HINT]


async def test_nobody_is_admitted_once_nothing_is_left(session: Session) -> None:
    await add_budget(session, 1.0)
    run, other = await make_run(session), await make_run(session)
    await promise(session, other, 1.0)
    for quote in (draft(None), draft(0.0), draft(0.1), None):
        with pytest.raises(BudgetExceededError, match="0 kWh left"):
            await budgets.admit(session, run, quote)


async def test_an_unknown_quote_is_admitted_while_anything_is_left(session: Session) -> None:
    await add_budget(session, 1.0)
    run = await make_run(session)
    for quote in (draft(None), None):
        (warning,) = await budgets.admit(session, run, quote)
        assert "admitted without a reservation" in warning
    euros = await add_budget(session, 1.0, name="e", metric="cost", currency="EUR")
    warnings = await budgets.admit(session, run, draft(5.0, "cost", "USD"))
    assert any("quoted in USD, the budget is in EUR" in warning for warning in warnings)
    euros.currency = "USD"
    await session.flush()
    with pytest.raises(BudgetExceededError, match="expected to need 5 USD"):
        await budgets.admit(session, run, draft(5.0, "cost", "USD"))


async def test_every_rejecting_budget_is_named(session: Session) -> None:
    run = await make_run(session)
    await add_budget(session, 0.1, name="one")
    await add_budget(session, 0.1, name="two", scope="project", scope_id=run.project_id)
    await add_budget(session, 0.1, name="three", scope="project", scope_id=run.id)
    await add_budget(session, 0.1, name="four", refuses=False)
    await add_budget(session, 0.1, name="five", closed_at=datetime.now(UTC))
    with pytest.raises(BudgetExceededError) as refused:
        await budgets.admit(session, run, draft(0.2))
    named = sorted(str(error.message).split("'")[1] for error in refused.value.errors)
    assert named == ["one", "two"]
    assert "(and 1 more)" in str(refused.value)


async def test_a_budget_of_zero_admits_nothing(session: Session) -> None:
    await add_budget(session, 0)
    with pytest.raises(BudgetExceededError):
        await budgets.admit(session, await make_run(session), draft(None))


# Claims


@pytest.mark.parametrize("flag", ["refuses", "stops"])
async def test_no_run_starts_under_a_used_up_budget(session: Session, flag: str) -> None:
    await finished_run(session)
    run = await make_run(session, enqueue=True)
    other = {"refuses": "stops", "stops": "refuses"}[flag]
    await add_budget(session, 0.0001, **{other: False})
    assert await claim(session, run.id) is None
    await session.refresh(run)
    assert run.status == "cancelled"
    assert run.status_reason is not None
    assert run.status_reason["code"] == "budget-exceeded"
    assert "'a budget' is used up: 0.0008 kWh of 0.0001 kWh in all" in run.status_reason["message"]
    assert (run.cancel_requested_at, run.finished_at is not None) == (None, True)


async def test_an_admitted_run_starts_although_the_rest_is_reserved(session: Session) -> None:
    await add_budget(session, 1.0)
    run, other = await make_run(session), await make_run(session)
    await promise(session, run, 0.5)
    await promise(session, other, 0.5)
    assert await claim(session, run.id) is not None


async def test_a_budget_that_only_warns_lets_runs_start(session: Session) -> None:
    await finished_run(session)
    await add_budget(session, 0.0001, refuses=False, stops=False)
    run = await make_run(session)
    assert await claim(session, run.id) is not None


async def test_a_retried_run_is_not_admitted_again(session: Session) -> None:
    """It was lost, and the rest is promised to others: it goes on until all is used."""
    await add_budget(session, 1.0)
    run, other = await make_run(session), await make_run(session)
    await promise(session, run, 0.2)
    attempt_id = await at_work(session, run.id, watts=36_000.0, seconds=60)  # 0.72 kWh
    await promise(session, other, 0.5)
    await execution.close_lost(session, attempt_id)
    await at_work(session, run.id, watts=36_000.0, seconds=30)
    assert (await execution.cancel_queued(session, run.id)) is False


# Stopping


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
    assert "'a budget' is used up: 0.732 kWh of 0.732 kWh" in orders[small].message
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


async def test_a_run_stopped_by_a_budget_ends_cancelled_with_that_reason(session: Session) -> None:
    run = await make_run(session)
    reason = {"code": "budget-exceeded", "message": "budget 'a' is used up"}
    await end(session, run, "cancelled", reason)
    await session.refresh(run)
    assert (run.status, run.status_reason) == ("cancelled", reason)


# Warnings

WARNS = {"refuses": False, "stops": False}


async def budget_events(session: Session, run_id: UUID) -> list[dict[str, Any]]:
    events = await run_events.after(session, run_id, 0, 1000)
    return [event.payload for event in events if event.kind == "budget"]


async def test_thresholds_are_reported_once_a_period_on_the_run_that_crossed_them(api: Api) -> None:
    made = await budget_over_rest(api, amount=0.002, thresholds=[0.3, 0.75, 1.0], **WARNS)
    async with api.database.session_scope() as session:
        first = await finished_run(session)  # 0.0008 kWh: 40%
        told = await budget_events(session, first)
        assert [event["threshold_ratio"] for event in told] == [0.3]
        assert told[0]["budget"] == "lab"
        assert told[0]["used"] == pytest.approx(0.0008)
        run = await make_run(session)
        attempt_id = await at_work(session, run.id, watts=300.0, seconds=9)  # 0.0009 kWh: 85%
        watch = BudgetWatch()
        for _ in range(2):
            assert await watch.look(session, [attempt_id]) == {}
        told = await budget_events(session, run.id)
        assert [event["threshold_ratio"] for event in told] == [0.75]
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
    made = await budget_over_rest(api, amount=0.001, thresholds=[0.5], period="week")
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
