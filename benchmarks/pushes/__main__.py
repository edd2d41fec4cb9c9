"""Kills clients and servers at random while local runs are pushed; then measures the intake.

``python -m benchmarks.pushes --kills 1000`` uses a PostgreSQL of its own, with its usual safety
(``fsync``), in a temporary folder. Figures are printed; the exit code is 1 if energy is missing or
doubled.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from app import embedded_postgres, migrate
from app.db import Database
from app.schemas.tokens import TokenCreate
from app.services.people import tokens
from benchmarks.pushes.bench import Bench, energy_j, opened, plant
from pricetag.client import Client
from pricetag.local.runs import LocalRun

PART_BYTES = 4_000
"""Size of a part, so that a journal of 100 s takes about ten."""

SECONDS = 100
LONGEST_S = 0.4
"""Longest time from the start of a push until a kill."""

SERVER_SHARE = 0.3
BATCH = 20
"""Readings of a batch, as a worker with ten components sends one each two seconds."""

PUSHED_READINGS = 1250
"""Readings in a part of a push (256 kB)."""

JOURNAL_S = 40_000
MOST_TRIES = 50


def main() -> int:
    """Runs both parts; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pushes")
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate-seconds", type=float, default=20.0)
    parser.add_argument("--clients", type=int, default=4)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pricetag-pushes-") as name:
        folder = Path(name)
        url = embedded_postgres.ensure(folder)
        try:
            migrate.upgrade(url)
            token = asyncio.run(_token(url))
            with opened(url, folder, token, part_bytes=PART_BYTES) as (bench, address):
                is_right = kill_at_random(bench, folder, address, token, asked.kills, asked.seed)
                measure(bench, folder, address, token, asked.clients, asked.rate_seconds)
        finally:
            embedded_postgres.stop(folder)
            embedded_postgres.release(folder)
    return 0 if is_right else 1


async def _token(url: str) -> str:
    database = Database(url)
    try:
        async with database.session_scope() as session:
            made = await tokens.create(session, TokenCreate(name="bench", role="member"))
            return made.secret
    finally:
        await database.dispose()


def kill_at_random(bench: Bench, folder: Path, url: str, token: str, kills: int, seed: int) -> bool:
    """Pushes runs under kills; returns whether every joule is on the server once."""
    dice = random.Random(seed)
    began_s = time.monotonic()
    runs: list[LocalRun] = []
    of_clients = of_servers = 0
    while of_clients + of_servers < kills:
        run = plant(folder / "local", SECONDS)
        runs.append(run)
        for _ in range(MOST_TRIES):
            pid = bench.push(run)
            if of_clients + of_servers < kills:
                time.sleep(dice.uniform(0.0, LONGEST_S))
                if dice.random() < SERVER_SHARE:
                    bench.kill_server()
                    of_servers += 1
                elif _killed(pid):
                    of_clients += 1
            if bench.ended(run) == 0:
                break
        else:
            _say(f"run {run.run['id']} was never whole")
            return False
    sent_j, stored_j, wrong = _compared(runs, url, token)
    lost_j, doubled_j = max(sent_j - stored_j, 0.0), max(stored_j - sent_j, 0.0)
    _say(f"{of_clients} kills of clients, {of_servers} of the server, over {len(runs)} runs")
    _say(f"{sent_j:.3f} J metered: {lost_j:.3g} J lost, {doubled_j:.3g} J doubled on the server")
    _say(f"{wrong} runs with another price tag than the local one")
    _say(f"{time.monotonic() - began_s:.0f} s")
    return wrong == 0


def _killed(pid: int) -> bool:
    try:
        os.kill(pid, 9)
    except ProcessLookupError:  # it had ended before
        return False
    return True


def _compared(runs: Sequence[LocalRun], url: str, token: str) -> tuple[float, float, int]:
    """Joules of the local price tags and of the server's, and the number of different ones."""
    sent_j = stored_j = 0.0
    wrong = 0
    with Client(url, token) as client:
        for run in runs:
            assert run.price_tag is not None
            tag = client.price_tag(run.run["id"])
            sent_j += energy_j(run.price_tag)
            stored_j += energy_j(tag)
            same = all(tag[name] == run.price_tag[name] for name in ("it_energy_kwh", "stages"))
            wrong += not (same and tag["version"] == 1)
    return sent_j, stored_j, wrong


def measure(bench: Bench, folder: Path, url: str, token: str, clients: int, seconds: float) -> None:
    """Sends parts from several clients at once: as large as a push has them, and small ones."""
    for size in (PUSHED_READINGS, BATCH):
        before_s = _cpu_s(bench.server), _postgres_s(folder)
        parts = asyncio.run(_sent(url, token, clients, seconds, size))
        server_s = _cpu_s(bench.server) - before_s[0]
        postgres_s = _postgres_s(folder) - before_s[1]
        batches = parts * size / BATCH
        per_core = batches / (server_s + postgres_s)
        _say(f"parts of {size} readings from {clients} clients, {seconds:.0f} s:")
        _say(f"  {batches / seconds:.0f} batches of {BATCH} readings a second on this machine")
        _say(f"  {per_core:.0f} batches a second of CPU time")
        _say(f"  a part: server {server_s / parts * 1e3:.1f} ms, {postgres_s / parts * 1e3:.1f} ms")
    _say(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def _stat(pid: int) -> list[int]:
    """Parent, then user and system time of a process and of the children it waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return [int(fields[1]), *map(int, fields[11:15])]


def _cpu_s(pid: int) -> float:
    return sum(_stat(pid)[1:3]) / os.sysconf("SC_CLK_TCK")


def _postgres_s(folder: Path) -> float:
    """CPU time of the whole cluster in a folder, ended sessions included."""
    (file,) = folder.rglob("postmaster.pid")
    postmaster = int(file.read_text().split()[0])
    ticks = sum(_stat(postmaster)[1:])
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                parent, user, system, *_ = _stat(int(entry.name))
                ticks += user + system if parent == postmaster else 0
    return ticks / os.sysconf("SC_CLK_TCK")


async def _sent(url: str, token: str, clients: int, seconds: float, size: int) -> int:
    with tempfile.TemporaryDirectory() as name:
        journals = [plant(Path(name), JOURNAL_S).journal for _ in range(clients)]
        contents = [(path.stem, path.read_bytes()) for path in journals]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as http:
        until_s = time.monotonic() + seconds
        sent = await asyncio.gather(*(_send(http, *each, until_s, size) for each in contents))
    return sum(sent)


async def _send(
    http: httpx.AsyncClient, attempt_id: str, content: bytes, until_s: float, size: int
) -> int:
    lines = content.splitlines(keepends=True)
    begin_byte = sent = place = 0
    while time.monotonic() < until_s and place < len(lines):
        count = 1 if place == 0 else size
        part = b"".join(lines[place : place + count])
        query: dict[str, Any] = {"attempt_id": attempt_id, "begin_byte": begin_byte}
        answer = await http.post("/v1/intake/journals", params=query, content=part)
        answer.raise_for_status()
        begin_byte += len(part)
        place += count
        sent += 1
    return sent - 1


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
