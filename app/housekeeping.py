"""Housekeeping of the server: ends lost attempts, repairs the queue, checks the balances."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from app.cancellation import heed_cancellation
from app.db import Database
from app.edge.traffic import Traffic
from app.queue import entries
from app.repositories.outage import OUTAGES
from app.services.alarms import Alarms
from app.services.attempts import abandoned, block_checks, execution, packing
from app.services.attempts.execution import LeaseObserver
from app.services.billing import headlines
from app.services.budgets.upkeep import BalanceUpkeep
from app.services.energy import rollups
from app.services.energy.backlog import LONG, Backlog, Progress
from app.services.intake import codecarbon_filing
from app.services.live import events
from app.services.live.events import EventHub
from app.services.people import web_sessions
from app.services.queueing import waiting
from app.services.saved import charts
from app.services.studies import advancing
from app.settings import Settings

log = logging.getLogger("pricetag.server")

TIDY_EVERY_S = 3600.0

FOLD_EVERY_S = 5.0
"""Pause after all pending hours of the energy account are in its roll-ups."""

CHECK_ROLLUPS_EVERY_S = 3600.0

STUDIES_AGAIN_S = 5.0
"""Pause after studies could not be advanced."""

CODECARBON_EVERY_S = 5.0
"""Pause after all records of CodeCarbon clients are applied."""

PACK_EVERY_S = 600.0
"""Pause after all readings that no longer change are packed."""

HEADLINES_EVERY_S = 600.0
"""Pause after all price tags have a headline."""

LOOKS_PER_LEASE = 8
"""Minimum number of checks during the shortest lease."""


@contextmanager
def _kept_going(work: str, pause_s: float) -> Iterator[None]:
    """Logs why a round of the work failed; the next one, after the pause, may succeed."""
    try:
        yield
    except OUTAGES as error:
        log.warning("%s waits for the database: %s", work, error)
    except Exception:
        log.exception("%s failed; trying again in %g s", work, pause_s)


async def keep_house(settings: Settings, database: Database, alarms: Alarms | None = None) -> None:
    """Cleans up until canceled, through database outages and failures of single rounds.

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
        with _kept_going("housekeeping", pause_s):
            await one_round(settings, database, observer)
            await upkeep.one_round(database)
            if time.monotonic() - tidied_s > TIDY_EVERY_S:
                tidied_s = time.monotonic()
                await tidy(database)
                await end_silent(settings, database)
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
        await entries.sweep(session)


async def tidy(database: Database) -> None:
    """Deletes data that is no longer needed."""
    async with database.session_scope() as session:
        dropped = await events.forget_passing(session)
        await waiting.forget_the_dead(session)
        await web_sessions.forget_ended(session)
        await charts.forget_unused(session)
        fruitless = await codecarbon_filing.forget_without_run(session)
    log.debug("deleted %d progress and power events of finished runs", dropped)
    if fruitless:
        log.warning("deleted the records of %d CodeCarbon clients that made no run", fruitless)


async def end_silent(settings: Settings, database: Database) -> None:
    """Ends runs of whose journal no more arrives."""
    silence = timedelta(days=settings.journal_silence_days)
    async with database.session_scope() as session:
        attempts = await abandoned.silent_since(session, silence)
    for attempt_id in attempts:
        async with database.session_scope() as session:
            run_id = await abandoned.end_silent(session, attempt_id, silence)
        if run_id is not None:
            log.warning("run %s: its journal did not arrive to its end; it was ended", run_id)
        heed_cancellation()


async def keep_rolled_up(database: Database, alarms: Alarms, notices: Alarms) -> None:
    """Folds pending hours into the roll-ups of the energy account, and checks them, forever.

    Args:
        database: Engine and sessions of this process.
        alarms: Where differences are reported.
        notices: Where a long backlog is reported, as an upgrade leaves it.
    """
    backlog = Backlog(database, lambda progress: report_backlog(progress, notices))
    checked_s = time.monotonic()
    while True:
        with _kept_going("folding into the roll-ups of the energy account", FOLD_EVERY_S):
            await backlog.fold()
            if time.monotonic() - checked_s > CHECK_ROLLUPS_EVERY_S:
                checked_s = time.monotonic()
                await check_rollups(database, alarms)
        heed_cancellation()
        await asyncio.sleep(FOLD_EVERY_S)


def report_backlog(progress: Progress, notices: Alarms) -> None:
    """Keeps a notice of a long backlog, with a line in the log for each of its changes."""
    is_long = progress.left >= LONG
    if notices.put("roll-ups", progress.text if is_long else None):
        log.info("%s", progress.text)


async def check_rollups(database: Database, alarms: Alarms) -> None:
    """Compares the roll-ups of a month, drawn at random, with its hours."""
    async with database.session_scope() as session:
        months = await rollups.months(session)
    if not months:
        return
    month = random.choice(months)
    wrong = await rollups.wrong_sums(database, month)
    message = None
    if wrong:
        message = (
            f"energy account: {len(wrong)} sums of {month.name} differ from their hours:"
            f" {rollups.REMEDY}"
        )
        log.error("%s (%s)", message, wrong[0])
    alarms.put(f"roll-ups of {month.name}", message)


async def keep_studies(settings: Settings, database: Database, hub: EventHub) -> None:
    """Advances studies whose runs have news, and all of them from time to time, forever.

    Args:
        settings: Configuration.
        database: Engine and sessions of this process.
        hub: Reports which runs have events.
    """
    watch = advancing.Watch(database, hub, settings.sweep_s)
    while True:
        with _kept_going("advancing studies", STUDIES_AGAIN_S):
            await watch.one_round()
            heed_cancellation()
            continue
        heed_cancellation()
        await asyncio.sleep(STUDIES_AGAIN_S)


async def keep_codecarbon(database: Database) -> None:
    """Makes runs of what clients of CodeCarbon have sent, and ends silent ones, forever."""
    while True:
        with _kept_going("applying records of CodeCarbon clients", CODECARBON_EVERY_S):
            for problem in await codecarbon_filing.one_round(database):
                log.warning("%s", problem)
        heed_cancellation()
        await asyncio.sleep(CODECARBON_EVERY_S)


async def keep_packed(database: Database, alarms: Alarms) -> None:
    """Packs readings that no longer change, and checks some blocks, forever.

    It rests as long as it works, so that a history from before takes half of a core at most.

    Args:
        database: Engine and sessions of this process.
        alarms: Where damaged blocks are reported.
    """
    while True:
        with _kept_going("packing readings", PACK_EVERY_S):
            after: uuid.UUID | None = packing.NOBODY
            while after is not None:
                began_s = time.monotonic()
                step = await packing.pack_some(database, after)
                after = None if step is None else step.after
                heed_cancellation()
                await asyncio.sleep(time.monotonic() - began_s)
            await check_blocks(database, alarms)
        heed_cancellation()
        await asyncio.sleep(PACK_EVERY_S)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast work continues that can wait.

    Attributes:
        limit: Price tags of one step.
        rest: How many times as long as the step the rest after it takes.
    """

    limit: int
    rest: float


ALONE = Pace(headlines.AT_ONCE, 0.1)
BESIDE_REQUESTS = Pace(headlines.BESIDE_REQUESTS, 9.0)


def pace_of(traffic: Traffic) -> Pace:
    """The pace beside the requests that come now."""
    return ALONE if traffic.is_quiet else BESIDE_REQUESTS


async def keep_headlines(database: Database, traffic: Traffic) -> None:
    """Gives price tags of earlier versions the headline that lists show, forever.

    While requests come it takes a few price tags at a time, and a tenth of a core; otherwise
    nearly all of one.

    Args:
        database: Engine and sessions of this process.
        traffic: Shows whether somebody waits for the server.
    """
    while True:
        with _kept_going("making headlines of price tags", HEADLINES_EVERY_S):
            before: headlines.Place | None = None
            is_done = False
            while not is_done:
                began_s = time.monotonic()
                before = await headlines.fill_some(database, before, pace_of(traffic).limit)
                is_done = before is None
                heed_cancellation()
                await asyncio.sleep(pace_of(traffic).rest * (time.monotonic() - began_s))
        heed_cancellation()
        await asyncio.sleep(HEADLINES_EVERY_S)


async def check_blocks(database: Database, alarms: Alarms) -> None:
    """Checks some blocks of packed readings, drawn at random; a damaged one stays an alarm."""
    async with database.session_scope() as session:
        checked = await block_checks.check_some(session, (uuid.uuid4(), "", 0))
    for text in checked.wrong:
        if alarms.put(f"packed readings: {text}", f"packed readings: {text}"):
            log.error("packed readings: %s", text)
