"""Running balances of budgets equal the sums of all rows, to the last digit."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import text

from app.db import Session
from app.repositories.budgets import balances, spend, upkeep
from app.repositories.budgets.spend import SpentPart
from app.services.budgets.standing import span_of
from models import Budget
from tests.support.spending import BEGIN, DAYS, History

FIRST, END = date(2025, 1, 1), date(2027, 1, 1)
TABLES = ("spend_balances", "spend_repeats", "reserve_balances")


async def differences(session: Session) -> list[object]:
    """All that is wrong with the balances."""
    wrong = [
        row for table in TABLES for row in await upkeep.differences(session, table, FIRST, END)
    ]
    return [*wrong, *await upkeep.wrong_reserves(session)]


def totals(parts: Collection[SpentPart]) -> dict[str | None, tuple[Decimal | None, int]]:
    return {part.source: (part.amount, part.unknown_runs) for part in parts}


async def compare(
    session: Session, asked: list[tuple[Budget, datetime]], attempts: list[UUID], runs: list[UUID]
) -> int:
    """Compares budgets at some instant with the full sums; how many have spent something."""
    spans = [(budget, span_of(budget, at)) for budget, at in asked]
    amounts = await balances.amounts(session, spans, attempts=attempts, runs=runs)
    for (budget, span), amount in zip(spans, amounts, strict=True):
        full = await spend.spent(session, budget, span, besides=attempts)
        where = (budget.scope, budget.metric, budget.currency, span)
        assert totals(amount.spent) == totals(full), where
        assert amount.reserved == await spend.reserved(session, budget, besides=runs), where
    return sum(bool(amount.spent) for amount in amounts)


async def check(session: Session, history: History, count: int) -> int:
    """Compares random budgets, with and without attempts and runs that do not count."""
    chance = history.random
    some = chance.sample(history.runs, min(20, len(history.runs)))
    attempts = [attempt for run in some for attempt in run.attempts[-1:]]
    asked = [
        (history.budget(), BEGIN + timedelta(days=DAYS * chance.random())) for _ in range(count)
    ]
    compared = await compare(session, asked, attempts, [run.run_id for run in some])
    return compared + await compare(session, asked, [], [])


@pytest.mark.parametrize("seed", range(8))
async def test_balances_follow_many_changes_of_few_runs(session: Session, seed: int) -> None:
    """Most runs have several attempts, many are re-priced, moved, opened again or deleted."""
    history = History(seed)
    await history.begin(session, 30)
    for number in range(60):
        await history.go_on(session)
        if number % 20 == 19:
            await check(session, history, 10)
            await upkeep.fold(session)
    await check(session, history, 20)
    assert await differences(session) == []


@pytest.mark.parametrize(
    "unknown",
    [
        "facility_energy_kwh = NULL, co2e_kg = NULL, cost = NULL, currency = NULL",
        "currency = 'CHF'",
        "currency = NULL",
        "sources = '{}'",
    ],
)
async def test_a_run_with_several_unknown_attempts_counts_once(
    session: Session, unknown: str
) -> None:
    """All attempts of all runs at once, as a change by hand in the database."""
    history = History(1)
    await history.begin(session, 200)
    await session.execute(text(f"UPDATE spend SET {unknown}"))
    assert await check(session, history, 40) > 40
    assert await differences(session) == []


async def test_folding_keeps_every_sum_and_one_row_a_key(session: Session) -> None:
    history = History(2)
    await history.begin(session, 100)
    assert await upkeep.fold(session) > 0
    assert await upkeep.fold(session) == 0
    for _ in range(5):
        await history.go_on(session)
    await upkeep.fold(session)
    assert await differences(session) == []
    for table in TABLES:
        fresh = await session.execute(text(f"SELECT count(*) FROM {table} WHERE NOT folded"))
        assert fresh.scalar_one() == 0


async def test_differences_are_reported_and_corrected(session: Session) -> None:
    history = History(3)
    await history.begin(session, 100)
    await upkeep.fold(session)
    for change in (
        "UPDATE spend_balances SET co2e_kg = co2e_kg + 1e-16 WHERE id = (SELECT min(id) FROM"
        " spend_balances WHERE co2es > 0)",
        "DELETE FROM spend_repeats WHERE id = (SELECT min(id) FROM spend_repeats WHERE pairs > 0)",
        "UPDATE reserve_balances SET runs = runs + 1 WHERE scope = 'lab'",
        "UPDATE spend_balances SET day = day + 1 WHERE id = (SELECT max(id) FROM spend_balances)",
    ):
        await session.execute(text(change))
        assert await differences(session) != [], change
        for table in TABLES:
            await upkeep.mend(session, table, FIRST, END)
        assert await differences(session) == [], change
    await session.execute(text("UPDATE reserves SET facility_energy_kwh = facility_energy_kwh + 1"))
    wrong = await upkeep.wrong_reserves(session)
    assert wrong
    await upkeep.mend_reserves(session, wrong)
    assert await differences(session) == []


async def test_months_include_everything_that_has_ended(session: Session) -> None:
    assert await upkeep.months(session) == []
    history = History(4)
    await history.begin(session, 50)
    months = await upkeep.months(session)
    assert months[0] == max(at for run in history.runs for at in run.at).date().replace(day=1)
    assert months[-1] == min(at for run in history.runs for at in run.at).date().replace(day=1)
    assert months == sorted(months, reverse=True)
