"""Which runs a budget admits, and which it lets start."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.db import Session
from app.services.attempts import execution
from app.services.budgets import admission as budgets
from app.services.budgets.admission import BudgetExceededError
from tests.support.api import finished_run
from tests.support.budgets import (
    add_budget,
    at_work,
    draft,
    promise,
)
from tests.support.executions import claim, make_run

pytestmark = pytest.mark.usefixtures("budget_factors")


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
    assert [error.hint for error in refused.value.errors] == [budgets.HINT_TOTAL]


async def test_no_run_is_admitted_once_nothing_is_left(session: Session) -> None:
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
    assert "'a budget' is used up: 800 mWh of 100 mWh in all" in run.status_reason["message"]
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
    """It was lost, and the rest is promised to others: it continues until all is used."""
    await add_budget(session, 1.0)
    run, other = await make_run(session), await make_run(session)
    await promise(session, run, 0.2)
    attempt_id = await at_work(session, run.id, watts=36_000.0, seconds=60)  # 0.72 kWh
    await promise(session, other, 0.5)
    await execution.close_lost(session, attempt_id)
    await at_work(session, run.id, watts=36_000.0, seconds=30)
    assert (await execution.cancel_queued(session, run.id)) is False
