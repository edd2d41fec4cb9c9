"""Jobs forked from the nursery behave like any other process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pricetag.attempt.event_server import Connection, EventServer
from pricetag.metering.machine import process_start_ticks
from workers.attempt import nursery as module
from workers.attempt.launch import Launch
from workers.attempt.nursery import KILLED, Nursery
from workers.attempt.processes import ChildProcess


class Bench:
    """A folder with a socket that hears what jobs say, and a nursery."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.heard: list[dict[str, Any]] = []
        self.server = EventServer(folder / "events.sock", self.hear)
        self.nursery = Nursery(allow_hub=False)

    async def hear(self, connection: Connection, message: dict[str, Any]) -> dict[str, Any]:
        self.heard.append(message)
        if message["type"] == "stage_start":
            connection.open_keys.append("0")
        return {"key": "0"}

    async def start(self, *argv: str, **variables: str) -> ChildProcess:
        job = {
            "run_id": "r",
            "attempt_number": 1,
            "recipe": {"stages": [{"kind": "command", "argv": list(argv)}]},
            "data_roots": [],
            "work_dir": str(self.folder / "work"),
            "artifacts_dir": str(self.folder / "artifacts" / "r" / "1"),
            "allow_commands": True,
        }
        job_file = self.folder / "job.json"
        job_file.write_text(json.dumps(job))
        environment = {"PATH": os.environ["PATH"], **variables}
        environment["PRICETAG_EVENTS"] = str(self.folder / "events.sock")
        launch = Launch(
            (sys.executable, "-m", "workers.job.child", str(job_file)),
            environment,
            trains=False,
            forkable=True,
        )
        return await self.nursery.start(launch)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    with tempfile.TemporaryDirectory() as folder:
        made = Bench(Path(folder))
        await made.server.start()
        yield made
        made.nursery.close()
        await made.server.close()


def logged(bench: Bench) -> list[str]:
    return [event["text"] for event in bench.heard if event["type"] == "log"]


async def test_a_forked_job_has_its_own_environment_and_group(bench: Bench) -> None:
    first = await bench.start("sh", "-c", "echo $COLOUR $PPID", COLOUR="green")
    assert (await asyncio.wait_for(first.wait(), 120)).code == 0
    second = await bench.start("sh", "-c", "echo ${COLOUR:-none}")
    assert (await asyncio.wait_for(second.wait(), 120)).code == 0
    await bench.server.drain(5)
    assert f"green {first.pid}" in logged(bench)
    assert "none" in logged(bench)
    assert first.pid != second.pid


async def test_no_setting_of_the_service_reaches_a_job_by_its_parents(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRICETAG_DATABASE_URL", "postgresql://u:secret@db/p")
    script = "cat /proc/$PPID/environ; cat /proc/$(cut -d' ' -f4 /proc/$PPID/stat)/environ; echo"
    job = await bench.start("sh", "-c", script)
    assert (await asyncio.wait_for(job.wait(), 120)).code == 0
    await bench.server.drain(5)
    assert any("PATH=" in text for text in logged(bench))
    assert not any("secret" in text for text in logged(bench))


async def test_a_failing_job_reports_its_exit_code(bench: Bench) -> None:
    job = await bench.start("sh", "-c", "exit 3")
    assert (await asyncio.wait_for(job.wait(), 120)).code == 1
    await bench.server.drain(5)
    [error] = [event for event in bench.heard if event["type"] == "error"]
    assert error["code"] == "command-failed"


async def test_a_killed_job_reports_its_signal(bench: Bench) -> None:
    job = await bench.start("sleep", "60")
    os.killpg(job.pid, signal.SIGKILL)
    assert (await asyncio.wait_for(job.wait(), 120)).code == -signal.SIGKILL


async def test_a_stop_of_the_whole_service_leaves_the_jobs_to_the_worker(bench: Bench) -> None:
    job = await bench.start("sh", "-c", "sleep 1; echo done")
    nursery = int(Path(f"/proc/{job.pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(nursery, signal.SIGTERM)
    assert (await asyncio.wait_for(job.wait(), 120)).code == 0
    again = await bench.start("sleep", "60")
    os.killpg(again.pid, signal.SIGTERM)  # a job itself ends by it, as any program
    assert (await asyncio.wait_for(again.wait(), 120)).code == -signal.SIGTERM


async def test_jobs_die_with_the_nursery_and_the_next_gets_a_new_one(bench: Bench) -> None:
    job = await bench.start("sleep", "60")
    ticks = process_start_ticks(job.pid)
    assert ticks is not None
    bench.nursery.close()
    assert await asyncio.wait_for(job.wait(), 120) == KILLED
    for _ in range(200):
        if process_start_ticks(job.pid) != ticks:
            break
        await asyncio.sleep(0.02)
    assert process_start_ticks(job.pid) != ticks
    again = await bench.start("true")
    assert (await asyncio.wait_for(again.wait(), 120)).code == 0


async def test_a_job_that_the_nursery_cannot_start_affects_no_other(bench: Bench) -> None:
    first = await bench.start("sh", "-c", "echo up; sleep 60")
    while "up" not in logged(bench):
        await asyncio.sleep(0.02)
    too_much = {f"MODULES_{number}": "x" * 100_000 for number in range(4)}
    second = await bench.start("true", **too_much)  # more than the socket holds
    assert (await asyncio.wait_for(second.wait(), 120)).code == 0
    assert process_start_ticks(first.pid) is not None
    third = await bench.start("true")
    assert (await asyncio.wait_for(third.wait(), 120)).code == 0


async def test_a_hanging_nursery_is_replaced_by_a_fresh_interpreter(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await bench.start("true")).wait()
    process = bench.nursery._process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    monkeypatch.setattr(module, "START_TIMEOUT_S", 0.3)
    job = await bench.start("true")
    assert process.returncode == -signal.SIGKILL  # or it might start the job a second time
    assert (await asyncio.wait_for(job.wait(), 120)).code == 0


async def test_jobs_one_after_another_do_not_mix(bench: Bench) -> None:
    for number in range(8):
        job = await bench.start("sh", "-c", f"echo job {number}; exit {number % 2}")
        assert (await asyncio.wait_for(job.wait(), 120)).code == number % 2
    await bench.server.drain(5)
    assert [text for text in logged(bench) if text.startswith("job ")] == [
        f"job {number}" for number in range(8)
    ]


A_COMMAND = """
import os, sys
from pathlib import Path
from workers.job import child, nursery_process, pipeline
from workers.job.reporter import SilentReporter
from workers.job.request import Job

nursery_process.warm_up()
before = set(sys.modules)
folder = Path(sys.argv[1])
recipe = {"stages": [{"kind": "command", "argv": ["true"]}]}
job = Job("r", 1, recipe, [], folder / "work", folder / "artifacts", allow_commands=True)
pipeline.run(job, SilentReporter())
print(sorted(set(sys.modules) - before))
"""


def test_a_forked_command_imports_nothing_more(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", A_COMMAND, str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert (ran.stdout.strip(), ran.returncode) == ("[]", 0), ran.stderr
