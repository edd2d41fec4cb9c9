"""Simultaneous requests for the rest of a budget, on a database that really commits."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, update

from app.db import Database
from app.repositories.budgets import spend, upkeep
from app.services.attempts import execution
from app.services.budgets import admission as budgets
from app.services.budgets.admission import BudgetExceededError
from models import Attempt, Run
from tests.support.api import Api, problem, run_body
from tests.support.budgets import at_work, draft, make_budget, promise
from tests.support.executions import make_run


async def run_in(database: Database) -> UUID:
    async with database.session_scope() as session:
        return (await make_run(session, status="cancelled")).id


async def admitted(database: Database, run_id: UUID, kwh: float, pause_s: float = 0.0) -> bool:
    """What one request does: admission, the quote's reservation, one commit."""
    try:
        async with database.session_scope() as session:
            run = await session.get(Run, run_id)
            assert run is not None
            await budgets.admit(session, run, draft(kwh))
            await asyncio.sleep(pause_s)  # the others arrive in between
            await promise(session, run, kwh)
            run.status = "queued"
    except BudgetExceededError:
        return False
    return True


@pytest.mark.parametrize(("quote", "fit"), [(0.6, 1), (0.5, 2), (0.34, 2), (0.3, 3)])
async def test_only_those_of_many_simultaneous_runs_that_fit_are_admitted(
    committed_api: Api, quote: float, fit: int
) -> None:
    database = committed_api.database
    made = await make_budget(committed_api, amount=1.0)
    run_ids = [await run_in(database) for _ in range(8)]
    results = await asyncio.gather(*(admitted(database, run, quote, 0.05) for run in run_ids))
    assert sum(results) == fit
    stands = (await committed_api.viewer.get(f"/v1/budgets/{made['id']}")).json()
    assert stands["reserved"] == pytest.approx(fit * quote)
    assert stands["left"] == pytest.approx(1.0 - fit * quote)


async def test_two_servers_admit_one_run_to_the_last_of_a_budget(
    committed_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two servers with their own pools; workers claim what was admitted, balances are folded."""
    servers = [committed_api.database, Database(committed_api.database.url, pool_size=4)]
    made = [
        await make_budget(committed_api, name=f"b{n}", amount=1.0, period=period)
        for n, period in enumerate(("total", "week", "month", "year"))
    ]
    look = spend.running

    async def slow(*args: Any) -> Any:
        rows = await look(*args)
        await asyncio.sleep(0.02)  # between the two looks of an admission
        return rows

    monkeypatch.setattr(spend, "running", slow)
    for _ in range(3):  # each round: the last 0.6 kWh of 1 kWh, for 8 runs on two servers
        run_ids = [await run_in(servers[0]) for _ in range(8)]

        async def claim_all(run_ids: list[UUID] = run_ids) -> None:
            for _ in range(10):
                for run_id in run_ids:
                    async with servers[1].session_scope() as session:
                        await execution.claim(
                            session, run_id, worker="w", node_name="n", devices=[]
                        )
                async with servers[0].session_scope() as session:
                    await upkeep.fold(session)
                await asyncio.sleep(0.01)

        admissions = [
            admitted(servers[n % 2], run_id, 0.6, 0.01) for n, run_id in enumerate(run_ids)
        ]
        results = await asyncio.gather(*admissions, claim_all())
        assert sum(map(bool, results)) == 1
        for budget in made:
            state = (await committed_api.viewer.get(f"/v1/budgets/{budget['id']}")).json()
            assert state["reserved"] == 0.6
        async with servers[0].session_scope() as session:
            for run_id in run_ids:
                await session.execute(
                    update(Attempt).where(Attempt.run_id == run_id).values(ended_at=func.now())
                )
                await session.execute(
                    update(Run).where(Run.id == run_id).values(status="cancelled")
                )
    await servers[1].dispose()


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_run_claimed_in_the_meantime_keeps_its_reservation(
    committed_api: Api, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Claims take no lock of a budget: one may fall between two looks of an admission."""
    database = committed_api.database
    await make_budget(committed_api, amount=1.0)
    first, second = [await run_in(database) for _ in range(2)]
    assert await admitted(database, first, 0.6)
    look = spend.running

    async def claim() -> None:
        monkeypatch.setattr(spend, "running", look)  # a claim looks at budgets too
        async with database.session_scope() as session:
            assert await execution.claim(session, first, worker="w", node_name="n", devices=[])

    async def interrupted(*args: Any) -> Any:
        if moment == "before":
            await claim()
        rows = await look(*args)
        if moment == "after":
            await claim()
        return rows

    monkeypatch.setattr(spend, "running", interrupted)
    assert not await admitted(database, second, 0.6)


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_an_attempt_that_ends_between_two_checks_is_counted_once(
    committed_api: Api, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Its 100 W of 10 s are spent or running, and never both."""
    database = committed_api.database
    made = await make_budget(committed_api, amount=1.0)
    run_id = await run_in(database)
    assert await admitted(database, run_id, 0.6)
    async with database.session_scope() as session:
        await at_work(session, run_id, watts=100.0, seconds=10)
    where = f"/v1/budgets/{made['id']}"
    before = (await committed_api.viewer.get(where)).json()
    assert before["running"] > 0
    look = spend.running

    async def end() -> None:
        monkeypatch.setattr(spend, "running", look)
        async with database.session_scope() as session:
            [attempt] = (await session.scalars(select(Attempt))).all()
            await execution.close_lost(session, attempt.id)

    async def interrupted(*args: Any) -> Any:
        if moment == "before":
            await end()
        rows = await look(*args)
        if moment == "after":
            await end()
        return rows

    monkeypatch.setattr(spend, "running", interrupted)
    stands = (await committed_api.viewer.get(where)).json()
    assert stands["spent"] + stands["running"] == pytest.approx(before["running"], rel=1e-9)
    assert stands["left"] == pytest.approx(before["left"], rel=1e-9)


async def test_several_budgets_at_once_cause_no_deadlock(committed_api: Api) -> None:
    """Runs that fall under several budgets, with changes to these in between: no deadlock."""
    database = committed_api.database
    made = [await make_budget(committed_api, name=f"b{n}", amount=2.0) for n in range(5)]
    run_ids = [await run_in(database) for _ in range(6)]

    async def raise_all() -> None:
        for budget in reversed(made):
            where = f"/v1/budgets/{budget['id']}"
            response = await committed_api.admin.patch(where, json={"amount": 3.0})
            assert response.status_code == 200, response.text

    jobs = [admitted(database, run_id, 0.5, 0.02) for run_id in run_ids]
    results = await asyncio.wait_for(asyncio.gather(*jobs, raise_all()), timeout=120)
    assert results[:-1].count(True) >= 4
    for budget in made:
        standing = (await committed_api.viewer.get(f"/v1/budgets/{budget['id']}")).json()
        assert standing["limit"] == 3.0
        assert standing["reserved"] <= 3.0


@pytest.fixture
def _quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every run is expected to need 0.6 kWh."""
    quoted_as(monkeypatch, 0.6)


def quoted_as(monkeypatch: pytest.MonkeyPatch, kwh: float) -> None:
    from app.services.quoting import estimation as quoting
    from pricetag.accounting.quantity.quantity import Quantity

    real = quoting.quote_for

    async def quote_for(*args: Any, **kwargs: Any) -> Any:
        from dataclasses import replace

        quote = await real(*args, **kwargs)
        energy = Quantity(kwh, kwh, kwh, "kWh", "estimated")
        quantities = {**quote.quantities, "facility_energy_kwh": energy}
        return replace(quote, method="history", quantities=quantities)

    monkeypatch.setattr(quoting, "quote_for", quote_for)


@pytest.mark.usefixtures("_quoted")
async def test_one_of_two_simultaneous_requests_gets_the_rest_of_a_budget(
    committed_api: Api,
) -> None:
    await make_budget(committed_api, amount=1.0)
    answers = await asyncio.gather(
        *(committed_api.member.post("/v1/runs", json=run_body(name=f"r{n}")) for n in range(6))
    )
    assert sorted(response.status_code for response in answers) == [202, 409, 409, 409, 409, 409]
    for response in answers:
        if response.status_code == 409:
            document = problem(response, 409, "budget-exceeded")
            assert "'lab' has 0.4 kWh left of 1 kWh in all" in document["detail"]
            assert "expected to need 0.6 kWh" in document["detail"]
            assert document["errors"][0]["hint"]
    listed = (await committed_api.viewer.get("/v1/runs")).json()["items"]
    assert [run["status"] for run in listed] == ["queued"]  # the rejected run left nothing behind


@pytest.mark.usefixtures("_quoted")
async def test_an_admitted_key_is_not_rejected_when_it_is_repeated(
    committed_api: Api,
) -> None:
    """At the same time and later: one run, and its reservation, whatever is left."""
    made = await make_budget(committed_api, amount=0.6)
    headers = {"Idempotency-Key": "the-one"}

    async def post() -> tuple[int, str]:
        response = await committed_api.member.post("/v1/runs", json=run_body(), headers=headers)
        return response.status_code, response.json().get("id", response.text)

    answers = await asyncio.gather(*(post() for _ in range(6)))
    answers.append(await post())
    assert {status for status, _ in answers} == {202}, answers
    assert len({run_id for _, run_id in answers}) == 1
    stands = (await committed_api.viewer.get(f"/v1/budgets/{made['id']}")).json()
    assert (stands["reserved"], stands["left"]) == (0.6, 0.0)
    other = {"Idempotency-Key": "another"}
    response = await committed_api.member.post("/v1/runs", json=run_body(), headers=other)
    problem(response, 409, "budget-exceeded")
