"""Measures what a record of a CodeCarbon client costs this server.

``python -m benchmarks.codecarbon`` uses a PostgreSQL of its own, with its usual safety (``fsync``),
in a temporary folder. Clients send as CodeCarbon does: a new connection for each record. The CPU
time is that of the server and of PostgreSQL, until every record is accepted, and until every record
is a reading of its run.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from app import embedded_postgres, migrate
from app.db import Database, libpq_url
from app.schemas.tokens import TokenCreate
from app.services.people import tokens
from benchmarks.pushes.bench import opened

PEER_S = 0.235
"""CPU time of a record on CodeCarbon's own server: it hashes the token with bcrypt each time."""

RUN = {
    "timestamp": "2026-03-04T05:06:07.123456+01:00",
    "experiment_id": "bench/codecarbon",
    "os": "Linux-6.1",
    "python_version": "3.11.9",
    "codecarbon_version": "3.3.2",
    "cpu_count": 8,
    "cpu_model": "Intel(R) Xeon(R)",
    "gpu_count": 1,
    "gpu_model": "1 x NVIDIA A100",
    "ram_total_size": 64.0,
    "tracking_mode": "machine",
}
DELTA = {
    "duration": 15,
    "emissions_sum": 0.0012,
    "emissions_rate": 1e-5,
    "cpu_power": 42.5,
    "gpu_power": 180.0,
    "ram_power": 10.0,
    "cpu_energy": 0.000177,
    "gpu_energy": 0.00075,
    "ram_energy": 0.00004,
    "energy_consumed": 0.000967,
    "wue": 0,
}


def main() -> int:
    """Sends the records; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.codecarbon")
    parser.add_argument("--records", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=8)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pricetag-codecarbon-") as name:
        folder = Path(name)
        url = embedded_postgres.ensure(folder)
        try:
            migrate.upgrade(url)
            token = asyncio.run(_token(url))
            with opened(url, folder, token, part_bytes=1000) as (bench, address):
                _wait(address)
                measure(folder, url, address, token, bench.server, asked.records, asked.clients)
        finally:
            embedded_postgres.stop(folder)
            embedded_postgres.release(folder)
    return 0


async def _token(url: str) -> str:
    database = Database(url)
    try:
        async with database.session_scope() as session:
            made = await tokens.create(session, TokenCreate(name="bench", role="ingest"))
            return made.secret
    finally:
        await database.dispose()


def _wait(address: str) -> None:
    while True:
        try:
            if _ask(address, "GET", "/readyz")[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)


def _ask(
    address: str, method: str, path: str, body: Any = None, token: str = ""
) -> tuple[int, Any]:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60)
    headers = {"Content-Type": "application/json", "x-api-token": token}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, json.loads(content) if content.startswith(b"{") else None


def measure(
    folder: Path, url: str, address: str, token: str, server: int, records: int, clients: int
) -> None:
    """Sends records from several clients at once and prints what they cost."""
    each = records // clients
    slowest_s = [0.0] * clients

    def client(number: int) -> None:
        about = RUN | {"timestamp": f"client {number}"}
        status, answer = _ask(address, "POST", "/codecarbon/runs", about, token)
        assert status == 201, answer
        for index in range(each):
            body = DELTA | {"run_id": answer["id"], "timestamp": f"record {index}"}
            began_s = time.monotonic()
            status, reply = _ask(address, "POST", "/codecarbon/emissions", body, token)
            assert status == 201, reply
            slowest_s[number] = max(slowest_s[number], time.monotonic() - began_s)

    before_s, began_s = _used_s(server, folder), time.monotonic()
    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    accepted_s = _used_s(server, folder) - before_s
    lasted_s = time.monotonic() - began_s
    with psycopg.connect(libpq_url(url), autocommit=True) as connection:
        query = "SELECT count(*) FROM codecarbon_records WHERE applied_at IS NULL"
        while (connection.execute(query).fetchone() or (0,))[0]:
            time.sleep(0.5)
    applied_s = _used_s(server, folder) - before_s
    sent = each * clients
    _say(f"{sent} records of {clients} clients in {lasted_s:.1f} s, slowest {max(slowest_s):.2f} s")
    for what, used_s in (("accepted", accepted_s), ("applied to their runs", applied_s)):
        cost_s = used_s / sent
        _say(
            f"{what}: {cost_s * 1000:.2f} ms of a core a record; {PEER_S / cost_s:.0f} times the "
            f"rate of CodeCarbon's server ({PEER_S * 1000:.0f} ms)"
        )
    _say(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def _used_s(server: int, folder: Path) -> float:
    """CPU time of the server and of all processes of its PostgreSQL, with those that ended."""
    postmaster = int((folder / "postgres" / "postmaster.pid").read_text().split()[0])
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    own = [server, postmaster, *map(int, children)]
    return sum(_cpu_s(pid, ended=pid == postmaster) for pid in own)


def _cpu_s(pid: int, *, ended: bool) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended, and its parent has its time
        return 0.0
    ticks = sum(map(int, fields[11:13])) + (sum(map(int, fields[13:15])) if ended else 0)
    return ticks / os.sysconf("SC_CLK_TCK")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
