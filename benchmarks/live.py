"""What open readers of the live stream cost the server.

``python -m benchmarks.live [--readers 200] [--nodes 8] [--devices 8] [--seconds 30]``

A real server and database; invented nodes send 10 samples a second of each device, in batches of
a second, as workers do. Readers are plain connections in another process. Printed: the server's
CPU time with and without readers, its memory for each reader, and how old samples are when they
arrive.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import quantiles
from urllib.parse import urlsplit

from app.db import Database, resolve_database_url
from app.services.live import live_power
from app.settings import Settings
from benchmarks.ingest import cpu
from tests.support.service import Service, service

SETTLE_S = 5.0


@dataclass(frozen=True)
class Cost:
    """Use of the server over some seconds."""

    cores: float
    memory_kb: int


def memory_kb(pid: int) -> int:
    """Resident memory of a process, in kB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise ValueError(f"process {pid} has no memory of its own")


async def send(database: Database, nodes: int, devices: int, seconds: float) -> None:
    """Sends what the meters of some nodes sample, second by second."""
    until_s = time.time() + seconds
    while time.time() < until_s:
        second = int(time.time()) - 1
        for node in range(nodes):
            rows = [
                {
                    "id": f"gpu:GPU-{node:04}-{n:04}-5f3c-8a5e-4b1d2c3e4f5a",
                    "kind": "gpu",
                    "name": "NVIDIA H200",
                    "limit_w": 700,
                    "w": [300 + (second * 7 + n * 13 + sample * 3) % 400 for sample in range(10)],
                }
                for n in range(devices)
            ]
            batch = {"node": f"node-{node:02}", "t0": second * 1000, "dt_ms": 100}
            async with database.session_scope() as session:
                await live_power.send(session, json.dumps({**batch, "components": rows}))
        await asyncio.sleep(1.0 - time.time() % 1.0 + 0.1)


async def read(url: str, token: str, ages_s: list[float]) -> None:
    """One reader: a connection that is read as fast as it comes."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    request = (
        "GET /v1/stream?topics=power,runs,queue,budgets HTTP/1.1\r\n"
        f"Host: {address.netloc}\r\nAuthorization: Bearer {token}\r\n\r\n"
    )
    writer.write(request.encode())
    opened_s = time.time()
    while line := await reader.readline():
        if line.startswith(b'data: {"t0":') and time.time() - opened_s > SETTLE_S:
            t0 = int(line[12:25])
            ages_s.append(time.time() - t0 / 1000)


def readers(url: str, token: str, count: int, pipe: Connection) -> None:
    """Some readers, until the pipe says to stop; sends the ages of samples back."""
    ages_s: list[float] = []

    async def all_of_them() -> None:
        tasks = [asyncio.create_task(read(url, token, ages_s)) for _ in range(count)]
        while not pipe.poll():
            await asyncio.sleep(0.2)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    asyncio.run(all_of_them())
    pipe.send(ages_s)


def feeder(data_dir: str, nodes: int, devices: int, pipe: Connection) -> None:
    """Sends what some nodes sample, until the pipe says to stop."""

    async def until_told() -> None:
        database = Database(resolve_database_url(Settings(data_dir=Path(data_dir))))
        while not pipe.poll():
            await send(database, nodes, devices, 1.0)
        await database.dispose()

    asyncio.run(until_told())


def measured(pid: int, seconds: float) -> Cost:
    """Cost of the server over some seconds."""
    time.sleep(SETTLE_S)
    before = cpu.now({"server": [pid]})
    time.sleep(seconds)
    return Cost(cpu.now({"server": [pid]}).since(before)["server"], memory_kb(pid))


@contextmanager
def beside(target: Callable[..., None], *arguments: object) -> Iterator[Connection]:
    """Another process, which ends when the pipe to it says so."""
    ours, theirs = multiprocessing.Pipe()
    spawned = multiprocessing.get_context("spawn")
    child = spawned.Process(target=target, args=(*arguments, theirs))
    child.start()
    try:
        yield ours
    finally:
        ours.send(None)
        child.join()


def run(running: Service, options: argparse.Namespace) -> tuple[Cost, Cost, Sequence[float]]:
    """The server without and with readers, and the ages of samples at arrival, in s."""
    secret = running.http.headers["Authorization"].removeprefix("Bearer ")
    url, pid = str(running.http.base_url), running.server.pid
    with beside(feeder, str(running.data_dir), options.nodes, options.devices):
        alone = measured(pid, options.seconds)
        with beside(readers, url, secret, options.readers) as pipe:
            followed = measured(pid, options.seconds)
        ages_s: list[float] = pipe.recv()
    return alone, followed, ages_s


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what readers of the live stream cost.")
    parser.add_argument("--readers", type=int, default=200)
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--devices", type=int, default=8, help="of each node")
    parser.add_argument("--seconds", type=float, default=30.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pricetag-bench-") as name:
        data_dir = Path(name) / "data"
        data_dir.mkdir()
        with service(data_dir) as running:
            alone, followed, ages_s = run(running, options)
    cuts = quantiles(ages_s, n=100, method="inclusive")
    each_kb = (followed.memory_kb - alone.memory_kb) / options.readers
    print(f"{options.readers} readers, {options.nodes} x {options.devices} devices at 10 Hz")
    print(f"  server without readers   {alone.cores:6.1%} of a core, {alone.memory_kb} kB")
    print(f"  server with readers      {followed.cores:6.1%} of a core, {followed.memory_kb} kB")
    print(f"  readers alone            {followed.cores - alone.cores:6.1%} of a core")
    print(f"  memory of each reader    {each_kb:6.0f} kB")
    print(f"  age of a frame's first sample at arrival: p50 {cuts[49]:.2f} s, p95 {cuts[94]:.2f} s")


if __name__ == "__main__":
    main()
