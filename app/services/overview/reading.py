"""The lab at a glance for one caller."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import cast
from uuid import UUID

from app.db import Session
from app.repositories.budgets import spend as spend_rows
from app.schemas.common import Quantity
from app.schemas.overview import ExpectedEnd, FailedRun, OverviewRead, RunNow
from app.schemas.runs import RunSummary
from app.services.live import state
from app.services.live.hub import LiveHub
from app.services.overview import power
from app.services.overview.board import NO_END, OverviewBoard, Shared
from app.services.overview.idle import cost_per_day
from app.services.principals import Principal
from app.services.runs import listing
from models import Spend
from pricetag.accounting.quantity.quantity import Source, weakest

RUNNING = 20
FAILURES = 5
NO_POWER = "the job has not reported its power yet"
NO_COST = "no price tag has been issued yet, or its cost is unknown"


async def read(
    session: Session, by: Principal, board: OverviewBoard, live: LiveHub
) -> OverviewRead:
    """The lab as the principal may see it.

    Args:
        session: Database session.
        by: The caller.
        board: Figures that everybody shares.
        live: Power of the workers.
    """
    # The connection that checked the rights is released while waiting for the board, which reads
    # over its own connection; otherwise, many waiting requests would hold all connections.
    await session.commit()
    shared = await board.shared(by)
    running = await listing.list_page(
        session,
        by,
        listing.RunFilter(statuses=("running",)),
        sort="-created_at",
        cursor=None,
        limit=RUNNING,
        count=True,
    )
    failed = await listing.list_page(
        session,
        by,
        listing.RunFilter(statuses=("failed",)),
        sort="-finished_at",
        cursor=None,
        limit=FAILURES,
    )
    has_runs = bool(running.items or failed.items) or await _has_runs(session, by)
    opened = [owned.run for owned in await state.runs(session, None)]
    return OverviewRead(
        at=shared.at,
        power=power.lab_power(live.board, opened),
        periods=shared.periods,
        budgets=await shared.budgets(session, by),
        sites=shared.sites,
        running=[_running(run, shared) for run in running.items],
        running_count=running.count.runs if running.count else len(running.items),
        failures=await _failures(session, failed.items),
        idle=shared.idle,
        idle_cost_per_day=cost_per_day(shared.idle),
        is_new=not has_runs,
    )


async def _has_runs(session: Session, by: Principal) -> bool:
    page = await listing.list_page(
        session, by, listing.RunFilter(), sort="-created_at", cursor=None, limit=1
    )
    return bool(page.items)


def _running(run: RunSummary, shared: Shared) -> RunNow:
    watts = (run.progress or {}).get("power_w")
    power_w = (
        Quantity(value=None, low=None, high=None, unit="W", source=None, reason=NO_POWER)
        if watts is None
        else Quantity(value=watts, low=None, high=None, unit="W", source="estimated")
    )
    unknown = ExpectedEnd(at=None, low=None, high=None, reason=NO_END)
    return RunNow(run=run, power_w=power_w, expected_end=shared.ends.get(run.id, unknown))


async def _failures(session: Session, runs: list[RunSummary]) -> list[FailedRun]:
    by_run: dict[UUID, list[Spend]] = defaultdict(list)
    for row in await spend_rows.spent_by_runs(session, [run.id for run in runs]):
        by_run[row.run_id].append(row)
    return [FailedRun(run=run, cost=_cost(by_run[run.id])) for run in runs]


def _cost(rows: list[Spend]) -> Quantity:
    costs = [row for row in rows if row.cost is not None]
    currencies = {row.currency for row in costs}
    if not costs or len(costs) < len(rows) or len(currencies) != 1:
        return Quantity(value=None, low=None, high=None, unit="", source=None, reason=NO_COST)
    total = sum((row.cost or Decimal(0) for row in costs), start=Decimal(0))
    sources = [cast(Source, row.sources.get("cost", "estimated")) for row in costs]
    return Quantity(
        value=float(total),
        low=None,
        high=None,
        unit=str(currencies.pop()),
        source=weakest(*sources),
    )
