"""Housekeeping of the server: ends lost attempts, repairs the queue, checks the balances."""

from __future__ import annotations

import asyncio
import logging
import math
import time

from app import queue
from app.cancellation import heed_cancellation
from app.db import Database
from app.repositories.outage import OUTAGES
from app.services import events, execution, waiting
from app.services.alarms import Alarms
from app.services.budgets.upkeep import BalanceUpkeep
from app.services.execution import LeaseObserver
from app.settings import Settings

log = logging.getLogger("pricetag.server")

TIDY_EVERY_S = 3600.0

LOOKS_PER_LEASE = 8
"""Minimum number of checks during the shortest lease."""


async def keep_house(settings: Settings, database: Database, alarms: Alarms | None = None) -> None:
    """Cleans up until cancelled, through database outages and failures of single rounds.

    Args:
        settings: Configuration.
        database: Engine and sessions of this process.
        alarms: Where lasting problems are reported.
    """
    observer = LeaseObserver()
    upkeep = BalanceUpkeep(alarms or Alarms())
    pause_s = settings.sweep_s
    tidied_s = -math.inf
    while True:
        try:
            await one_round(settings, database, observer)
            await upkeep.one_round(database)
            if time.monotonic() - tidied_s > TIDY_EVERY_S:
                tidied_s = time.monotonic()
                await tidy(database)
        except OUTAGES as error:
            log.warning("housekeeping waits for the database: %s", error)
        except Exception:
            # The next round may succeed; without it, lost runs would stay running.
            log.exception("housekeeping failed; trying again in %g s", pause_s)
        heed_cancellation()
        pause_s = min(settings.sweep_s, observer.shortest_s / LOOKS_PER_LEASE)
        await asyncio.sleep(pause_s)


async def one_round(settings: Settings, database: Database, observer: LeaseObserver) -> None:
    """Ends attempts of dead workers, then restores missing queue entries."""
    async with database.session_scope() as session:
        reaped = await execution.reap(session, observer=observer, lease_s=settings.lease_s)
    for run_id in reaped:
        log.warning("run %s: its worker did not renew the lease; the attempt was ended", run_id)
    async with database.session_scope() as session:
        await queue.sweep(session)


async def tidy(database: Database) -> None:
    """Deletes data that is no longer needed."""
    async with database.session_scope() as session:
        dropped = await events.forget_passing(session)
        await waiting.forget_the_dead(session)
    log.debug("deleted %d progress and power events of finished runs", dropped)
