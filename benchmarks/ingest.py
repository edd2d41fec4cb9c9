"""What a lab's readings and event streams cost: batches by time, PostgreSQL and server by CPU.

``python -m benchmarks.ingest [--nodes 8] [--attempts 8] [--devices 8] [--streams 200]
[--seconds 60]``

Server and database are real processes on a folder of their own. Each node is a process that
reads its devices once a second into journals and ships these as a worker does; nothing runs
there beside that. Streams are followed over HTTP by one more process. Defaults are 8 nodes with
64 devices each. CPU is the time that processes used, in percent of one core.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from app import embedded_postgres
from app.db import Database
from app.repositories import projects, runs
from app.services import execution
from models import Run
from pricetag.metering.journal import Journal
from tests.support.service import Service, service
from workers.attempt.shipper import Shipper

WARM_UP_S = 5.0
WATTS = 400.0
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


class Node:
    """One simulated machine: attempts with devices, a journal and a shipper each.

    Args:
        database: Engine of this process.
        folder: Folder of the journals.
        name: Name of the node.
        devices: Number of devices of each attempt.
    """

    def __init__(self, database: Database, folder: Path, name: str, devices: int) -> None:
        self._database = database
        self._folder = folder
        self._name = name
        self._ids = [f"gpu:{name}-{number}" for number in range(devices)]
        self.runs: list[UUID] = []
        self.batches_s: list[tuple[float, float]] = []  # when it was stored, how long that took

    async def begin(self) -> UUID:
        """A run that this node has claimed; its attempt."""
        async with self._database.session_scope() as session:
            project_id = await projects.ensure_project(session, f"ingest on {self._name}")
            experiment_id = await projects.ensure_experiment(session, project_id, "readings")
            run = Run(
                id=uuid4(),
                project_id=project_id,
                experiment_id=experiment_id,
                name="readings",
                kind="train",
                recipe={"stages": [{"kind": "train"}]},
            )
            await runs.add(session, run)
            claim = await execution.claim(
                session, run.id, worker=self._name, node_name=self._name, devices=[]
            )
        assert claim is not None
        self.runs.append(run.id)
        return claim.attempt_id

    async def attempt(self, attempt_id: UUID, seconds: float, phase_s: float) -> None:
        """Reads and ships for some time, then ends."""
        journal = Journal.create(self._folder, attempt_id)
        shipper = Shipper(journal, attempt_id, self._ingest)
        shipping = asyncio.create_task(shipper.run())
        began_s = time.monotonic()
        components = [
            {"id": id_, "kind": "gpu", "name": "GPU", "method": "counter", "gain_std_ratio": 0.05}
            for id_ in self._ids
        ]
        start = {"attempt_id": str(attempt_id), "devices": [], "components": components}
        journal.append({"type": "start", "t_s": 0.0, "at": _now(), **start})
        await asyncio.sleep(phase_s)
        while (t_s := time.monotonic() - began_s) < seconds:
            journal.append_all(self._records(t_s))
            await asyncio.sleep(1.0 - (time.monotonic() - began_s - phase_s) % 1.0)
        journal.append({"type": "end", "t_s": t_s, "at": _now(), "status": "succeeded"})
        shipper.finish()
        await shipping
        journal.close()

    def _records(self, t_s: float) -> list[dict[str, Any]]:
        stamp = {"t_s": t_s, "at": _now()}
        energy = {"counter_j": 1e6 + WATTS * t_s, "integrated_j": WATTS * t_s, "power_w": WATTS}
        readings = [
            {"type": "reading", **stamp, "component": id_, **energy, "flags": []}
            for id_ in self._ids
        ]
        progress = {"kind": "train", "name": "train", "done": t_s, "total": 1e4, "unit": "steps"}
        return [*readings, {"type": "progress", **stamp, "key": "0", **progress}]

    async def _ingest(self, attempt_id: UUID, records: list[dict[str, Any]]) -> int:
        began_s = time.monotonic()
        async with self._database.session_scope() as session:
            watermark = await execution.ingest(session, attempt_id, records)
        self.batches_s.append((began_s, time.monotonic() - began_s))
        return watermark


def _now() -> str:
    return datetime.now(UTC).isoformat()


async def run_node(folder: Path, name: str, attempts: int, devices: int, seconds: float) -> None:
    """One node process; prints its runs once they have begun, then its batches."""
    database = Database(embedded_postgres.ensure(folder), pool_size=attempts)
    journals = folder / "journals" / name
    node = Node(database, journals, name, devices)
    phases = [number / attempts for number in range(attempts)]
    begun = [await node.begin() for _ in phases]
    print(json.dumps([str(run_id) for run_id in node.runs]), flush=True)
    began_s = time.monotonic()
    await asyncio.gather(
        *(node.attempt(id_, seconds, phase_s) for id_, phase_s in zip(begun, phases, strict=True))
    )
    await database.dispose()
    steady = [took_s for at_s, took_s in node.batches_s if at_s - began_s > WARM_UP_S]
    print(json.dumps(steady), flush=True)


async def follow(url: str, token: str, runs: Sequence[str], streams: int, seconds: float) -> int:
    """Follows runs over HTTP for some time; the number of events that came."""
    counts = [0] * streams
    address = urlsplit(url)

    async def one(number: int) -> None:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        path = f"/v1/runs/{runs[number % len(runs)]}/events"
        head = f"GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n"
        writer.write(head.encode())
        try:
            while chunk := await reader.read(65536):
                counts[number] += chunk.count(b"data:")
        finally:
            writer.close()

    tasks = [asyncio.create_task(one(number)) for number in range(streams)]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks, return_exceptions=True)
    return sum(counts)


def cpu_s(pid: int) -> float:
    """CPU time of a process and of those of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(value) for value in fields[11:15]) / CLOCK_TICKS


def cpu_of_tree_s(pid: int) -> float:
    """The same with its living children."""
    total_s = cpu_s(pid)
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            total_s += cpu_s(int(child))
    return total_s


def measure(running: Service, given: argparse.Namespace) -> None:
    """Runs nodes and streams on a service, and prints what they cost."""
    server = running.processes[0].pid
    postgres = embedded_postgres.server_pid(running.data_dir)
    assert postgres is not None
    token = str(running.http.headers["Authorization"]).removeprefix("Bearer ")
    seconds = given.seconds + WARM_UP_S
    command = [sys.executable, "-m", "benchmarks.ingest", "--data", str(running.data_dir)]
    command += ["--attempts", str(given.attempts), "--devices", str(given.devices)]
    command += ["--seconds", str(seconds)]
    nodes = [
        subprocess.Popen([*command, "--node", f"node-{n}"], stdout=subprocess.PIPE, text=True)
        for n in range(given.nodes)
    ]
    run_ids = [run_id for node in nodes for run_id in json.loads(_line(node))]
    followers = None
    if given.streams:
        follow_command = [*command, "--follow", str(running.http.base_url), "--runs", *run_ids]
        followers = subprocess.Popen(
            [*follow_command, "--streams", str(given.streams)],
            env={**os.environ, "BENCH_TOKEN": token},
            stdout=subprocess.PIPE,
            text=True,
        )
    time.sleep(WARM_UP_S)
    before = (time.monotonic(), cpu_s(server), cpu_of_tree_s(postgres))
    time.sleep(given.seconds - 2.0)
    after = (time.monotonic(), cpu_s(server), cpu_of_tree_s(postgres))
    batches_s = [took_s for node in nodes for took_s in json.loads(_line(node))]
    wall_s, server_s, postgres_s = (b - a for a, b in zip(before, after, strict=True))
    per_second = given.nodes * given.attempts * given.devices
    print(f"{per_second} readings a second from {given.nodes * given.attempts} attempts")
    cuts = quantiles(batches_s, n=100, method="inclusive")
    print(f"  {len(batches_s)} batches: p50 {median(batches_s) * 1e3:.0f} ms,", end=" ")
    print(f"p95 {cuts[94] * 1e3:.0f} ms, p99 {cuts[98] * 1e3:.0f} ms")
    print(f"  PostgreSQL: {100 * postgres_s / wall_s:.0f}% of a core")
    print(f"  server with {given.streams} streams: {100 * server_s / wall_s:.0f}% of a core")
    if followers is not None:
        print(f"  {_line(followers).strip()} events sent")
    for process in [*nodes, *([followers] if followers else [])]:
        process.terminate()  # it has said all it had to say
        process.wait(timeout=10)


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "a process of the benchmark ended early"
    return line


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure ingest and event streams.")
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--attempts", type=int, default=8, help="attempts on each node")
    parser.add_argument("--devices", type=int, default=8, help="devices of each attempt")
    parser.add_argument("--streams", type=int, default=200, help="event streams that are followed")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--node", help=argparse.SUPPRESS)
    parser.add_argument("--follow", help=argparse.SUPPRESS)
    parser.add_argument("--runs", nargs="*", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.node:
        asyncio.run(run_node(given.data, given.node, given.attempts, given.devices, given.seconds))
    elif given.follow:
        token = os.environ["BENCH_TOKEN"]
        events = follow(given.follow, token, given.runs, given.streams, given.seconds - WARM_UP_S)
        print(asyncio.run(events), flush=True)
    else:
        with tempfile.TemporaryDirectory(prefix="pricetag-bench-") as name:
            data_dir = Path(name) / "data"
            data_dir.mkdir()
            with service(data_dir) as running:
                measure(running, given)


if __name__ == "__main__":
    main()
