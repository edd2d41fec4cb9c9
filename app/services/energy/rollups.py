"""Keeps the roll-ups of the energy account current, checks them, and rebuilds them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from app.db import Database, Session
from app.repositories.energy import checking, folding
from app.repositories.energy.calendar import after, floor
from app.repositories.energy.judging import MEASURES
from app.repositories.energy.series import KEY

BATCH = 1000
"""Node-hours in one transaction: about a second of work."""

DAY = timedelta(days=1)
OCCUPIED_S = 0.2
"""Pause while another process folds."""

REMEDY = "run `pricetag rollups rebuild`"

FAR_PAST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Month:
    """A UTC month of the account."""

    start: datetime

    @property
    def stop(self) -> datetime:
        """Its end, exclusive."""
        return after(self.start, "month")

    @property
    def name(self) -> str:
        """For example ``2026-03``."""
        return f"{self.start:%Y-%m}"

    @property
    def days(self) -> list[datetime]:
        """The beginnings of its days."""
        return [self.start + day * DAY for day in range((self.stop - self.start).days)]


async def fold_pending(
    session: Session,
    *,
    limit: int = BATCH,
    within: Month | None = None,
    now: datetime | None = None,
) -> int | None:
    """Folds settled pending hours into the roll-ups; no figure of the account changes.

    Args:
        session: Committed by the caller.
        limit: Maximum number of node-hours.
        within: Only those of this month.
        now: Present time; the database's clock by default.

    Returns:
        Number of folded marks, 0 if all remaining ones are held by others; None if another process
        is folding.
    """
    if not await folding.try_lock(session):
        return None
    if within is not None:
        marks = await folding.take_pending(
            session, limit, start=within.start, stop=within.stop, now=now
        )
    else:
        # If all marks of the newest month are held, those of other months are folded.
        marks = await folding.take_pending(session, limit, now=now) or await folding.take_pending(
            session, limit, start=FAR_PAST, now=now
        )
    await folding.fold(session, marks, now)
    return len(marks)


async def pending(session: Session) -> int:
    """Number of settled hours of nodes that the roll-ups do not have yet."""
    return (await folding.waiting(session)).number


async def months(session: Session) -> list[Month]:
    """The months of the account, newest first."""
    span = await checking.span(session)
    if span is None:
        return []
    first, last = (floor(moment.astimezone(UTC), "month") for moment in span)
    listed = [Month(first)]
    while listed[-1].start < last:
        listed.append(Month(listed[-1].stop))
    return listed[::-1]


async def wrong_sums(database: Database, month: Month) -> list[str]:
    """Differences between the roll-ups of a month and its hours, one line per sum.

    Pending hours are not compared: the account evaluates them itself.
    """
    rows: list[Any] = []
    for day in month.days:
        async with database.session_scope() as session:
            rows += await checking.wrong_hours(session, day, day + DAY)
    for level in checking.LEVELS:
        async with database.session_scope() as session:
            rows += await checking.wrong_sums(session, level, month.start, month.stop)
    return [_line(row) for row in rows]


async def rebuild(database: Database, month: Month) -> None:
    """Rebuilds the roll-ups of a month from its hours, while the service runs.

    It works in its own transactions: interrupted, it leaves the account right, and can be
    run again.
    """
    async with database.session_scope() as session:
        await checking.mark(session, month.start, month.stop)
    while (folded := await _fold(database, month)) != 0:
        if folded is None:
            await asyncio.sleep(OCCUPIED_S)
    async with database.session_scope() as session:
        await folding.lock(session)
        await checking.make_anew(session, month.start, month.stop)


async def _fold(database: Database, month: Month) -> int | None:
    async with database.session_scope() as session:
        return await fold_pending(session, within=month)


def _line(row: Any) -> str:
    about = [str(value) for name in KEY if (value := getattr(row, name)) is not None]
    differences = [f"{name} {value:+}" for name in MEASURES if (value := getattr(row, name)) != 0]
    return f"{row.level} {row.start:%Y-%m-%dT%H}: {' '.join(about)}: {', '.join(differences)}"
