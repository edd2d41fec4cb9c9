"""Processes that a command starts end with it, however they detach; other jobs' are untouched."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from app.hidden_environment import hidden_part
from tests.support.processes import gone
from tests.support.supervised import of, supervise
from workers.attempt.nursery import Nursery
from workers.attempt.processes import FreshInterpreter, Starter

ROOT = Path(__file__).resolve().parents[2]

FLIGHTS = {
    "a session of its own": "subprocess.Popen(SLEEP, start_new_session=True)",
    "a cleared environment": "subprocess.Popen(SLEEP, env={}, start_new_session=True)",
    "env -i setsid": "subprocess.Popen(['env', '-i', 'setsid', *SLEEP])",
    "a double fork": (
        "os.fork() or (os.setsid(), os.fork() or os.execve(SLEEP[0], SLEEP, {}), os._exit(0))"
    ),
    "a tree of them": (
        "[subprocess.Popen(['env', '-i', 'setsid', 'sh', '-c', f'{SLEEP[0]} {TAG} & wait'])"
        " for _ in range(5)]"
    ),
}
ENDS = {
    "by itself": "",
    "with an error": "sys.exit(3)",
    "by killing the process that runs it": "os.kill(os.getppid(), signal.SIGKILL); time.sleep(60)",
}


def flight(how: str, end: str, tag: str) -> str:
    return textwrap.dedent(
        f"""
        import os, signal, subprocess, sys, time
        TAG = "{tag}"
        SLEEP = ["/bin/sleep", TAG]
        {FLIGHTS[how]}
        time.sleep(0.5)
        {ENDS[end]}
        """
    )


def waiting_for(file: Path) -> str:
    """A program that runs until a file is there."""
    return f"import os, time\nwhile not os.path.exists({str(file)!r}): time.sleep(0.05)"


def sleepers(tag: str) -> list[int]:
    pids = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                line = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if line == f"/bin/sleep\0{tag}\0".encode():
                pids.append(int(folder.name))
    return pids


async def sleeping(tag: str, expected: bool) -> bool:
    """Waits, minutes if need be, until such processes are there, or gone."""
    for _ in range(1800):
        if bool(sleepers(tag)) == expected:
            return True
        await asyncio.sleep(0.1)
    return False


@pytest_asyncio.fixture(scope="module")
async def nursery() -> AsyncIterator[Nursery]:
    """One for all cases, as a worker has one for all jobs."""
    nursery = Nursery(allow_hub=False)
    yield nursery
    nursery.close()


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["/bin/sleep", "333"], env={}, start_new_session=True)
    yield process
    process.kill()
    process.wait()


def described(script: str) -> dict[str, object]:
    return {"stages": [{"kind": "command", "argv": [sys.executable, "-c", script]}]}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("how", FLIGHTS)
async def test_nothing_of_a_job_outlives_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stranger: subprocess.Popen[bytes],
    nursery: Nursery,
    how: str,
    end: str,
) -> None:
    monkeypatch.setenv("PRICETAG_METER_HOST", "none")
    tag = f"{3000 + list(FLIGHTS).index(how) * 10 + list(ENDS).index(end)}.{os.getpid()}"
    over = tmp_path / "over"
    beside = asyncio.create_task(
        supervise(tmp_path / "beside", described(waiting_for(over)), nursery)
    )
    (tmp_path / "beside").mkdir()
    (tmp_path / "job").mkdir()
    await asyncio.sleep(0.2)
    try:
        records, _ = await supervise(tmp_path / "job", described(flight(how, end, tag)), nursery)
        assert sleepers(tag) == []
    finally:
        over.touch()
        others, _ = await beside
    [ended] = of(records, "end")
    assert (
        ended["status"]
        == {
            "by itself": "succeeded",
            "with an error": "failed",
            "by killing the process that runs it": "interrupted",
        }[end]
    )
    assert of(others, "end")[0]["status"] == "succeeded"  # another job of the worker is left alone
    assert stranger.poll() is None


async def test_a_job_of_a_fresh_interpreter_leaves_no_process_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRICETAG_METER_HOST", "none")
    starter: Starter = FreshInterpreter()
    tag = f"4000.{os.getpid()}"
    script = flight("env -i setsid", "by itself", tag)
    records, _ = await supervise(tmp_path, described(script), starter)
    assert of(records, "end")[0]["status"] == "succeeded"
    assert sleepers(tag) == []
    assert any("outlived it" in record["text"] for record in of(records, "log"))


async def test_leftover_processes_end_with_a_nursery_whose_worker_is_gone(tmp_path: Path) -> None:
    tag = f"5000.{os.getpid()}"
    job = flight("env -i setsid", "by itself", tag) + "time.sleep(60)"
    script = textwrap.dedent(
        f"""
        import asyncio, os, pathlib
        os.environ["PRICETAG_METER_HOST"] = "none"
        from tests.support.supervised import supervise
        from workers.attempt.nursery import Nursery

        folder = pathlib.Path({str(tmp_path)!r})
        asyncio.run(supervise(folder, {described(job)!r}, Nursery(allow_hub=False)))
        """
    )
    worker = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    try:
        assert await sleeping(tag, True)
    finally:
        worker.kill()
        worker.wait()
    assert await sleeping(tag, False)


SERVICE = """
import os, sys, time
from app.hidden_environment import hide_environment
hide_environment("worker")
print(os.environ["PRICETAG_DATABASE_URL"], os.environ["CAF"], os.getpid(), flush=True)
time.sleep(60)
"""


def test_the_environment_of_a_service_shows_no_secrets(tmp_path: Path) -> None:
    script = tmp_path / "service.py"
    script.write_text(SERVICE)
    secret = "postgresql://u:hush@db/p"
    service = subprocess.Popen(
        [sys.executable, str(script), "worker"],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PRICETAG_DATABASE_URL": secret,
            "CAF": "é\udce9",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert service.stdout is not None
        words = service.stdout.readline().decode(errors="surrogateescape").split()
        assert words[0] == secret  # the service itself has it
        assert int(words[2]) == service.pid  # and is still the process that was started
        for _ in range(100):
            shown = Path(f"/proc/{service.pid}/environ")
            try:
                text = shown.read_bytes()
            except PermissionError:
                text = b""  # only root may look at all
            assert b"hush" not in text
            time.sleep(0.001)
        assert Path(f"/proc/{service.pid}/environ").stat().st_uid == 0
        assert b"hush" not in Path(f"/proc/{service.pid}/cmdline").read_bytes()
    finally:
        service.kill()
        service.communicate()
    assert gone(service.pid)


def test_only_names_of_places_are_shown() -> None:
    environ = {
        "PATH": "/bin",
        "HOME": "/root",
        "PYTHONPATH": "/x",
        "PRICETAG_DATABASE_URL": "u",
        "AWS_SECRET_ACCESS_KEY": "s",
        "PGPASSWORD": "p",
        "A_NEW_ONE": "n",
    }
    assert set(hidden_part(environ)) == {
        "PRICETAG_DATABASE_URL",
        "AWS_SECRET_ACCESS_KEY",
        "PGPASSWORD",
        "A_NEW_ONE",
    }


def test_a_service_hides_its_environment_before_it_loads_itself() -> None:
    # What is loaded before would be loaded again: two seconds of a server's start.
    script = """
import sys, workers.__main__
import pricetag.cli.service
pricetag.cli.service.load("app.hidden_environment", "hide_environment")
heavy = {"app.main", "app.serving", "app.db", "fastapi", "sqlalchemy", "workers.worker"}
sys.exit(str(heavy & set(sys.modules) or ""))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert not done.stderr.strip()


def test_a_process_without_children_has_no_descendants() -> None:
    # Known without a walk of /proc, which takes 10 ms on some machines, at each program's start.
    script = """
from pathlib import Path
from workers.job import descendants
descendants.PROC = Path("/nowhere")
assert descendants.kill_descendants() == (0, 0.0)
"""
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
