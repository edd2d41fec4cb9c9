"""Runs carried out through the service itself, to be repeated with other ids and times.

They are posted, claimed, metered, settled and priced by the service's own code in one
transaction, read as the tables have them, and rolled back.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import select, text

from app.db import Database, Session, driver_connection
from app.repositories.price_tags import upstreams
from app.schemas.tokens import TokenCreate
from app.services.attempts import execution
from app.services.people import tokens
from app.services.principals import Principal
from app.services.quoting.likeness import Step, steps
from app.services.repricing import reissue
from app.services.runs import posting
from app.settings import get_settings
from benchmarks.lab import traces
from benchmarks.lab.journals import AttemptJournal, lengths_s
from benchmarks.lab.people import POOL, SITE_SHARES, SITES
from benchmarks.lab.rows import Repeated, own_ids, read_rows, repeated_tables
from benchmarks.lab.scale import HOUR, WEEK, WEEK_H, Scale, spread
from benchmarks.lab.shapes import QUEUED, RUNNING, SHAPES, TRACED, Part, Shape
from benchmarks.lab.stencil import (
    NODE,
    RUN_NAME,
    TAG,
    Cutter,
    Issued,
    Key,
    Original,
    Stencil,
    device_name,
    document_name,
)
from models import Attempt, PriceTag, Run

PROJECT = "project of the originals"
AWAY = 60
"""Weeks between the originals and the present: no time of one is taken for one of the other."""
OPEN_VARIANTS = 6
"""Most runs under way, and waiting, that are different."""
LEASE_S = 1e9
"""No server gives up the attempts that are running in the lab."""
CLAIMED = timedelta(seconds=2)
BACKOFF = timedelta(minutes=3)
SILENT = timedelta(minutes=5)
"""Running attempts were last reported before the end of the history."""

DATES = """
UPDATE run_events SET at = a.started_at FROM attempts AS a
    WHERE a.run_id = run_events.run_id AND run_events.run_id = :run_id
    AND payload ->> 'status' = 'running' AND (payload ->> 'attempt')::integer = a.number;
UPDATE run_events SET at = :created WHERE run_id = :run_id AND payload = '{"status": "queued"}';
DELETE FROM run_events WHERE run_id = :run_id AND kind IN ('progress', 'power') AND :over;
DELETE FROM procrastinate_jobs WHERE args ->> 'run_id' = CAST(:run_id AS text) AND NOT :waits;
UPDATE quotes SET created_at = :created, scored_at = scored_at + (:ended - now())
    WHERE run_id = :run_id;
UPDATE price_tags SET created_at = :ended + version * interval '1 second' WHERE run_id = :run_id
"""


@dataclass(frozen=True)
class Originals:
    """What is repeated: runs that have ended, that are under way, that wait, that have a trace."""

    finished: Sequence[Stencil]
    running: Sequence[Stencil]
    queued: Sequence[Stencil]
    traced: Sequence[Stencil]
    tables: Sequence[Repeated]


def make_originals(url: str, scale: Scale) -> Originals:
    """Carries out the runs and reads their rows; the database is as before."""
    return asyncio.run(_make(url, scale))


async def _make(url: str, scale: Scale) -> Originals:
    database = Database(url, application_name="pricetag lab", pool_size=1)
    try:
        async with database.sessions() as session:
            await session.execute(text("SET LOCAL statement_timeout = 0"))
            workshop = await Workshop.open(session, scale)
            open_variants = min(OPEN_VARIANTS, max(1, scale.variants // 10))
            finished = [await workshop.run(*planned) for planned in _planned(scale)]
            traced = [await workshop.run(TRACED)] if scale.traces else []
            queued = [await workshop.run(QUEUED) for _ in range(open_variants)]
            running = [await workshop.run(RUNNING) for _ in range(open_variants)]
            cut, tables = await cut_stencils(session, [*finished, *running, *queued, *traced])
            await session.rollback()
    finally:
        await database.dispose()
    groups = iter(cut)
    finished_, running_, queued_, traced_ = (
        [next(groups) for _ in group] for group in (finished, running, queued, traced)
    )
    return Originals(finished_, running_, queued_, traced_, tables)


def _planned(scale: Scale) -> list[tuple[Shape, float]]:
    """The runs to make, each with its part of all runs; each shape at least once."""
    counts = [max(1, n) for n in spread(scale.variants, [shape.weight for shape in SHAPES])]
    pairs = zip(SHAPES, counts, strict=True)
    return [(shape, shape.weight / count) for shape, count in pairs for _ in range(count)]


class Workshop:
    """Carries out runs, each with its own random numbers."""

    def __init__(self, session: Session, scale: Scale, by: Principal) -> None:
        self._session = session
        self._scale = scale
        self._by = by
        self._count = 0

    @classmethod
    async def open(cls, session: Session, scale: Scale) -> Workshop:
        made = await tokens.create(session, TokenCreate(name="maker of originals", role="admin"))
        return cls(session, scale, await tokens.authenticate(session, made.secret))

    async def run(self, shape: Shape, weight: float = 1.0) -> Original:
        """One run of a shape, as the service leaves it."""
        self._count += 1
        rng = self._scale.rng("original", self._count)
        site = rng.choices(SITES, SITE_SHARES)[0]
        run = await self._post(shape, rng)
        planned = steps(run.recipe, shape.gpus)
        lengths = list(lengths_s(planned, shape.minutes, rng))
        if shape is TRACED:
            lengths = [3600.0 * self._scale.trace_hours - 60]
        starts_at = self._starts_at(shape, sum(lengths), rng)
        created_at = starts_at - timedelta(seconds=round(rng.expovariate(1 / 600), 6))
        run.created_at = created_at
        ends_at = starts_at
        attempts: list[uuid.UUID] = []
        for part in shape.parts:
            attempt = await self._claim(run, shape, site, ends_at)
            attempts.append(attempt.id)
            journal = self._journal(attempt, shape, rng)
            _carry_out(journal, planned, lengths, part)
            await self._report(journal, attempt, shape, part)
            ends_at = journal.ends_at + BACKOFF
        ends_at = ends_at if len(attempts) == 0 else ends_at - BACKOFF
        if not shape.parts and shape.status == "cancelled":
            await execution.request_cancel(self._session, run.id)
            run.finished_at = run.cancel_requested_at = starts_at
        if shape.reprices:
            await reissue.reprice(self._session, self._by, run.id, None, settings=get_settings())
        await self._date(run, shape, created_at, ends_at)
        await self._session.refresh(run)
        if run.status != shape.status:
            raise RuntimeError(f"{shape.name}: the run is {run.status}: {run.status_reason}")
        return Original(
            run_id=run.id,
            weight=weight,
            site=site,
            gpus=shape.gpus,
            starts_at=starts_at,
            ends_at=ends_at,
            made_at=datetime.now(UTC),
            attempt_ids=tuple(attempts),
            created_at=created_at,
            hour_of_week=int((starts_at - self._week) / HOUR),
            is_traced=shape is TRACED,
            model=await self._model(run),
        )

    @property
    def _week(self) -> datetime:
        """Beginning of the week of the originals."""
        return self._scale.until - AWAY * WEEK

    async def _post(self, shape: Shape, rng: random.Random) -> Run:
        body = {
            "project": PROJECT,
            "experiment": "experiment",
            "name": RUN_NAME,
            "tags": [TAG],
            "resources": {"gpus": shape.gpus, "pool": POOL},
            "recipe": shape.recipe(rng),
        }
        run_id = (await posting.create(self._session, self._by, body, None)).id
        return (await self._session.execute(select(Run).where(Run.id == run_id))).scalar_one()

    def _starts_at(self, shape: Shape, length_s: float, rng: random.Random) -> datetime:
        week = self._week
        if shape is RUNNING:
            (part,) = shape.parts
            heard = timedelta(seconds=length_s * part.done_ratio) + SILENT
            return week + WEEK - heard - timedelta(minutes=1)
        if shape is QUEUED:
            return week + WEEK - timedelta(minutes=rng.uniform(1, 170))
        hour = rng.randrange(WEEK_H)
        return week + timedelta(hours=hour, seconds=round(rng.uniform(0, 3500), 6))

    async def _claim(self, run: Run, shape: Shape, site: str, at: datetime) -> Attempt:
        claimed = await execution.claim(
            self._session,
            run.id,
            worker=f"{NODE}:4242",
            node_name=NODE,
            devices=[
                {"uuid": device_name(place), "name": "NVIDIA H200"} for place in range(shape.gpus)
            ],
            site=site,
            lease_s=LEASE_S,
        )
        if claimed is None:
            raise RuntimeError(f"{shape.name}: the run cannot be claimed")
        attempt = await self._session.get_one(Attempt, claimed.attempt_id)
        attempt.started_at = attempt.lease_renewed_at = at
        run.started_at = at if claimed.number == 1 else run.started_at
        await self._session.flush()
        return attempt

    def _journal(self, attempt: Attempt, shape: Shape, rng: random.Random) -> AttemptJournal:
        devices = [device_name(place) for place in range(shape.gpus)]
        opened_at = attempt.started_at + CLAIMED
        return AttemptJournal(attempt.id, opened_at, devices, rng, self._scale.extra_readings)

    async def _report(
        self, journal: AttemptJournal, attempt: Attempt, shape: Shape, part: Part
    ) -> None:
        if shape is TRACED:
            await execution.ingest(self._session, attempt.id, journal.records)
            await self._trace(journal, attempt)
        elif part.status != "running":
            journal.close(part.status, part.reason)
        await execution.ingest(self._session, attempt.id, journal.records)
        attempt.lease_renewed_at = journal.ends_at
        await self._session.flush()

    async def _trace(self, journal: AttemptJournal, attempt: Attempt) -> None:
        """A reading a second instead of the few that the journal has."""
        hours = self._scale.trace_hours
        components = [component["id"] for component in attempt.components]
        await traces.replace_readings(self._session, attempt.id, components, hours)
        attempt.ingested_seq = traces.last_seq(components, hours)
        await self._session.flush()
        journal.skip_to(attempt.ingested_seq + 1, hours * 3600.0)
        journal.add("end", status="succeeded", reason=None)

    async def _date(self, run: Run, shape: Shape, created_at: datetime, ends_at: datetime) -> None:
        await self._session.flush()
        values = {
            "run_id": run.id,
            "created": created_at,
            "ended": ends_at,
            "over": shape.status not in {"queued", "running"},
            "waits": shape.status == "queued",
        }
        for statement in DATES.split(";"):
            used = {name: value for name, value in values.items() if f":{name}" in statement}
            await self._session.execute(text(statement), used)

    async def _model(self, run: Run) -> tuple[str, str, str, str] | None:
        if run.status != "succeeded":
            return None
        for row in await upstreams.published(self._session, run.id):
            if row.is_weights:
                return row.stage, row.kind, row.path.rpartition("/")[0], row.sha256
        return None


def _carry_out(
    journal: AttemptJournal, planned: Sequence[Step], lengths: Sequence[float], part: Part
) -> None:
    """Stages until the attempt's part of the work is done; the last may have no end."""
    journal.open()
    left_s = sum(lengths) * part.done_ratio
    for index, (step, length_s) in enumerate(zip(planned, lengths, strict=True)):
        whole = length_s <= left_s + 1e-6
        status = "succeeded" if whole else part.status
        journal.stage(str(index), index, step, min(length_s, left_s), status)
        left_s -= length_s
        if not whole or left_s <= 1e-6:
            break
        journal.wait(0.5)
    if part.status == "running":
        journal.progress("0", 300.0)


async def cut_stencils(
    session: Session, originals: Sequence[Original]
) -> tuple[list[Stencil], list[Repeated]]:
    """The rows of the originals with holes instead of what changes."""
    await session.flush()
    connection = await driver_connection(session)
    ids = [original.run_id for original in originals]
    tables = await repeated_tables(connection)
    rows = {}
    for table in tables:
        # Hundreds of thousands of readings are not kept as text: the database makes them again.
        skipped = table.name in traces.TABLES
        wanted = [one.run_id for one in originals if not (skipped and one.is_traced)]
        rows[table.name] = await read_rows(connection, table, wanted)
    used = [table for table in tables if rows[table.name]]
    common = await _common(session, ids)
    documents = await _documents(session, ids)
    stencils = []
    for original in originals:
        keys: dict[str, Key] = {**common, str(original.run_id): ("run", 0)}
        keys |= {str(id_): ("attempt", n) for n, id_ in enumerate(original.attempt_ids)}
        keys |= {device_name(n): ("device", n) for n in range(original.gpus)}
        own = [id_ for table in used for id_ in own_ids(table, rows[table.name][original.run_id])]
        keys |= {id_: ("id", n) for n, id_ in enumerate(own) if id_ not in keys}
        created = f"{original.created_at:%Y-%m-%d %H:%M:%S.%f}".rstrip("0").rstrip(".") + "+00"
        keys[created] = ("created", 0)
        mine = documents.get(original.run_id, [])
        keys |= {one.sha256: ("sha", n) for n, one in enumerate(mine)}
        keys |= {document_name(n): ("document", n) for n in range(len(mine))}
        cutter = Cutter(original, keys)
        for table in used:
            lines = rows[table.name][original.run_id]
            if table.name == "price_tags":
                lines = [_without_document(table, line, mine) for line in lines]
            if lines:
                cutter.rows(table.name, "".join(f"{line}\n" for line in lines))
        for one in mine:
            cutter.document(one)
        stencils.append(cutter.stencil)
    return stencils, used


async def _common(session: Session, ids: Iterable[uuid.UUID]) -> dict[str, Key]:
    """What all originals share: names, and the ids of the project, the author and each other."""
    keys: dict[str, Key] = {str(id_): ("recent", n) for n, id_ in enumerate(ids)}
    run = (await session.execute(select(Run).where(Run.name == RUN_NAME).limit(1))).scalar_one()
    for kind, id_ in (
        ("project", run.project_id),
        ("experiment", run.experiment_id),
        ("user", run.created_by),
        ("token", run.token_id),
    ):
        keys[str(id_)] = (kind, 0)
    return keys | {RUN_NAME: ("name", 0), TAG: ("tag", 0), NODE: ("node", 0)}


async def _documents(session: Session, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[Issued]]:
    """Every price tag, by run and version."""
    query = select(PriceTag).where(PriceTag.run_id.in_(ids))
    documents: dict[uuid.UUID, list[Issued]] = {}
    for tag in (await session.execute(query.order_by(PriceTag.version))).scalars():
        documents.setdefault(tag.run_id, []).append(Issued.of(tag.content, tag.content_sha256))
    return documents


def _without_document(table: Repeated, line: str, documents: Sequence[Issued]) -> str:
    """A row of a price tag with a name instead of its stored document."""
    cells = line.split("\t")
    sha256 = cells[table.columns.index("content_sha256")]
    number = next(n for n, one in enumerate(documents) if one.sha256 == sha256)
    cells[table.columns.index("content")] = document_name(number)
    return "\t".join(cells)
