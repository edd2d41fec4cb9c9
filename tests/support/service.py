"""Server and workers as real processes, on a data folder of their own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import httpx

from app import embedded_postgres

ROOT = Path(__file__).parents[2]
PRICETAG = os.environ.get("PRICETAG_BIN") or str(Path(sys.executable).with_name("pricetag"))
FINAL = ("succeeded", "failed", "cancelled")


T = TypeVar("T")


def wait_until(
    probe: Callable[[], T | None], what: str, *, timeout_s: float = 60.0, every_s: float = 0.05
) -> T:
    """The first answer of ``probe`` that is neither None nor False."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        if answer := probe():
            return answer
        time.sleep(every_s)
    raise AssertionError(f"{what} did not happen within {timeout_s:g} s")


@dataclass
class Service:
    """A running service; ``http`` speaks to it as its first administrator."""

    data_dir: Path
    environment: dict[str, str]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    http: httpx.Client = field(default_factory=httpx.Client)

    def spawn(self, *arguments: str, log: str) -> subprocess.Popen[bytes]:
        """A ``pricetag`` process in a group of its own; its output goes to a log file."""
        with (self.data_dir / f"{log}.log").open("ab") as out:
            process = subprocess.Popen(
                [PRICETAG, *arguments],
                cwd=ROOT,
                env=self.environment,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def start_server(self) -> subprocess.Popen[bytes]:
        address = self.data_dir / "server.json"
        address.unlink(missing_ok=True)
        process = self.spawn("serve", "--port", "0", log="server")

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
        made = subprocess.run(
            [PRICETAG, "token", "create", "--name", "test", "--role", "admin", "--json"],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        secret = json.loads(made.stdout)["secret"]
        self.http.headers["Authorization"] = f"Bearer {secret}"

    def start_worker(self, *options: str, log: str = "worker") -> subprocess.Popen[bytes]:
        return self.spawn("worker", *options, log=log)

    def log(self, name: str) -> str:
        return (self.data_dir / f"{name}.log").read_text(errors="replace")

    def submit(self, **body: Any) -> UUID:
        body = {"project": "e2e", "experiment": "e2e", "name": "run", **body}
        answer = self.http.post("/v1/runs", json=body)
        assert answer.status_code == 202, answer.text
        return UUID(answer.json()["id"])

    def run(self, run_id: UUID) -> dict[str, Any]:
        answer = self.http.get(f"/v1/runs/{run_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def wait_for_status(
        self, run_id: UUID, *statuses: str, timeout_s: float = 120.0
    ) -> dict[str, Any]:
        def reached() -> dict[str, Any] | None:
            with contextlib.suppress(httpx.TransportError, AssertionError):
                run = self.run(run_id)
                return run if run["status"] in statuses else None
            return None

        return wait_until(reached, f"status {statuses} of {run_id}", timeout_s=timeout_s)

    def wait_for_end(self, run_id: UUID, *, timeout_s: float = 180.0) -> dict[str, Any]:
        return self.wait_for_status(run_id, *FINAL, timeout_s=timeout_s)

    def price_tag(self, run_id: UUID) -> dict[str, Any]:
        answer = self.http.get(f"/v1/runs/{run_id}/price-tag")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def child_pid(self) -> int | None:
        """The process of the one job that runs now."""
        for note in (self.data_dir / "journal").glob("*.child.json"):
            with contextlib.suppress(OSError, ValueError):
                return int(json.loads(note.read_text())["pid"])
        return None

    def close(self) -> None:
        self.http.close()
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if (pid := self.child_pid()) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        embedded_postgres.stop(self.data_dir)


@contextmanager
def service(data_dir: Path, **settings: str) -> Iterator[Service]:
    """A server on a free port, without workers; everything ends with the block."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PRICETAG_")}
    environment = {
        **kept,
        "PRICETAG_DATA_DIR": str(data_dir),
        "PRICETAG_HOST": "127.0.0.1",
        "PRICETAG_STOP_GRACE_S": "15",
        **{f"PRICETAG_{name.upper()}": value for name, value in settings.items()},
    }
    running = Service(data_dir, environment)
    try:
        running.start_server()
        running.authorize()
        yield running
    finally:
        running.close()
