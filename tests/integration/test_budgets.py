"""The figures of a budget: spent, running, reserved and left; scopes and periods."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from app.db import Session
from app.repositories.attempts import executions
from app.repositories.budgets import spend as spend_rows
from app.services.attempts import execution
from app.services.billing import issuing
from app.services.billing.live_use import Rates, of_running
from app.services.budgets.standing import amount_of, states
from app.settings import get_settings
from models import Attempt, Budget, Run, Spend, User
from tests.support.api import Api, finished_run, running_run
from tests.support.budgets import (
    J_PER_KWH,
    KG_PER_KWH,
    PUE,
    add_budget,
    at_work,
    end_run,
    make_budget,
    promise,
    standing,
)
from tests.support.entries import (
    changed,
    enter,
    hours_csv,
    make_site,
    posted,
    price,
    series,
)
from tests.support.executions import make_run
from tests.support.plans import planned

pytestmark = pytest.mark.usefixtures("budget_factors")


async def spend_of(session: Session, run_id: UUID) -> list[Spend]:
    query = select(Spend).where(Spend.run_id == run_id).order_by(Spend.at)
    query = query.execution_options(populate_existing=True)
    return list((await session.execute(query)).scalars())


REASON = {"code": "x", "message": "y"}


@pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled", "interrupted"])
async def test_every_attempt_s_use_is_booked_however_it_ended(
    session: Session, status: str
) -> None:
    run = await make_run(session)
    await end_run(session, run, status, None if status == "succeeded" else REASON)
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


async def test_a_new_price_tag_replaces_the_old_one_in_budgets(session: Session) -> None:
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

    made = await make_budget(api)
    monkeypatch.setattr(issuing, "issue", fails)
    async with api.database.session_scope() as session:
        run_id = await finished_run(session)
        (row,) = await spend_of(session, run_id)
        assert (row.facility_energy_kwh, row.cost, row.price_tag_version) == (None, None, 0)
    stands = await standing(api, made["id"])
    assert (stands["spent"], stands["unknown_runs"]) == (0.0, 1)


async def test_a_budget_shows_spent_running_reserved_and_left(api: Api) -> None:
    made = await make_budget(api, amount=1)
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
        await make_budget(api, name=metric, metric=metric, amount=100, **more)
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
    made = await make_budget(api)
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
    euros = await make_budget(api, metric="cost", currency="EUR")
    dollars = await make_budget(api, name="d", metric="cost", currency="USD")
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
        made = await make_budget(api, name=f"b{number}", **scope)
        assert made["spent"] == pytest.approx(count * one, rel=1e-9), scope
    assert (await api.viewer.get("/v1/projects")).json()["items"][0]["name"] == "new"


async def test_a_period_contains_the_attempts_that_ended_in_it(api: Api) -> None:
    made = await make_budget(api, period="month", time_zone="Asia/Tokyo")
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


async def test_running_amounts_of_many_budgets_are_those_of_each_attempt(api: Api) -> None:
    """Every budget by all open attempts at once, beside one budget and one attempt at a time."""
    async with api.database.session_scope() as session:
        author = (await session.execute(select(User).where(User.role == "member"))).scalar_one()
        run_ids = [
            await running_run(session, 5 + number, created_by=author.id if number % 2 else None)
            for number in range(6)
        ]
        query = select(Attempt).where(Attempt.run_id.in_(run_ids))
        for attempt in (await session.execute(query)).scalars():
            # Of other days, and some on other hardware.
            number = run_ids.index(attempt.run_id)
            attempt.started_at -= timedelta(hours=7 * number, minutes=number)
            if number % 3 == 0:
                attempt.devices = [*attempt.devices, {"name": "NVIDIA H200", "uuid": "GPU-x"}]
            if number == 4:
                attempt.live = None
        await promise(session, await session.get_one(Run, run_ids[0]), 3.0)
        of_user: dict[str, Any] = {"scope": "user", "scope_id": author.id}
        dollars: dict[str, Any] = {"metric": "cost", "currency": "USD"}
        euros = dollars | {"currency": "EUR"}
        budgets = [
            await add_budget(session, 9, name=f"b{number}", **values)
            for number, values in enumerate(
                [{}, {"metric": "co2e_kg"}, dollars, euros, of_user, of_user | dollars]
            )
        ]
        await session.flush()
        now = datetime.now(UTC)
        with planned(api.database) as plans:
            together = await states(session, budgets, now)
        of_all = len(plans)
        rows = await spend_rows.running(session, budgets)
        assert len(rows) == 6
        for state in together:
            (alone,) = await states(session, [state.budget], now)
            assert state == alone
            own = [row for row in rows if state.budget.scope == "lab" or row.user_id == author.id]
            each = [await of_running(session, [row], now, Rates()) for row in own]
            uses = [use for by_attempt in each for use in by_attempt.values()]
            amounts = [amount_of(state.budget, use) for use in uses]
            known_amounts = [amount for amount in amounts if amount is not None]
            assert state.standing.running == sum(known_amounts, start=Decimal(0))
            assert state.unknown_runs == len(amounts) - len(known_amounts)
            assert [one.attempt_id for one in state.running] == [row.attempt_id for row in own]
        assert [state.unknown_runs for state in together[:4]] == [1, 1, 1, 6]
        reserved = {state.budget.metric: state.standing.reserved for state in together[:2]}
        assert 2 < reserved["facility_energy_kwh"] < 3
        assert reserved["co2e_kg"] == 0
        assert of_all < 25  # by kinds of hardware, and not by attempts


async def test_what_is_entered_or_changed_is_in_the_next_amounts(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cached factors of running attempts beside factors that were resolved again."""
    energy = await make_budget(api)
    carbon = await make_budget(api, name="carbon", metric="co2e_kg")
    cost = await make_budget(api, name="cost", metric="cost", currency="USD")
    async with api.database.session_scope() as session:
        await running_run(session, 10)
        earlier = Attempt.started_at - timedelta(hours=2)
        await session.execute(update(Attempt).values(started_at=earlier))

    async def amounts() -> list[float]:
        async with api.database.session_scope() as session:
            budgets = [await session.get_one(Budget, UUID(one["id"])) for one in made]
            fresh = await states(session, budgets, datetime.now(UTC), rates=Rates())
        running = [(await standing(api, one["id"]))["running"] for one in made]
        assert running == [float(state.standing.running) for state in fresh]
        return running

    made = [energy, carbon, cost]
    seen = [await amounts()]
    assert await amounts() == seen[0]
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    hours = [(f"{hour + timedelta(hours=n):%Y-%m-%dT%H:%MZ}", 900.0) for n in (-2, -1)]
    await enter(api, None, "pue", 1.7)
    seen.append(await amounts())
    await make_site(api, "default", currency="USD")
    await enter(api, "default", "pue", 1.9)
    seen.append(await amounts())
    await changed(api, "default", grid_zone="FR")
    seen.append(await amounts())
    await posted(api, "/v1/carbon/import", series("FR", hours_csv(*hours)))
    seen.append(await amounts())
    await posted(api, "/v1/prices", price("owned", "3.5", kind="internal"))
    seen.append(await amounts())
    monkeypatch.setenv("PRICETAG_ELECTRICITY_PER_KWH", "7.5")
    get_settings.cache_clear()
    seen.append(await amounts())
    for before, after in pairwise(seen):
        assert before != after


async def test_factors_are_resolved_once_until_others_are_entered(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await make_budget(api)
    async with api.database.session_scope() as session:
        await running_run(session, 10)
    await standing(api, made["id"])
    with planned(api.database) as plans:
        await standing(api, made["id"])
    assert not any("FROM prices \n" in plan.statement for plan in plans)
    looked = [plan for plan in plans if "bit_xor" in plan.statement]
    assert len(looked) == 1
