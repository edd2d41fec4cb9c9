"""`pricetag serve` as a process: its address, its token, and how it ends."""

from __future__ import annotations

import json
import os
import pwd
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from app import embedded_postgres
from app.db import libpq_url
from app.hidden_environment import HANDED_OVER
from app.worker_processes import workers
from pricetag.cli.app import run as pricetag
from pricetag.client import Client
from tests.support.api import run_body
from tests.support.service import wait_until

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "pricetag"]


class Server:
    def __init__(self, data_dir: Path, *options: str) -> None:
        self.data_dir = data_dir
        environment = {**os.environ, "PRICETAG_DATA_DIR": str(data_dir)}
        self.process = subprocess.Popen(
            [*COMMAND, "serve", "--port", "0", *options],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.output = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.output += line

    def ready(self) -> str:
        def url() -> str | None:
            assert self.process.poll() is None, self.output
            match = re.search(r"serves (http://\S+)", self.output)
            return match[1] if match else None

        address = wait_until(url, "the address")

        def answers() -> bool:
            try:
                return httpx.get(f"{address}/readyz").status_code == 200
            except httpx.TransportError:
                return False

        wait_until(answers, "readiness")
        return address

    def stop(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        code = self.process.wait(timeout=120)
        self._reader.join()
        return code


@contextmanager
def server(data_dir: Path, *options: str) -> Iterator[Server]:
    started = Server(data_dir, *options)
    try:
        yield started
    finally:
        if started.process.poll() is None:
            started.process.kill()
        started.process.wait()
        started._reader.join()


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "data"
    yield folder
    embedded_postgres.stop(folder)


@pytest.mark.slow
def test_a_server_starts_serves_and_stops(data_dir: Path) -> None:
    with server(data_dir) as first:
        url = first.ready()
        address = json.loads((data_dir / "server.json").read_text())
        assert address == {"url": url, "pid": first.process.pid}
        shown = Path(f"/proc/{first.process.pid}/environ").read_bytes()
        assert b"PRICETAG_" not in shown.replace(HANDED_OVER.encode(), b"")
        secret = re.search(r"shown only once: (pt_\S+)", first.output)
        assert secret is not None
        events: list[Any] = []
        with Client(url, secret[1]) as client:
            run = client.create_run(run_body())
            with client._http.stream("GET", f"/v1/runs/{run['id']}/events") as stream:
                lines = stream.iter_lines()
                events.append(next(lines))
                # A stream that is open, and never ends, must not hold the server up.
                code = first.stop(signal.SIGTERM)
        assert events == ["id: 1"]
        assert code == 0, first.output
        assert not (data_dir / "server.json").exists()
        assert embedded_postgres.server_pid(data_dir) is None
    with server(data_dir) as second:
        url = second.ready()
        assert "pt_" not in second.output
        with Client(url, secret[1]) as client:
            assert client.get_run(run["id"])["status"] == "queued"
        code = second.stop(signal.SIGINT)
        assert code == 0, second.output
    assert "Traceback" not in first.output + second.output


def test_an_address_in_use_is_reported(data_dir: Path) -> None:
    failed = subprocess.run(
        [*COMMAND, "serve", "--host", "192.0.2.1"],
        cwd=ROOT,
        env={**os.environ, "PRICETAG_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert failed.returncode == 1
    assert "the server cannot start" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert not (data_dir / "server.json").exists()


def test_an_invalid_setting_is_named(data_dir: Path) -> None:
    failed = subprocess.run(
        [*COMMAND, "token", "list"],
        cwd=ROOT,
        env={**os.environ, "PRICETAG_DATA_DIR": str(data_dir), "PRICETAG_PUE": "0.5"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert failed.returncode == 1
    assert "PRICETAG_PUE" in failed.stderr
    assert "Traceback" not in failed.stderr


@dataclass(frozen=True)
class Commands:
    """The command line in this process, on a database."""

    capture: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, output and errors of a command."""
        code = pricetag(arguments)
        shown = self.capture.readouterr()
        return code, shown.out, shown.err


@pytest.fixture
def administer(
    fresh_database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Commands:
    """Commands on an empty database."""
    monkeypatch.setenv("PRICETAG_DATABASE_URL", fresh_database_url)
    monkeypatch.setenv("PRICETAG_DATA_DIR", str(tmp_path))
    return Commands(capsys)


def administered_log(url: str) -> list[tuple[str, ...]]:
    """Action, kind, access and OS user of what commands have changed."""
    with psycopg.connect(libpq_url(url)) as connection:
        return connection.execute(
            b"SELECT action, object_kind, access, os_user FROM audit_log ORDER BY id"
        ).fetchall()


def test_commands_before_the_first_migration_state_what_to_do(administer: Commands) -> None:
    for early in (["balances", "check"], ["rollups", "check", "--json"], ["token", "list"]):
        code, out, err = administer(*early)
        assert (code, out) == (1, ""), out
        assert err.startswith("pricetag: The database has no tables yet")
        assert "run `pricetag migrate`" in err
        assert err.count("\n") == 1


def test_the_administrator_s_commands(administer: Commands, fresh_database_url: str) -> None:
    code, out, err = administer("migrate", "--json")
    assert code == 0, err
    assert json.loads(out)["revision"]
    _, out, _ = administer("token", "create", "--name", "me", "--role", "admin", "--json")
    token = json.loads(out)
    assert token["secret"].startswith("pt_")
    audit = administered_log(fresh_database_url)
    assert [entry[:3] for entry in audit] == [
        ("created", "user", "direct-database"),
        ("created", "token", "direct-database"),
    ]
    assert {entry[3] for entry in audit} == {pwd.getpwuid(os.getuid()).pw_name}
    options = ["--user", "me", "--name", "ci", "--expires", "90d", "--role", "ingest", "--json"]
    limited = json.loads(administer("token", "create", *options)[1])
    assert (limited["user"], limited["name"], limited["role"]) == ("me", "ci", "ingest")
    left = datetime.fromisoformat(limited["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=89) < left <= timedelta(days=90)
    for wrong, named in (
        (["--user", "nobody"], "User 'nobody' not found"),
        (["--user", "me", "--project", "nowhere"], "project: 'me' is not a member"),
        (["--user", "me", "--expires", "soon"], "--expires: 'soon' is neither"),
        ([], "--user for an existing one"),
    ):
        code, _, err = administer("token", "create", *wrong)
        assert (code, named in err) == (1, True), err
    assert administer("token", "revoke", limited["id"])[0] == 0
    listed = json.loads(administer("token", "list", "--json")[1])
    assert [(item["name"], item["user"], item["role"]) for item in listed] == [
        ("me", "me", "admin"),
        ("ci", "me", "ingest"),
    ]
    code, _, err = administer("token", "revoke", token["id"])
    assert code == 1
    assert "last active admin" in err


def test_a_command_stops_the_database_that_it_started(data_dir: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "migrate", "--json"],
        cwd=ROOT,
        env={**os.environ, "PRICETAG_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["revision"]
    assert embedded_postgres.server_pid(data_dir) is None


def test_a_worker_that_dies_is_started_again_and_ends_with_the_block(tmp_path: Path) -> None:
    program = f"open({str(tmp_path / 'pids')!r}, 'a').write(f'{{__import__(\"os\").getpid()}}\\n')"
    command = [sys.executable, "-c", f"{program}\nimport time; time.sleep(60)"]

    def pids() -> list[int]:
        file = tmp_path / "pids"
        return [int(line) for line in file.read_text().split()] if file.exists() else []

    with workers(command, 1, patience_s=5.0):
        wait_until(lambda: len(pids()) == 1, "the first")
        os.kill(pids()[0], signal.SIGKILL)
        wait_until(lambda: len(pids()) == 2, "the second")
    for pid in pids():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_worker_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    program = (
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"open({str(ready)!r}, 'w').close()\n"
        "time.sleep(3600)"
    )
    with workers([sys.executable, "-c", program], 2, patience_s=1.0):
        wait_until(ready.exists, "the start")  # nobody waits for the hour that it would take
