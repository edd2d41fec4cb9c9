"""The shared figures of the lab at a glance, read at most every few seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from app.db import Database, Session
from app.schemas.burn_down import BudgetOutlookItem
from app.schemas.overview import ExpectedEnd, IdleDevice, PeriodUse, SiteNow
from app.services.outlook import open_runs, outlook
from app.services.outlook.open_runs import OpenRuns
from app.services.overview import idle, sites, use
from app.services.principals import Principal
from app.services.queueing import pool_queue
from app.settings import Settings
from pricetag.accounting.budgets.burn_down import Span3

FRESH_S = 5.0
"""Maximum age of figures that were read for another caller, in s."""

NO_END = "the run has no projection, and no quote"


@dataclass(frozen=True, slots=True)
class Shared:
    """The lab for a caller who may see every run.

    Attributes:
        at: Time of these figures.
        periods: Use of today and this month.
        opened: All open runs.
        sites: All sites.
        idle: Idle accelerators.
        ends: Expected end of each running run.
        outlooks: Budgets in order, by caller: the visible ones depend only on the caller's rights.
    """

    at: datetime
    periods: list[PeriodUse]
    opened: OpenRuns
    sites: list[SiteNow]
    idle: list[IdleDevice]
    ends: Mapping[UUID, ExpectedEnd]
    outlooks: dict[Principal, list[BudgetOutlookItem]] = field(default_factory=dict)

    async def budgets(self, session: Session, by: Principal) -> list[BudgetOutlookItem]:
        """The open budgets that a caller may see, in the order in which they are used up."""
        if by not in self.outlooks:
            self.outlooks[by] = (await outlook.read(session, by, self.opened)).items
        return self.outlooks[by]


class OverviewBoard:
    """Reads the lab's figures, once for all callers within a few seconds.

    Args:
        database: Database to read.
        settings: Settings of the server.
        clock: Monotonic seconds.
    """

    def __init__(
        self, database: Database, settings: Settings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._reading = asyncio.Lock()
        self._shared: Shared | None = None
        self._read_s = float("-inf")

    async def shared(self, by: Principal) -> Shared:
        """The figures, at most `FRESH_S` old.

        Args:
            by: A caller who may read the energy account.
        """
        async with self._reading:
            if self._shared is None or self._clock() - self._read_s > FRESH_S:
                async with self._database.session_scope() as session:
                    self._shared = await self._read(session, by)
                self._read_s = self._clock()
            return self._shared

    async def _read(self, session: Session, by: Principal) -> Shared:
        now = datetime.now(UTC)
        opened = await open_runs.read(session)
        now_of_sites = await sites.now_of_all(session, self._settings, now)
        return Shared(
            at=now,
            periods=await use.periods(session, by, self._settings, opened, now),
            opened=opened,
            sites=now_of_sites,
            idle=await idle.devices(session, now_of_sites, now),
            ends={run.run_id: _end(run.rest_s, now) for run in opened.runs},
        )


def _end(left: Span3 | None, now: datetime) -> ExpectedEnd:
    if left is None:
        return ExpectedEnd(at=None, low=None, high=None, reason=NO_END)
    at, low, high = (pool_queue.after(now, s) for s in (left.value, left.low, left.high))
    if at is None or low is None or high is None:
        return ExpectedEnd(at=None, low=None, high=None, reason="it is more than 100 years away")
    return ExpectedEnd(at=at, low=low, high=high, reason=None)
