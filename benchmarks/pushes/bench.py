"""A server and clients that may be killed, and local runs for them to push."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app import serving
from pricetag.local.runs import LocalRun, read_run, write_result
from pricetag.metering.journal import Journal

SITE = {"site": "default", "currency": "USD"}
BASE_W, SWING_W = 100.0, 50.0


def plant(folder: Path, seconds: int) -> LocalRun:
    """A settled local run of some seconds on two counted components, whose power changes."""
    run_id, attempt_id = str(uuid.uuid4()), str(uuid.uuid4())
    journal = Journal.create(folder / run_id, attempt_id)
    at = datetime.now(UTC).isoformat()
    components = [
        {
            "id": f"rapl:{number}",
            "kind": "cpu",
            "name": "CPU",
            "method": "counter",
            "gain_std_ratio": 0.02,
            "power_limit_w": None,
        }
        for number in range(2)
    ]
    start = {
        "type": "start",
        "t_s": 0.0,
        "at": at,
        "run_id": run_id,
        "attempt_id": attempt_id,
        "attempt_number": 1,
        "worker": "local",
        "node_name": "bench",
        "devices": [],
        "components": components,
        "shares_overlaps": True,
        "run": {
            "name": run_id[:8],
            "kind": "program",
            "origin": "local",
            "project": "pushes",
            "experiment": "kills",
            "tags": [],
            "command": ["true"],
        },
        "factors": SITE,
    }
    records: list[dict[str, Any]] = [start]
    counters = [0.0, 0.0]
    for second in range(seconds + 1):
        for number in range(2):
            power_w = BASE_W + SWING_W * math.sin(second / 7 + number)
            counters[number] += power_w if second else 0.0
            records.append(
                {
                    "type": "reading",
                    "t_s": float(second),
                    "at": at,
                    "component": f"rapl:{number}",
                    "counter_j": counters[number],
                    "integrated_j": None,
                    "power_w": power_w,
                    "flags": [],
                }
            )
    end = {"type": "end", "t_s": float(seconds), "at": at, "status": "succeeded", "reason": None}
    journal.append_all([*records, end])
    write_result(folder / run_id, journal)
    journal.close()
    run = read_run(folder / run_id)
    assert run is not None
    return run


def energy_j(tag: Mapping[str, Any]) -> float:
    """The charged energy of a price tag, in J."""
    return float(tag["it_energy_kwh"]["value"]) * 3.6e6


class Bench:
    """A nursery of servers and clients.

    Args:
        process: The nursery.
        url: Address of the server.
        token: A token for it.
        part_bytes: Size of the parts that clients send.
    """

    def __init__(
        self, process: subprocess.Popen[str], url: str, token: str, part_bytes: int
    ) -> None:
        self._process = process
        self._url = url
        self._token = token
        self._part_bytes = part_bytes
        self.server = 0
        self.server_deaths = 0
        self._ended: dict[str, int] = {}
        self._wait(lambda event: "server" in event)

    def push(self, run: LocalRun, plan: Mapping[str, Any] | None = None) -> int:
        """Starts a client that pushes a run; returns its process ID."""
        name = str(run.run["id"])
        self._ended.pop(name, None)
        self._send(
            {
                "do": "push",
                "name": name,
                "folder": str(run.folder),
                "url": self._url,
                "token": self._token,
                "part_bytes": self._part_bytes,
                "plan": dict(plan or {}),
            }
        )
        event = self._wait(lambda event: event.get("name") == name)
        return int(event["client"])

    def plant_kill(self, plan: Mapping[str, Any]) -> None:
        """Replaces the server by one that dies at a point."""
        before = self.server
        self._send({"do": "plan", "plan": dict(plan)})
        while self.server == before:
            self._read()
        self.server_deaths -= 1  # this one was asked to end

    def kill_server(self) -> None:
        """Kills the server now; the next one starts at once."""
        before = self.server
        os.kill(before, signal.SIGKILL)
        while self.server == before:
            self._read()

    def ended(self, run: LocalRun) -> int:
        """Waits for the client of a run; returns its exit code, negative for a signal."""
        name = str(run.run["id"])
        while name not in self._ended:
            self._read()
        return self._ended[name]

    def _send(self, command: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def _wait(self, is_it: Any) -> dict[str, Any]:
        while not is_it(event := self._read()):
            pass
        return event

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the nursery has ended")
        event: dict[str, Any] = json.loads(line)
        if "server" in event:
            self.server = event["server"]
        elif event.get("ended") == "server":
            self.server_deaths += 1
        elif "ended" in event:
            self._ended[event["ended"]] = event["code"]
        return event


@contextmanager
def opened(
    database_url: str, data_dir: Path, token: str, *, part_bytes: int
) -> Iterator[tuple[Bench, str]]:
    """A nursery on a migrated database, and the address of its server."""
    with serving.bind("127.0.0.1", 0) as listener:
        listener.set_inheritable(True)
        url = serving.url_of(listener, "127.0.0.1")
        with subprocess.Popen(
            [
                *(sys.executable, "-m", "benchmarks.pushes.nursery"),
                *(database_url, str(data_dir), str(listener.fileno())),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[listener.fileno()],
            text=True,
        ) as process:
            try:
                yield Bench(process, url, token, part_bytes), url
            finally:
                assert process.stdin is not None
                process.stdin.close()
