"""The history itself: weeks of repeated runs, written by COPY in several processes."""

from __future__ import annotations

import multiprocessing
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

import psycopg

from app.db import libpq_url
from benchmarks.lab import traces
from benchmarks.lab.originals import Originals
from benchmarks.lab.people import Machine, People, Someone, Work, people_of
from benchmarks.lab.progress import mark_done
from benchmarks.lab.rows import Repeated
from benchmarks.lab.scale import HOUR, WEEK_H, Scale
from benchmarks.lab.stencil import Occasion, Original, Repeater

BATCH = 100
"""Runs in one COPY."""
RECENT = 50
CHAINED = 0.08
"""Part of the runs that take a model which an earlier one has published."""
UPSTREAMS = Repeated(
    "run_upstreams",
    ("run_id", "upstream_run_id", "stage", "kind", "folder", "sha256", "files"),
    "run_id",
    ("run_id",),
    (),
)
MODELS = ("MiniLM", "BERT-base", "DistilBERT", "RoBERTa", "ALBERT", "ELECTRA-small")
PURPOSES = ("sst2", "cola", "mnli", "qqp", "reviews", "toxicity", "intents")
TAGS = ("baseline", "ablation", "sweep", "final", "debug", "rerun")
RUNNING_PER_NODE = 1
QUEUED = 200


@dataclass
class Batch:
    """Rows that wait for their COPY."""

    lines: dict[str, list[str]]
    runs: int = 0


class Writer:
    """Writes repetitions on one connection."""

    def __init__(self, connection: psycopg.Connection[Any], tables: Sequence[Repeated]) -> None:
        self._connection = connection
        self._tables = {table.name: table for table in (*tables, UPSTREAMS)}
        self._batch = Batch(defaultdict(list))
        self._recent: list[str] = []
        self._published: list[tuple[str, Original]] = []

    def add(self, repeater: Repeater, occasion: Occasion, rng: random.Random) -> list[str]:
        """One more run; returns the ids of its attempts."""
        run_id, attempts, rows = repeater.repeat(occasion, rng, self._recent)
        for table, text in rows.items():
            self._batch.lines[table].append(text)
        self._chain(run_id, repeater.original, rng)
        self._recent = [run_id, *self._recent[: RECENT - 1]]
        self._batch.runs += 1
        if self._batch.runs >= BATCH:
            self.flush()
        return attempts

    def _chain(self, run_id: str, original: Original, rng: random.Random) -> None:
        if self._published and rng.random() < CHAINED:
            newest = rng.random() < 0.5
            upstream, published = self._published[-1] if newest else rng.choice(self._published)
            stage, kind, folder, sha256 = published.model or ("", "", "", "")
            files = f'{{"model.safetensors": "{sha256}"}}'
            cells = (run_id, upstream, stage, kind, folder, sha256, files)
            self._batch.lines[UPSTREAMS.name].append("\t".join(cells) + "\n")
        if original.model is not None:
            self._published = [*self._published[-RECENT:], (run_id, original)]

    def flush(self) -> None:
        """Copies what waits."""
        with self._connection.cursor() as cursor:
            for name, lines in self._batch.lines.items():
                with cursor.copy(self._tables[name].copy_in) as copy:
                    copy.write("".join(lines))
        self._batch = Batch(defaultdict(list))


class History:
    """Decides which run is repeated when, by whom and where."""

    def __init__(self, scale: Scale, originals: Originals) -> None:
        self.scale = scale
        self.people: People = people_of(scale)
        self.originals = originals
        self._finished = [Repeater(stencil) for stencil in originals.finished]
        self._sites = {machine.site for machine in self.people.machines}
        self._at = {site: self.people.machines_at(site) for site in self._sites}

    def write_week(self, week: int, writer: Writer) -> int:
        """Writes the runs that begin in a week, in the order of their starts."""
        rng = self.scale.rng("week", week)
        count = self.scale.runs_by_week()[week]
        last = week == self.scale.weeks - 1
        choices = [one for one in self._finished if not last or _ends_in_week(one.original)]
        weights = list(accumulate(one.original.weight for one in choices))
        repeaters = rng.choices(choices, cum_weights=weights, k=count)
        active = [project for project in self.people.projects if project.last_week >= week]
        shares = list(accumulate(project.weight for project in active))
        start = self.scale.week_start(week)
        for repeater in sorted(repeaters, key=lambda one: one.original.hour_of_week):
            (project,) = rng.choices(active, cum_weights=shares)
            occasion = self.occasion(repeater.original, start, week, project, rng)
            writer.add(repeater, occasion, rng)
        writer.flush()
        return count

    def occasion(
        self,
        original: Original,
        week_start: datetime,
        week: int,
        project: Work,
        rng: random.Random,
    ) -> Occasion:
        """Everything that makes a repetition its own run."""
        machine: Machine = rng.choice(self._at[original.site])
        first = rng.randrange(len(machine.devices) - original.gpus + 1)
        start = week_start + original.hour_of_week * HOUR
        user: Someone = rng.choice(project.users)
        waited = original.starts_at - original.created_at
        jitter = timedelta(microseconds=rng.randrange(1, 600_000_000))
        return Occasion(
            start=start,
            created_at=start + (original.starts_at - original.first_hour) - waited - jitter,
            project=project.id,
            experiment=project.experiment(week, rng),
            user=user.id,
            token=user.token_id,
            node=machine.name,
            devices=machine.devices[first:],
            name=_name(rng),
            tags=_tags(self.scale, week, rng),
        )

    def write_open(self, writer: Writer, connection: psycopg.Connection[Any]) -> list[str]:
        """Runs that are under way or wait now, and those with a power trace.

        Returns:
            The attempts with a power trace.
        """
        rng = self.scale.rng("open")
        week = self.scale.weeks - 1
        running = [Repeater(stencil) for stencil in self.originals.running]
        queued = [Repeater(stencil) for stencil in self.originals.queued]
        open_runs = [
            *(rng.choice(running) for _ in self.people.machines for _ in range(RUNNING_PER_NODE)),
            *(rng.choice(queued) for _ in range(min(QUEUED, max(5, self.scale.runs // 50)))),
        ]
        active = [project for project in self.people.projects if project.last_week >= week]
        for repeater in open_runs:
            (project,) = rng.choices(active, [project.weight for project in active])
            start = self.scale.week_start(week)
            writer.add(repeater, self.occasion(repeater.original, start, week, project, rng), rng)
        writer.flush()
        return self._write_traces(writer, connection, rng)

    def _write_traces(
        self, writer: Writer, connection: psycopg.Connection[Any], rng: random.Random
    ) -> list[str]:
        traced: list[str] = []
        for repeater in (Repeater(stencil) for stencil in self.originals.traced):
            for number in range(self.scale.traces):
                week = max(0, self.scale.weeks - 3 - number % self.scale.weeks)
                occasion = self.occasion(
                    repeater.original,
                    self.scale.week_start(week),
                    week,
                    self.people.projects[0],
                    rng,
                )
                (attempt_id,) = writer.add(repeater, occasion, rng)
                writer.flush()
                devices = occasion.devices[: repeater.original.gpus]
                components = traces.components_of(devices)
                traces.add_readings(connection, attempt_id, components, self.scale.trace_hours)
                traced.append(attempt_id)
        return traced


def _ends_in_week(original: Original) -> bool:
    return (original.ends_at - original.first_hour) // HOUR + original.hour_of_week < WEEK_H - 1


def _name(rng: random.Random) -> str:
    model, purpose = rng.choice(MODELS), rng.choice(PURPOSES)
    return f"{model} on {purpose}, lr {rng.randrange(1, 100)}e-6, seed {rng.randrange(20)}"


def _tags(scale: Scale, week: int, rng: random.Random) -> str:
    """Common tags, a tag of the week, tags of the first year, and rare ones."""
    tags = [rng.choice(TAGS), f"sweep-{week:03d}-{rng.randrange(20):02d}"]
    if week < scale.weeks // 3 and rng.random() < 0.05:
        tags.append("first-year")
    if rng.random() < 0.0005:
        tags.append("rare")
    return ",".join(tags)


def write_weeks(
    url: str, scale: Scale, originals: Originals, weeks: Sequence[int], jobs: int
) -> Iterator[int]:
    """Writes weeks of runs, some at a time; gives the number of runs as each is done."""
    if jobs == 1:
        work = _Work(url, scale, originals)
        yield from map(work.week, weeks)
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(jobs, _begin, (url, scale, originals)) as pool:
        yield from pool.imap(_week, weeks)


class _Work:
    def __init__(self, url: str, scale: Scale, originals: Originals) -> None:
        self._url = url
        self._history = History(scale, originals)

    def week(self, week: int) -> int:
        """All of a week's runs, or none."""
        with loading(self._url) as connection:
            tables = self._history.originals.tables
            writer = Writer(connection, tables)
            count = self._history.write_week(week, writer)
            mark_done(connection, f"week {week}")
        return count


_work: _Work | None = None


def _begin(url: str, scale: Scale, originals: Originals) -> None:
    global _work
    _work = _Work(url, scale, originals)


def _week(week: int) -> int:
    if _work is None:
        raise RuntimeError("the process has not begun")
    return _work.week(week)


def loading(url: str) -> psycopg.Connection[Any]:
    """A connection without triggers and checks of foreign keys, which hold by construction."""
    options = "-c session_replication_role=replica -c timezone=UTC -c synchronous_commit=off"
    return psycopg.connect(libpq_url(url), options=options, application_name="pricetag lab")
