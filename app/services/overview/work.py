"""Use of one project or user in a range: totals, trend, failed work, best run."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from app.db import Session
from app.repositories.budgets import spend
from app.repositories.energy import account as rows
from app.repositories.energy import work as work_rows
from app.repositories.energy.account import Owner
from app.repositories.energy.rollups import Range
from app.repositories.people import projects
from app.repositories.runs import runs
from app.schemas.common import Quantity
from app.schemas.energy import EnergyChange, FailedFigures
from app.schemas.work import BestRun, WorkPoint, WorkRead, WorkSum
from app.services import access
from app.services.billing import live_use
from app.services.billing.live_use import LiveUse
from app.services.energy.account import change, quantity, total_entry
from app.services.energy.failed import figures_of
from app.services.energy.intervals import intervals
from app.services.energy.over_time import fitting
from app.services.energy.ranges import hours_of
from app.services.people import users
from app.services.principals import Principal
from app.services.runs import listing
from app.services.runs.listing import RunFilter
from models import Budget
from pricetag.accounting.bill.node_account import Entry, accounts
from pricetag.accounting.quantity.quantity import SOURCES, weakest
from pricetag.accounting.quantity.quantity import Quantity as Figure
from pricetag.tag.figures import counted

DEFAULT_SPAN = timedelta(days=30)
NEWEST = 50
"""Number of latest successful runs among which the best one is selected."""

NO_SCORE = (
    "none of the newest 50 succeeded runs has a known energy and a score of which larger values "
    "are better"
)


async def of_project(
    session: Session,
    by: Principal,
    name: str,
    *,
    start: datetime | None,
    stop: datetime | None,
    currency: str,
) -> WorkRead:
    """The use of a project's runs.

    Args:
        session: Database session, only read.
        by: The caller.
        name: Name of the project.
        start: Beginning of the first hour; 30 days before ``stop`` by default.
        stop: End of the last hour; the end of the current hour by default.
        currency: Currency of the server, for unknown costs.

    Raises:
        ProjectNotFoundError: If there is no such project, or it is a private one of others.
        InvalidEnergyRangeError: If the range is invalid.
    """
    project = await access.require_project(session, by, name)
    selected = RunFilter(project=name)
    owner: tuple[Owner, UUID, str] = ("project", project.id, project.name)
    return await _read(session, by, owner, selected, start, stop, currency)


async def of_user(
    session: Session,
    by: Principal,
    name: str,
    *,
    start: datetime | None,
    stop: datetime | None,
    currency: str,
) -> WorkRead:
    """The use of a user's runs in the projects that the caller may see.

    Raises:
        UserNotFoundError: If there is no such user.
        InvalidEnergyRangeError: If the range is invalid.
    """
    user = await users.find(session, name)
    selected = RunFilter(user=user.name)
    owner: tuple[Owner, UUID, str] = ("user", user.id, user.name)
    return await _read(session, by, owner, selected, start, stop, currency)


async def charged_projects(
    session: Session, by: Principal, user: str | None = None
) -> frozenset[str]:
    """The projects whose charges the caller may see in an account by owner.

    A chart of such an account names them, and is visible only to callers who may see them all.

    Args:
        session: Database session, only read.
        by: The caller.
        user: Name of a user: only projects with runs of theirs; None for everybody's.
    """
    return frozenset(await work_rows.charged_projects(session, by.viewer, user))


async def _read(
    session: Session,
    by: Principal,
    of: tuple[Owner, UUID, str],
    selected: RunFilter,
    start: datetime | None,
    stop: datetime | None,
    currency: str,
) -> WorkRead:
    owner, owner_id, name = of
    now = datetime.now(UTC)
    if start is None and stop is None:
        start = now.replace(minute=0, second=0, microsecond=0) - DEFAULT_SPAN
    span = hours_of(start, stop, "month", now)
    length = span.stop - span.start
    grain = fitting(length)
    column: Literal["project_id", "user_id"] = "project_id" if owner == "project" else "user_id"
    hours = Range(span.start, span.stop, owner=(column, owner_id))
    own: dict[datetime, list[Entry]] = defaultdict(list)
    is_provisional = span.stop > now
    for row in await rows.charges_over_time(session, owner, by.viewer, grain, hours):
        if row.visible and row.owner == name:
            own[row.start].append(total_entry(row))
            is_provisional |= row.running_j > 0
    before: list[Entry] = []
    earlier = replace(hours, start=span.start - length, stop=span.start)
    for row in await rows.charges_over_time(session, owner, by.viewer, "month", earlier):
        if row.visible and row.owner == name:
            before.append(total_entry(row))
    everything = [entry for entries in own.values() for entry in entries]
    starts = sorted(own)
    figures = [
        each.total_kwh
        for each in accounts([everything, before, *(own[at] for at in starts)], intervals=intervals)
    ]
    total, total_before = (_or_nothing(figure) for figure in figures[:2])
    ended = await work_rows.ended(session, owner, owner_id, by.viewer, span.start, span.stop)
    running = await _running(session, by, owner, owner_id, now) if span.stop > now else []
    best, reason = await _best(session, by, selected)
    return WorkRead(
        name=name,
        start=span.start,
        stop=span.stop,
        grain=grain,
        energy_kwh=_quantity(total),
        provisional=is_provisional,
        before_kwh=_quantity(total_before),
        change=EnergyChange(**change(total, total_before)),
        points=[
            WorkPoint(start=at, energy_kwh=_quantity(figure))
            for at, figure in zip(starts, figures[2:], strict=True)
        ],
        attempts=sum(row.attempts for row in ended),
        running_attempts=len(running),
        facility_energy_kwh=_sum(
            ended,
            "facility_energy_kwh",
            "facility",
            "energy_sources",
            "kWh",
            [use.facility_energy_kwh for use in running],
        ),
        co2e_kg=_sum(
            ended, "co2e_kg", "co2e", "co2e_sources", "kg", [use.co2e_kg for use in running]
        ),
        costs=_costs(ended, running, currency),
        failed=FailedFigures(**figures_of(ended, unknown="unknown_it")),
        best=best,
        best_reason=reason,
    )


def _or_nothing(figure: Figure) -> Figure:
    """Zero for an owner without runs, since that is a known amount."""
    return Figure.exact(0.0, "kWh", "counter") if figure.value is None else figure


def _quantity(figure: Figure) -> Quantity:
    return Quantity(**quantity(figure))


async def _running(
    session: Session, by: Principal, owner: Owner, owner_id: UUID, now: datetime
) -> list[LiveUse]:
    """Use so far of each running attempt that the caller may see."""
    rows = await spend.running(session, [Budget(scope=owner, scope_id=owner_id)])
    visible = {
        project_id
        for project_id in {row.project_id for row in rows}
        if await projects.is_visible(session, by.viewer, project_id)
    }
    seen = [row for row in rows if row.project_id in visible]
    uses = await live_use.of_running(session, seen, now, live_use.CURRENT_RATES)
    return [uses[row.attempt_id] for row in seen]


def _sum(
    ended: Sequence[Any],
    name: str,
    unknown: str,
    sources: str,
    unit: str,
    running: Sequence[Decimal | None],
) -> WorkSum:
    """The sum of the known values; if all are unknown, the sum is unknown, not 0."""
    evidence = {source for row in ended for source in getattr(row, sources) if source in SOURCES}
    so_far = [float(value) for value in running if value is not None]
    missing = sum(getattr(row, f"unknown_{unknown}") for row in ended)
    unread = len(running) - len(so_far)
    attempts = sum(row.attempts for row in ended) + len(running)
    is_known = missing + unread < attempts or not missing + unread
    lacking = [(missing, "ended attempt"), (unread, "running attempt")]
    counts = " and ".join(counted(number, noun) for number, noun in lacking if number)
    remark = f"the value of {counts} is unknown" if counts else None
    if so_far:
        evidence.add("estimated")
    return WorkSum(
        value=sum(getattr(row, name) for row in ended) + sum(so_far) if is_known else None,
        running=sum(so_far) if so_far or not running else None,
        unit=unit,
        source=weakest(*evidence) if evidence else None,
        unknown_attempts=missing + unread,
        reason=f"at least: {remark}" if remark and is_known else remark,
    )


def _costs(ended: Iterable[Any], running: Sequence[LiveUse], currency: str) -> list[WorkSum]:
    """The cost in each currency; an unknown cost has none, and is missing in each of them.

    Args:
        ended: The ended attempts, by currency.
        running: Use so far of the running attempts.
        currency: Currency of the server, for costs that are all unknown.
    """
    by_currency: dict[str | None, list[Any]] = defaultdict(list)
    for row in ended:
        by_currency[row.currency].append(row)
    for use in running:
        by_currency[None if use.cost is None else use.currency] += []
    missing = by_currency.pop(None, None)
    if missing is not None and not by_currency:
        by_currency[currency] = []
    return [
        _sum(
            [*of, *(missing or ())],
            "cost",
            "cost",
            "cost_sources",
            str(name),
            [use.cost for use in running if use.cost is None or use.currency == name],
        )
        for name, of in sorted(by_currency.items(), key=str)
    ]


async def _best(
    session: Session, by: Principal, selected: RunFilter
) -> tuple[BestRun | None, str | None]:
    """The run with the least energy for its score among the newest, or why there is none."""
    succeeded = replace(selected, statuses=("succeeded",))
    ids, _ = await listing.first_ids(session, by, succeeded, sort="-finished_at", limit=NEWEST)
    ranked = [
        (headline["figures"]["kwh_per_score"]["value"], run_id, name, headline)
        for run_id, name, headline in await runs.named_headlines(session, ids)
        if headline["score"] is not None
        and headline["figures"]["kwh_per_score"]["value"] is not None
    ]
    kinds = Counter(_kind_of(headline) for *_, headline in ranked)
    if not kinds:
        return None, NO_SCORE
    kind, _ = kinds.most_common(1)[0]
    same = [each for each in ranked if _kind_of(each[3]) == kind]
    _, run_id, name, headline = min(same, key=lambda each: each[0])
    return BestRun(
        run_id=run_id,
        name=name,
        metric=kind[0],
        split=kind[1],
        score=headline["score"]["value"],
        it_energy_kwh=Quantity.model_validate(headline["figures"]["it_energy_kwh"]),
        kwh_per_score=Quantity.model_validate(headline["figures"]["kwh_per_score"]),
        runs=len(same),
    ), None


def _kind_of(headline: Mapping[str, Any]) -> tuple[str, str | None]:
    """Metric and split of the score in a headline."""
    score = headline["score"]
    return score["metric"], score["split"]
