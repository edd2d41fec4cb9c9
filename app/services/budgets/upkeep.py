"""Upkeep of the running balances of budgets: folding, checks against all rows, rebuilding."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from app.db import Database, Session
from app.repositories.budgets import balances, spend, upkeep
from app.repositories.budgets import budgets as budget_rows
from app.repositories.budgets.spend import SpentPart
from app.services.alarms import Alarms
from app.services.budgets.standing import span_of, unit_of
from models import Budget
from pricetag.accounting.budgets.pieces import month_after

log = logging.getLogger("pricetag.server")

CHECK_EVERY_S = 60.0
"""Time between two checks, each of one part of the balances."""

MENDED_AT_ONCE = 1000
"""Open runs whose reserves are written in one transaction."""

BY_DAY = ("spend_balances", "spend_repeats", "work_balances")
REMEDY = "run `pricetag balances rebuild`"

Totals = Mapping[str | None, tuple[Decimal | None, int]]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the balances that is checked in one step.

    Attributes:
        month: First day of a month in which attempts ended; None for sums without a month: reserves
            of open runs, and numbers of runs of projects and experiments.
    """

    month: date | None

    @property
    def name(self) -> str:
        """``2026-03`` or ``reserves``."""
        return "reserves" if self.month is None else f"{self.month:%Y-%m}"


async def parts(session: Session) -> list[Part]:
    """All parts: the reserves, then the months, newest first."""
    return [Part(None), *(Part(month) for month in await upkeep.months(session))]


async def wrong_sums(session: Session, part: Part) -> int:
    """The number of sums of a part that do not equal the rows that they sum up."""
    if part.month is None:
        wrong = len(await upkeep.wrong_reserves(session))
        tables = upkeep.WITHOUT_DAYS
        return wrong + sum(
            [len(await upkeep.differences(session, sums_table)) for sums_table in tables]
        )
    end = month_after(part.month)
    return sum([len(await upkeep.differences(session, table, part.month, end)) for table in BY_DAY])


async def mend(database: Database, part: Part) -> int:
    """Rebuilds a part of the balances, in its own transactions; returns the number of wrong sums.

    Attempts may end and runs may be posted while it works.
    """
    if part.month is None:
        return await _mend_reserves(database)
    end = month_after(part.month)
    mended = 0
    for table in BY_DAY:
        async with database.session_scope() as session:
            mended += await upkeep.mend(session, table, part.month, end)
    return mended


async def _mend_reserves(database: Database) -> int:
    async with database.session_scope() as session:
        wrong = list(await upkeep.wrong_reserves(session))
    for start in range(0, len(wrong), MENDED_AT_ONCE):
        async with database.session_scope() as session:
            some = wrong[start : start + MENDED_AT_ONCE]
            await upkeep.mend_reserves(session, some)
    async with database.session_scope() as session:
        tables = upkeep.WITHOUT_DAYS
        return len(wrong) + sum([await upkeep.mend(session, table) for table in tables])


async def wrong_budget(session: Session, budget: Budget, now: datetime) -> str | None:
    """The difference between a budget's amounts and their rows in its present period, or None.

    Args:
        session: Of one snapshot.
        budget: The budget.
        now: Present time.
    """
    span = span_of(budget, now)
    [amounts] = await balances.amounts(session, [(budget, span)])
    spent = await spend.spent(session, budget, span)
    if _totals(amounts.spent) != _totals(spent):
        return f"spent is {_text(budget, amounts.spent)}, its attempts used {_text(budget, spent)}"
    reserved = await spend.reserved(session, budget)
    if amounts.reserved != reserved:
        unit = unit_of(budget)
        return f"reserved is {amounts.reserved} {unit}, its open runs reserve {reserved} {unit}"
    return None


def _totals(spent: Collection[SpentPart]) -> Totals:
    return {part.source: (part.amount, part.unknown_runs) for part in spent}


def _text(budget: Budget, spent: Collection[SpentPart]) -> str:
    amount = sum((part.amount or Decimal(0) for part in spent), start=Decimal(0))
    unknown = sum(part.unknown_runs for part in spent)
    return f"{amount} {unit_of(budget)} with {unknown} unknown runs"


class BalanceUpkeep:
    """Folds the balances, and checks one part of them and one budget a minute, in turn.

    A difference is reported, never repaired automatically: it means that something else wrote to
    the database, or that this program has an error.

    Args:
        alarms: Receive the differences, in addition to the log.
        clock: Monotonic seconds.
    """

    def __init__(self, alarms: Alarms, clock: Callable[[], float] = time.monotonic) -> None:
        self._alarms = alarms
        self._clock = clock
        self._checked_s = -math.inf
        self._parts: list[Part] = []
        self._budgets: list[Budget] = []

    async def one_round(self, database: Database) -> None:
        """Folds the balances; then checks the next part if one is due."""
        async with database.session_scope() as session:
            await upkeep.fold(session)
        now_s = self._clock()
        if now_s - self._checked_s < CHECK_EVERY_S:
            return
        self._checked_s = now_s
        async with database.snapshot_scope() as session:
            await self._check_part(session)
            await self._check_budget(session)

    async def _check_part(self, session: Session) -> None:
        if not self._parts:
            self._parts = await parts(session)
        part = self._parts.pop(0)
        wrong = await wrong_sums(session, part)
        text = f"budgets: {wrong} balances of {part.name} differ from their rows' sums; {REMEDY}"
        self._report(f"balances {part.name}", text if wrong else None, "")

    async def _check_budget(self, session: Session) -> None:
        if not self._budgets:
            self._budgets = list(await budget_rows.all_open(session))
        if not self._budgets:
            return
        budget = self._budgets.pop(0)
        wrong = await wrong_budget(session, budget, datetime.now(UTC))
        # Health checks need no token: names and amounts are for the log alone.
        text = f"budgets: the amounts of budget {budget.id} are wrong; {REMEDY}"
        details = f" ('{budget.name}': {wrong})"
        self._report(f"budget {budget.id}", None if wrong is None else text, details)

    def _report(self, name: str, text: str | None, details: str) -> None:
        if self._alarms.put(name, text) and text is not None:
            log.error("%s%s", text, details)
