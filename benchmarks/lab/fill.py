"""Fills a database with a lab's history; interrupted, it continues where it was."""

from __future__ import annotations

import asyncio
import pickle
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from app import embedded_postgres, migrate
from app.db import Database, Session, libpq_url
from app.schemas.tokens import TokenCreate
from app.services.people import tokens
from app.services.principals import Principal
from app.services.verification import checking
from benchmarks.lab import books, indexes, node_hours, people
from benchmarks.lab.history import UPSTREAMS, History, Writer, loading, write_weeks
from benchmarks.lab.originals import AWAY, Originals, make_originals
from benchmarks.lab.progress import Progress, mark_done
from benchmarks.lab.rebuilds import PREPARATIONS, REBUILDS
from benchmarks.lab.scale import WEEK, Scale

FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "8GB",
    "shared_buffers": "1GB",
    "checkpoint_timeout": "30min",
}
"""Settings of the embedded PostgreSQL while it is filled; it is restarted without them."""

CHECKED_RUNS = 12
CHECKED = """
SELECT run_id, version FROM price_tags
ORDER BY run_id IN (SELECT run_id FROM attempts WHERE id = ANY(%s)) DESC,
    version DESC, md5(run_id::text) LIMIT %s
"""


class OtherLabError(RuntimeError):
    """The database holds something else than what is to be filled in."""


class Clock:
    """Prints what is done with the seconds since the beginning."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self._began_s:8.1f} s  {text}", flush=True)


def fill_folder(data_dir: Path, scale: Scale, jobs: int) -> None:
    """Fills the embedded PostgreSQL of a data folder.

    Raises:
        OtherLabError: If it holds another lab, or runs of somebody else.
    """
    embedded_postgres.stop(data_dir)
    url = embedded_postgres.ensure(data_dir, server_options=FAST)
    try:
        fill(url, scale, jobs)
    finally:
        embedded_postgres.stop(data_dir)
        embedded_postgres.release(data_dir)


def fill(url: str, scale: Scale, jobs: int = 2) -> None:
    """Fills a database.

    Args:
        url: PostgreSQL URL of a user who may switch triggers off.
        scale: How large the lab is.
        jobs: Processes that write at the same time.

    Raises:
        OtherLabError: If it holds another lab, or runs of somebody else.
    """
    clock = Clock()
    migrate.upgrade(url)
    with psycopg.connect(libpq_url(url), autocommit=True) as connection:
        progress = Progress(connection)
        scale = _agreed(connection, progress, scale)
        clock.say(f"{scale.runs:,} runs in {scale.weeks} weeks on {scale.nodes} nodes")
        Fill(url, scale, jobs, connection, progress, clock).all()


def _agreed(connection: psycopg.Connection[Any], progress: Progress, scale: Scale) -> Scale:
    """The lab that is filled in already, else the new one."""
    stored = progress.note("scale")
    if stored is None:
        if connection.execute("SELECT EXISTS (SELECT FROM runs)").fetchone() != (False,):
            raise OtherLabError("the database has runs already: choose an empty one")
        progress.mark("scale", scale.as_dict())
        return scale
    before = Scale.from_dict(stored)
    if before.as_dict() | {"until": None} != scale.as_dict() | {"until": None}:
        raise OtherLabError(f"the database holds another lab: {stored}")
    return before


class Fill:
    """The steps of a fill; each is done once."""

    def __init__(
        self,
        url: str,
        scale: Scale,
        jobs: int,
        connection: psycopg.Connection[Any],
        progress: Progress,
        clock: Clock,
    ) -> None:
        self._url = url
        self._scale = scale
        self._jobs = jobs
        self._connection = connection
        self._progress = progress
        self._clock = clock

    def all(self) -> None:
        self._once("people", self._enter_people)
        first = min(self._scale.start, self._scale.until - (AWAY + 1) * WEEK)
        for preparation in PREPARATIONS:
            prepare = partial(preparation.run, self._url, first, self._scale.until + WEEK)
            self._once(f"prepare {preparation.name}", prepare)
        missing = self._missing_weeks()
        if missing or self._progress.note("open") is None:
            originals = self._originals()
            self._clock.say(f"{len(originals.finished)} runs carried out by the service")
            self._drop_indexes(originals)
            self._write_weeks(originals, missing)
            self._once("open", lambda: self._write_open(originals))
        self._write_node_hours()
        self._make_indexes()
        self._once("budgets", lambda: self._in_session(self._enter_budgets))
        self._once("audit", lambda: self._in_session(self._enter_audit))
        self._connection.execute("ANALYZE")
        for rebuild in REBUILDS:
            self._once(f"rebuild {rebuild.name}", partial(rebuild.run, self._url))
        self._once("vacuum", lambda: self._connection.execute("VACUUM (ANALYZE)"))
        self._in_session(self._check)
        self._progress.mark("done")
        self._clock.say("done")

    def _once(self, step: str, work: Callable[[], object]) -> None:
        if self._progress.note(step) is None:
            note = work()
            self._progress.mark(step, note if isinstance(note, list) else True)
            self._clock.say(step)

    def _enter_people(self) -> None:
        async def enter(session: Session) -> None:
            lab = people.people_of(self._scale)
            by = await _administrator(session)
            await people.enter(session, lab, self._scale)
            await books.enter_factors(session, by, self._scale)

        self._in_session(enter)

    async def _enter_budgets(self, session: Session) -> None:
        await books.enter_budgets(session, people.people_of(self._scale), self._scale)

    async def _enter_audit(self, session: Session) -> None:
        await books.enter_audit(session, people.people_of(self._scale), self._scale)

    def _missing_weeks(self) -> list[int]:
        done = self._progress.done()
        return [week for week in range(self._scale.weeks) if f"week {week}" not in done]

    def _originals(self) -> Originals:
        """The originals; kept, since the service needs the indexes that are dropped later."""
        kept = self._progress.kept("originals")
        if kept is None:
            made = make_originals(self._url, self._scale)
            self._progress.keep("originals", pickle.dumps(made))
            return made
        originals: Originals = pickle.loads(kept)
        return originals

    def _drop_indexes(self, originals: Originals) -> None:
        names = [*(table.name for table in originals.tables), UPSTREAMS.name]
        dropped = indexes.droppable(self._connection, names)
        self._progress.mark("indexes", [index.as_dict() for index in dropped])
        indexes.drop(self._connection, self._noted_indexes())

    def _noted_indexes(self) -> list[indexes.Index]:
        return [indexes.Index(**one) for one in self._progress.note("indexes") or ()]

    def _write_weeks(self, originals: Originals, weeks: Sequence[int]) -> None:
        written, began_s = 0, time.monotonic()
        for count in write_weeks(self._url, self._scale, originals, weeks, self._jobs):
            written += count
            if time.monotonic() - began_s > 10:
                began_s = time.monotonic()
                self._clock.say(f"{written:,} runs written")
        self._clock.say(f"{written:,} runs written")

    def _write_open(self, originals: Originals) -> list[str]:
        with loading(self._url) as connection:
            writer = Writer(connection, originals.tables)
            return History(self._scale, originals).write_open(writer, connection)

    def _write_node_hours(self) -> None:
        node_hours.enter_components(self._connection, people.people_of(self._scale).machines)
        for start, stop in node_hours.spans(self._scale):
            step = f"hours from {start:%Y-%m-%d}"
            if self._progress.note(step) is None:
                with loading(self._url) as connection:
                    node_hours.write_hours(connection, start, stop)
                    mark_done(connection, step)
        self._clock.say("hours of the nodes")

    def _make_indexes(self) -> None:
        for name in indexes.make_again(self._url, self._noted_indexes(), self._jobs):
            self._clock.say(f"index {name}")

    async def _check(self, session: Session) -> None:
        """Price tags of some repeated runs verify, each step, and those with a power trace."""
        traced = [uuid.UUID(attempt_id) for attempt_id in self._progress.note("open")[:1]]
        some = self._connection.execute(CHECKED, [traced, CHECKED_RUNS]).fetchall()
        for run_id, version in some:
            report = await checking.verify(session, run_id, version)
            if report.outcome != "verified":
                raise RuntimeError(f"run {run_id} does not verify: {report.steps}")
        self._clock.say(f"{len(some)} price tags verified")

    def _in_session(self, work: Callable[[Session], Awaitable[None]]) -> None:
        async def run() -> None:
            database = Database(self._url, application_name="pricetag lab", pool_size=1)
            try:
                async with database.session_scope() as session:
                    await work(session)
            finally:
                await database.dispose()

        asyncio.run(run())


async def _administrator(session: Session) -> Principal:
    made = await tokens.create(session, TokenCreate(name="lab admin", role="admin"))
    return await tokens.authenticate(session, made.secret)
