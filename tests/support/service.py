"""Server and workers as real processes, on a data folder of their own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import httpx

from app import embedded_postgres
from tests.support.patience import PATIENCE_S
from tests.support.prepared import Prepared

ROOT = Path(__file__).parents[2]
PRICETAG = os.environ.get("PRICETAG_BIN") or str(Path(sys.executable).with_name("pricetag"))
FINAL = ("succeeded", "failed", "cancelled")
ASKED_EVERY_S = 0.3
"""More often, the answers of the server would take the time of what is waited for."""


T = TypeVar("T")


def wait_until(
    probe: Callable[[], T | None], what: str, *, timeout_s: float = 180.0, every_s: float = 0.05
) -> T:
    """The first answer of ``probe`` that is neither None nor False."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        if result := probe():
            return result
        time.sleep(every_s)
    raise AssertionError(f"{what} did not happen within {timeout_s:g} s")


@dataclass
class Service:
    """A running service; ``http`` speaks to it as its first administrator."""

    data_dir: Path
    environment: dict[str, str]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=PATIENCE_S))
    server: subprocess.Popen[bytes] = field(init=False)

    @property
    def inputs(self) -> Path:
        """The data root of its workers."""
        return Path(self.environment["PRICETAG_DATA_ROOTS"])

    def spawn(
        self, *arguments: str, log: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """A ``pricetag`` process in its own group; its output goes to a log file."""
        with (self.data_dir / f"{log}.log").open("ab") as out:
            process = subprocess.Popen(
                [PRICETAG, *arguments],
                cwd=ROOT,
                env={**self.environment, **(environment or {})},
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def start_server(self) -> subprocess.Popen[bytes]:
        address = self.data_dir / "server.json"
        address.unlink(missing_ok=True)
        process = self.server = self.spawn("serve", "--port", "0", log="server")

        def url() -> str | None:
            assert process.poll() is None, self.log("server")
            with contextlib.suppress(OSError, ValueError, KeyError):
                return str(json.loads(address.read_text())["url"])
            return None

        self.http.base_url = wait_until(url, "the server's start")
        wait_until(self._ready, "the server's readiness")
        return process

    def _ready(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return self.http.get("/readyz").status_code == 200
        return False

    def authorize(self) -> None:
        made = self.cli("token", "create", "--name", "test", "--role", "admin", "--json")
        assert made.returncode == 0, made.stderr
        self.act_as(json.loads(made.stdout)["secret"])

    def act_as(self, secret: str) -> None:
        """Speaks to the server with another token."""
        self.http.headers["Authorization"] = f"Bearer {secret}"

    def new_token(self, role: str) -> str:
        response = self.http.post("/v1/tokens", json={"name": f"test {role}", "role": role})
        assert response.status_code == 201, response.text
        return str(response.json()["secret"])

    def cli(
        self,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        timeout_s: float = 180.0,
    ) -> subprocess.CompletedProcess[str]:
        """A ``pricetag`` command, run to its end."""
        return subprocess.run(
            [PRICETAG, *arguments],
            cwd=ROOT,
            env={**self.environment, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def start_worker(
        self,
        *options: str,
        log: str = "worker",
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        worker = self.spawn("worker", *options, log=log, environment=environment)
        self.workers.append(worker)
        return worker

    def stop_workers(self) -> None:
        """Ends the workers that were started."""
        _end(self.workers)
        self.workers.clear()

    def log(self, name: str) -> str:
        return (self.data_dir / f"{name}.log").read_text(errors="replace")

    def submit(self, **body: Any) -> UUID:
        body = {"project": "e2e", "experiment": "e2e", "name": "run", **body}
        response = self.http.post("/v1/runs", json=body)
        assert response.status_code == 202, response.text
        return UUID(response.json()["id"])

    def run(self, run_id: UUID) -> dict[str, Any]:
        response = self.http.get(f"/v1/runs/{run_id}")
        assert response.status_code == 200, response.text
        return dict(response.json())

    def wait_for_status(
        self, run_id: UUID, *statuses: str, timeout_s: float = 300.0
    ) -> dict[str, Any]:
        def reached() -> dict[str, Any] | None:
            with contextlib.suppress(httpx.TransportError, AssertionError):
                run = self.run(run_id)
                return run if run["status"] in statuses else None
            return None

        return wait_until(
            reached, f"status {statuses} of {run_id}", timeout_s=timeout_s, every_s=ASKED_EVERY_S
        )

    def wait_for_end(self, run_id: UUID, *, timeout_s: float = 300.0) -> dict[str, Any]:
        return self.wait_for_status(run_id, *FINAL, timeout_s=timeout_s)

    def price_tag(self, run_id: UUID) -> dict[str, Any]:
        response = self.http.get(f"/v1/runs/{run_id}/price-tag")
        assert response.status_code == 200, response.text
        return dict(response.json())

    def items(self, path: str, **params: Any) -> list[dict[str, Any]]:
        """Everything that a list of the API holds, page after page."""
        listed: list[dict[str, Any]] = []
        while True:
            response = self.http.get(path, params=params)
            assert response.status_code == 200, response.text
            page = response.json()
            listed += page["items"]
            if page.get("next_cursor") is None:
                return listed
            params["cursor"] = page["next_cursor"]

    def log_text(self, run_id: UUID) -> str:
        response = self.http.get(f"/v1/runs/{run_id}/logs", params={"limit": 5000})
        assert response.status_code == 200, response.text
        return "\n".join(item["text"] for item in response.json()["items"])

    def journals(self, run_id: UUID) -> list[list[dict[str, Any]]]:
        """The journals of a run's attempts that lie in the data folder, in order."""
        journal_records = []
        for path in (self.data_dir / "journal").glob("*.jsonl*"):
            records = [json.loads(line) for line in path.read_bytes().splitlines()]
            if records and records[0].get("run_id") == str(run_id):
                journal_records.append(records)
        return sorted(journal_records, key=lambda records: int(records[0]["attempt_number"]))

    def child_pids(self) -> list[int]:
        """The processes of the jobs that run now."""
        pids = []
        for note in (self.data_dir / "journal").glob("*.child.json"):
            with contextlib.suppress(OSError, ValueError):
                pids.append(int(json.loads(note.read_text())["pid"]))
        return pids

    def child_pid(self) -> int | None:
        """The process of the one job that runs now."""
        return next(iter(self.child_pids()), None)

    def close(self) -> None:
        self.http.close()
        _end(self.processes)
        for pid in self.child_pids():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        embedded_postgres.stop(self.data_dir)


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    """Ends processes and their groups; one that does not stop is killed."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
    for process in processes:
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def service(data_dir: Path, **settings: str) -> Iterator[Service]:
    """A server on a free port, without workers; everything ends with the block."""
    running = Service(data_dir, _environment(data_dir, settings))
    try:
        running.start_server()
        running.authorize()
        yield running
    finally:
        running.close()


@contextmanager
def prepared_service(start: Prepared, data_dir: Path, **settings: str) -> Iterator[Service]:
    """As ``service``, on a copy of a prepared database, in a fraction of the time."""
    start.copy_to(data_dir)
    running = Service(data_dir, _environment(data_dir, settings))
    running.act_as(start.secret)
    try:
        running.start_server()
        yield running
    finally:
        running.close()


@contextmanager
def servers(count: int, folder: Path, **settings: str) -> Iterator[list[Service]]:
    """Servers on one database, each with a data folder and a free port of its own."""
    places = [folder / f"server-{number}" for number in range(count)]
    running = [Service(place, _environment(place, settings)) for place in places]
    for place in places:
        place.mkdir()
    try:
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(Service.start_server, running))
        yield running
    finally:
        for one in running:
            one.close()


def _environment(data_dir: Path, settings: Mapping[str, str]) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PRICETAG_")}
    return {
        **kept,
        "PRICETAG_DATA_DIR": str(data_dir),
        "PRICETAG_HOST": "127.0.0.1",
        "PRICETAG_STOP_GRACE_S": "15",
        "OMP_NUM_THREADS": "1",  # networks of a few neurons only lose by threads
        # Nothing is hidden from the programs of tests.
        **({"PRICETAG_JOB_USER": "root"} if os.geteuid() == 0 else {}),
        **{f"PRICETAG_{name.upper()}": value for name, value in settings.items()},
    }
