"""What a server does beside its requests: gives up lost attempts, mends the queue."""

from __future__ import annotations

import asyncio
import logging
import math
import time

from app import queue
from app.cancellation import heed_cancellation
from app.db import Database
from app.repositories.outage import OUTAGES
from app.services import events, execution
from app.services.execution import LeaseObserver
from app.settings import Settings

log = logging.getLogger("pricetag.server")

TIDY_EVERY_S = 3600.0

LOOKS_PER_LEASE = 8
"""The observer of leases must look at least four times while the shortest one holds."""


async def keep_house(settings: Settings, database: Database) -> None:
    """Reaps and sweeps until cancelled, through outages of the database and faults of one round."""
    observer = LeaseObserver()
    pause_s = settings.sweep_s
    tidied_s = -math.inf
    while True:
        try:
            await one_round(settings, database, observer)
            if time.monotonic() - tidied_s > TIDY_EVERY_S:
                tidied_s = time.monotonic()
                await tidy(database)
        except OUTAGES as error:
            log.warning("housekeeping waits for the database: %s", error)
        except Exception:
            # The next round may well succeed, and without rounds lost runs stay running.
            log.exception("housekeeping failed; trying again in %g s", pause_s)
        heed_cancellation()
        pause_s = min(settings.sweep_s, observer.shortest_s / LOOKS_PER_LEASE)
        await asyncio.sleep(pause_s)


async def one_round(settings: Settings, database: Database, observer: LeaseObserver) -> None:
    """Ends attempts whose worker is gone, then puts back queue entries that are missing."""
    async with database.session_scope() as session:
        reaped = await execution.reap(session, observer=observer, lease_s=settings.lease_s)
    for run_id in reaped:
        log.warning("run %s: its worker was not heard of for as long as its lease held", run_id)
    async with database.session_scope() as session:
        await queue.sweep(session)


async def tidy(database: Database) -> None:
    """Drops what nobody will read again."""
    async with database.session_scope() as session:
        dropped = await events.forget_passing(session)
    log.debug("%d passing events of finished runs were dropped", dropped)
