"""The lab's use today and this month, and its expected use until the end of the month."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast
from uuid import uuid4

from app.db import Session
from app.repositories.budgets import balances
from app.repositories.budgets import burn_down as rows
from app.repositories.budgets.spend import SpentPart
from app.schemas.common import Quantity
from app.schemas.energy import EnergyFigures
from app.schemas.overview import PeriodUse, RunsUse
from app.services.budgets.standing import BudgetState, states, unit_of
from app.services.energy.account import energy_account
from app.services.outlook.open_runs import OpenRuns
from app.services.overview.evidence import evidence
from app.services.principals import Principal
from app.settings import Settings
from models import Budget
from pricetag.accounting.budgets.decision import ZERO, Metric
from pricetag.accounting.budgets.periods import Span
from pricetag.accounting.quantity.quantity import weakest

NO_LIMIT = Decimal(10) ** 30
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Spans:
    """Today and this month, in UTC."""

    today: Span
    month: Span


def _spans(now: datetime) -> _Spans:
    day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    first = day.replace(day=1)
    following = (first + 32 * DAY).replace(day=1)
    return _Spans(Span(day, day + DAY), Span(first, following))


async def periods(
    session: Session, by: Principal, settings: Settings, opened: OpenRuns, now: datetime
) -> list[PeriodUse]:
    """Energy of all nodes, and the use by runs, today and in this month.

    Args:
        session: Database session.
        by: A caller who may read the energy account.
        settings: Settings of the server, for the currency.
        opened: The open runs.
        now: Present time.
    """
    spans = _spans(now)
    energies = await _energies(session, by, spans)
    limits = await _unlimited(session, settings, spans.month)
    current = await states(session, limits, now)
    attempts = [each.attempt_id for state in current for each in state.running]
    today = await balances.amounts(
        session,
        [(budget, spans.today) for budget in limits],
        attempts=list(dict.fromkeys(attempts)),
        promised=False,
    )
    of_month = [_month(state, opened, spans.month, now) for state in current]
    of_today = [
        _use(state, amount.spent, None) for state, amount in zip(current, today, strict=True)
    ]
    return [
        _period("today", spans.today, energies["today"], of_today),
        _period("month", spans.month, energies["month"], of_month),
    ]


def _period(name: Any, span: Span, energy: Any, runs: list[RunsUse]) -> PeriodUse:
    figures = None if energy is None else EnergyFigures.model_validate(energy)
    return PeriodUse(period=name, start=span.start, end=span.end, energy=figures, runs=runs)


async def _energies(session: Session, by: Principal, spans: _Spans) -> Mapping[str, Any]:
    """The energy account of both periods; None where no hour was metered."""
    text = await energy_account(
        session, by, start=spans.month.start, stop=None, by="day", node=None
    )
    account = json.loads(text)
    day = cast(datetime, spans.today.start).date().isoformat()
    today = next((item for item in account["items"] if item["day"] == day), None)
    return {"today": today, "month": account["total"] if account["items"] else None}


async def _unlimited(session: Session, settings: Settings, month: Span) -> list[Budget]:
    """The amounts that budgets of the lab would count, one for each unit."""
    currencies = await rows.currencies(session, month) or [settings.currency]
    units: list[tuple[Metric, str | None]] = [("facility_energy_kwh", None), ("co2e_kg", None)]
    units += [("cost", currency) for currency in currencies]
    return [
        Budget(
            id=uuid4(),
            name="",
            scope="lab",
            scope_id=None,
            metric=metric,
            currency=currency,
            amount=NO_LIMIT,
            period="month",
            time_zone="UTC",
            closed_at=None,
        )
        for metric, currency in units
    ]


def _month(state: BudgetState, opened: OpenRuns, month: Span, now: datetime) -> RunsUse:
    """The use of this month, with the expected use of open runs until its end."""
    added = opened.expected(state.budget)
    left_s = (cast(datetime, month.end) - now).total_seconds()
    at_end = added.fan.above(float(state.standing.used)).at(left_s)
    if not at_end.value and added.unknown + state.unknown_runs:
        return _use(state, None, None)
    expected = Quantity(
        value=at_end.value,
        low=at_end.low,
        high=at_end.high,
        unit=unit_of(state.budget),
        source=weakest("estimated", evidence(state.by_source)),
        reason=_unknown(added.unknown),
    )
    return _use(state, None, expected)


def _use(
    state: BudgetState, spent: Sequence[SpentPart] | None, expected: Quantity | None
) -> RunsUse:
    """The use of a period; ``spent`` may be from a period other than the state's."""
    if spent is None:
        by_source: Mapping[str, Decimal] = state.by_source
        ended, unknown = state.standing.spent, state.unknown_runs
    else:
        by_source = {part.source: part.amount for part in spent if part.source and part.amount}
        ended = sum((part.amount or ZERO for part in spent), start=ZERO)
        unknown = state.unmetered + sum(part.unknown_runs for part in spent)
    value = float(ended + state.standing.running)
    is_known = bool(value) or not unknown  # a sum of unknown amounts alone is not 0
    return RunsUse(
        metric=cast(Metric, state.budget.metric),
        used=Quantity(
            value=value if is_known else None,
            low=None,
            high=None,
            unit=unit_of(state.budget),
            source=evidence(by_source) if is_known else None,
            reason=_unknown(unknown, is_known=is_known),
        ),
        expected=expected,
        unknown_runs=unknown,
    )


def _unknown(runs: int, *, is_known: bool = True) -> str | None:
    if not runs:
        return None
    remark = f"the use of {runs} {'run' if runs == 1 else 'runs'} is unknown"
    return f"at least: {remark}" if is_known else remark
