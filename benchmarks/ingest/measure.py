"""Runs nodes and streams on their own service, in three phases, and sums up their cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import quantiles

from app import embedded_postgres
from benchmarks.ingest import cpu
from tests.support.service import Service

WARM_UP_S = 5.0
IDLE_RUNS = 8
MOST_BATCH_MS = 100.0
MOST_POSTGRES_PERCENT = 30.0
MOST_SERVER_PERCENT = 10.0
COMMAND = {"kind": "command", "argv": ["/bin/true"]}


@dataclass(frozen=True)
class Load:
    """How much is offered: nodes, attempts of each, devices of each attempt, streams."""

    nodes: int = 8
    attempts: int = 8
    devices: int = 8
    streams: int = 200
    seconds: float = 20.0

    @property
    def readings_per_s(self) -> int:
        return self.nodes * self.attempts * self.devices


@dataclass(frozen=True)
class Figure:
    """One measured value, with its goal if it has one.

    Attributes:
        name: What was measured.
        value: In ``unit``.
        goal: The most that it may be.
        others: Cores that other programs of the machine used at the same time.
    """

    name: str
    value: float
    unit: str
    others: float
    goal: float | None = None

    @property
    def is_over(self) -> bool:
        return self.goal is not None and self.value > self.goal

    def __str__(self) -> str:
        goal = "" if self.goal is None else f"  goal {self.goal:g}"
        mark = "!" if self.is_over else " "
        value = f"{self.value:8.1f} {self.unit}"
        return f"{mark} {self.name:<52} {value:<24} others {self.others:.2f} cores{goal}"


@dataclass(frozen=True)
class Span:
    """What was used in a span of time.

    Attributes:
        begin_s: When it began, on the machine's own clock.
        seconds: Its length.
        used: Cores used by each group of processes.
        events: Events that came to the readers.
    """

    begin_s: float
    seconds: float
    used: Mapping[str, float]
    events: int

    def figure(self, name: str, value: float, unit: str, goal: float | None = None) -> Figure:
        return Figure(name, value, unit, self.used["others"], goal)

    def percent(self, name: str, group: str, goal: float | None = None) -> Figure:
        return self.figure(name, 100 * self.used[group], "% of a core", goal)

    def per(self, name: str, group: str, count: int) -> Figure:
        return self.figure(name, 1e3 * self.used[group] * self.seconds / max(count, 1), "ms of CPU")


class Bench:
    """One service with its nodes and readers.

    Args:
        running: The service.
        load: What is offered to it.
    """

    def __init__(self, running: Service, load: Load) -> None:
        self._running = running
        self._load = load
        postgres = embedded_postgres.server_pid(running.data_dir)
        assert postgres is not None
        self._groups: dict[str, list[int]] = {
            "server": [running.processes[0].pid],
            "postgres": [postgres],
            "nodes": [],
            "readers": [],
        }
        self._children = ExitStack()

    def figures(self) -> Iterator[Figure]:
        """Streams without events, then readings, then both."""
        streams = f"{self._load.streams} streams"
        with self._children:
            with self._queued() as run_ids, self._readers(run_ids) as readers:
                idle = self._watch(readers)
            yield idle.percent(f"server, {streams} of queued runs", "server", MOST_SERVER_PERCENT)
            yield idle.percent(f"PostgreSQL, {streams} of queued runs", "postgres")
            nodes = [self._node(number) for number in range(self._load.nodes)]
            run_ids = [run_id for node in nodes for run_id in json.loads(_line(node))]
            alone = self._watch()
            with self._readers(run_ids) as readers:
                both = self._watch(readers)
            for node in nodes:
                _close(node)
            batches = [tuple(batch) for node in nodes for batch in json.loads(_line(node))]
        yield from self._ingest("readings", alone, batches)
        yield from self._ingest(f"readings, {streams}", both, batches)
        yield both.percent(f"server, {streams} of running runs", "server", MOST_SERVER_PERCENT)
        yield both.figure("events delivered", both.events / both.seconds, "a second")

    def _ingest(
        self, title: str, span: Span, batches: Sequence[tuple[float, float, int]]
    ) -> Iterator[Figure]:
        end_s = span.begin_s + span.seconds
        own = [batch for batch in batches if span.begin_s <= batch[0] < end_s]
        times_ms = [1e3 * took_s for _, took_s, _ in own]
        p50_ms, p95_ms = (quantiles(times_ms, n=100, method="inclusive")[n] for n in (49, 94))
        readings = sum(count for *_, count in own) * self._load.devices / (self._load.devices + 1)
        yield span.figure(f"{title}: stored", readings / span.seconds, "a second")
        yield span.figure(f"{title}: batches", len(own) / span.seconds, "a second")
        yield span.figure(f"{title}: p50 of a batch", p50_ms, "ms")
        yield span.figure(f"{title}: p95 of a batch", p95_ms, "ms", MOST_BATCH_MS)
        yield span.percent(f"{title}: PostgreSQL", "postgres", MOST_POSTGRES_PERCENT)
        yield span.per(f"{title}: PostgreSQL, a batch", "postgres", len(own))
        yield span.percent(f"{title}: all nodes", "nodes")
        yield span.per(f"{title}: nodes, a batch", "nodes", len(own))

    def _watch(self, readers: subprocess.Popen[str] | None = None) -> Span:
        time.sleep(WARM_UP_S)
        events_before = _events(readers)
        before = cpu.now(self._groups)
        time.sleep(self._load.seconds)
        after = cpu.now(self._groups)
        events = _events(readers) - events_before
        return Span(before.at_s, after.at_s - before.at_s, after.since(before), events)

    @contextmanager
    def _queued(self) -> Iterator[list[str]]:
        """Runs that nobody takes."""
        recipe = {"stages": [COMMAND]}
        run_ids = [str(self._running.submit(recipe=recipe)) for _ in range(IDLE_RUNS)]
        yield run_ids
        for run_id in run_ids:
            self._running.http.post(f"/v1/runs/{run_id}/cancel").raise_for_status()

    def _node(self, number: int) -> subprocess.Popen[str]:
        url = embedded_postgres.Cluster(self._running.data_dir).url()
        where = ["--url", url, "--folder", str(self._running.data_dir / "journals")]
        load = ["--attempts", str(self._load.attempts), "--devices", str(self._load.devices)]
        return self._child("nodes", ["--node", f"node-{number}", *where, *load])

    @contextmanager
    def _readers(self, run_ids: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
        child = self._child(
            "readers",
            ["--follow", str(self._running.http.base_url)],
            ["--streams", str(self._load.streams), "--runs", *run_ids],
        )
        assert _line(child) == "open\n"
        yield child
        self._groups["readers"].clear()
        _end(child)

    def _child(self, group: str, *arguments: Sequence[str]) -> subprocess.Popen[str]:
        token = str(self._running.http.headers["Authorization"]).removeprefix("Bearer ")
        child = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.ingest", *chain.from_iterable(arguments)],
            env={**os.environ, "BENCH_TOKEN": token},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._children.callback(_end, child)
        self._groups[group].append(child.pid)
        return child


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "a process of the benchmark ended early"
    return line


def _events(readers: subprocess.Popen[str] | None) -> int:
    if readers is None:
        return 0
    assert readers.stdin is not None
    readers.stdin.write("\n")
    readers.stdin.flush()
    return int(_line(readers))


def _close(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.close()


def _end(process: subprocess.Popen[str]) -> None:
    _close(process)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def write_json(path: Path, figures: Sequence[Figure]) -> None:
    """The figures as JSON."""
    rows = [{**vars(figure), "is_over": figure.is_over} for figure in figures]
    path.write_text(json.dumps(rows, indent=1) + "\n")
