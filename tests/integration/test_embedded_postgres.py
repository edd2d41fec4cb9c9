"""The embedded PostgreSQL with real processes: shared, killed, restarted."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from app import embedded_postgres
from app.db import keep_database_up
from app.settings import Settings

USER = """
import sys, time
from pathlib import Path
from app import embedded_postgres
print(embedded_postgres.ensure(Path(sys.argv[1])), flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    # Short, and a parent that other users may pass: PostgreSQL's user is another where we are root.
    with tempfile.TemporaryDirectory(prefix="pricetag-pg-") as name:
        yield Path(name)
        embedded_postgres.stop(Path(name))
        embedded_postgres.release(Path(name))


def start_user(folder: Path) -> subprocess.Popen[str]:
    """Another process that uses the cluster until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", USER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("postgresql://")
    return process


def leave(process: subprocess.Popen[str]) -> None:
    process.communicate("\n", timeout=60)


def version(url: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    assert row is not None
    return str(row[0])


def test_the_database_starts_once_and_stops_with_its_last_user(folder: Path) -> None:
    url = embedded_postgres.ensure(folder)
    pid = embedded_postgres.server_pid(folder)
    assert pid is not None
    assert version(url).startswith("18.")
    assert embedded_postgres.ensure(folder) == url
    other = start_user(folder)
    assert embedded_postgres.server_pid(folder) == pid
    embedded_postgres.release(folder)
    assert embedded_postgres.server_pid(folder) == pid
    leave(other)
    assert embedded_postgres.server_pid(folder) is None


def test_a_crash_of_one_user_leaves_the_database_to_the_others(folder: Path) -> None:
    crashing, staying = start_user(folder), start_user(folder)
    pid = embedded_postgres.server_pid(folder)
    crashing.send_signal(signal.SIGKILL)
    crashing.communicate(timeout=60)
    assert embedded_postgres.server_pid(folder) == pid
    leave(staying)
    assert embedded_postgres.server_pid(folder) is None


def test_data_survives_a_kill_and_the_url_stays(folder: Path) -> None:
    url = embedded_postgres.ensure(folder)
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    pid = embedded_postgres.server_pid(folder)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert embedded_postgres.ensure(folder) == url
    assert embedded_postgres.server_pid(folder) not in (None, pid)
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_a_stale_pid_file_that_names_another_process_is_ignored(folder: Path) -> None:
    embedded_postgres.ensure(folder)
    pid_file = folder / "postgres" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    embedded_postgres.stop(folder)
    assert not pid_file.exists()
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    assert embedded_postgres.server_pid(folder) is None
    assert version(embedded_postgres.ensure(folder)).startswith("18.")


def test_restart_gives_a_new_server_at_the_same_url(folder: Path) -> None:
    url = embedded_postgres.ensure(folder)
    before = embedded_postgres.server_pid(folder)
    assert embedded_postgres.restart(folder) == url
    assert embedded_postgres.server_pid(folder) not in (None, before)


@pytest.mark.parametrize("name", ["/".join(["a-folder-with-a-long-name"] * 4), "it's, a \u00df"])
def test_a_socket_with_a_long_or_odd_path_is_placed_elsewhere(folder: Path, name: str) -> None:
    deep = folder / name
    url = embedded_postgres.ensure(deep)
    assert name not in url
    assert version(url).startswith("18.")
    assert embedded_postgres.ensure(deep) == url
    embedded_postgres.stop(deep)
    embedded_postgres.release(deep)


def test_a_cluster_of_another_version_is_rejected(folder: Path) -> None:
    embedded_postgres.ensure(folder)
    embedded_postgres.stop(folder)
    (folder / "postgres" / "PG_VERSION").write_text("16\n")
    with pytest.raises(embedded_postgres.EmbeddedPostgresError, match="created by PostgreSQL 16"):
        embedded_postgres.ensure(folder)


async def test_the_keeper_restarts_the_database(folder: Path) -> None:
    settings = Settings(data_dir=folder)
    await asyncio.to_thread(embedded_postgres.ensure, folder)
    keeper = asyncio.create_task(keep_database_up(settings, interval_s=0.1))
    pid = embedded_postgres.server_pid(folder)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    deadline_s = time.monotonic() + 120
    while embedded_postgres.server_pid(folder) in (None, pid):
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.05)
    await asyncio.to_thread(embedded_postgres.ensure, folder)
    keeper.cancel()
    await asyncio.gather(keeper, return_exceptions=True)


async def test_a_configured_database_needs_no_keeper() -> None:
    await asyncio.wait_for(keep_database_up(Settings(database_url="postgresql://h/d")), 60)


def test_a_first_start_that_is_killed_leaves_nothing_in_the_way(folder: Path) -> None:
    draft = folder / "postgres.new"
    starter = subprocess.Popen(
        [sys.executable, "-c", USER, str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    while not (draft / "postgresql.conf").exists():
        assert starter.poll() is None
        time.sleep(0.005)
    os.killpg(starter.pid, signal.SIGKILL)
    starter.wait()
    assert not (folder / "postgres" / "PG_VERSION").exists()
    url = embedded_postgres.ensure(folder)
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert not draft.exists()


def test_a_pid_file_of_a_lone_backend_names_no_server(folder: Path) -> None:
    (folder / "postgres").mkdir()
    (folder / "postgres" / "postmaster.pid").write_text("-423\n")
    assert embedded_postgres.server_pid(folder) is None
