"""The supervisor and real children, without queue, database or meters."""

from __future__ import annotations

import asyncio
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from pricetag.attempt import stages
from pricetag.attempt.ending import every_record
from pricetag.attempt.meters import Devices
from pricetag.metering.journal import Journal, JournalFullError
from tests.support.orphans import adopt_orphans
from tests.support.patience import until
from tests.support.processes import gone
from workers.attempt import supervisor as module
from workers.attempt.processes import FreshInterpreter
from workers.attempt.supervisor import Supervisor
from workers.node.identity import NodeConfig


@dataclass
class Claimed:
    """A claim of a run whose only stage is a script."""

    script: Path
    gpus: int = 0
    power_limit_w: float | None = None
    upstream: dict[str, Any] | None = None
    number: int = 1
    run_id: UUID = field(default_factory=uuid4)
    attempt_id: UUID = field(default_factory=uuid4)

    @property
    def recipe(self) -> dict[str, Any]:
        return {"stages": [{"kind": "command", "argv": [sys.executable, str(self.script)]}]}


@dataclass
class Bench:
    folder: Path

    def supervisor(self, script: str, **settings: Any) -> Supervisor:
        path = self.folder / "script.py"
        path.write_text(textwrap.dedent(script))
        claim = Claimed(path)
        self.journal = Journal.create(self.folder / "journal", claim.attempt_id)
        options = {"stop_grace_s": 1.0, "heartbeat_timeout_s": 60.0, "lease_s": 900.0, **settings}
        config = NodeConfig(
            name="node",
            worker="node:m:b:1:2",
            pool="default",
            data_dir=self.folder,
            artifacts_dir=self.folder / "artifacts",
            data_roots=(),
            allow_commands=True,
            allow_hub=False,
            git_commit=None,
            **options,
        )
        return Supervisor(claim, config, Devices(()), self.journal, FreshInterpreter())

    def records(self, type_: str) -> list[dict[str, Any]]:
        return [record for record in every_record(self.journal) if record["type"] == type_]

    def end(self) -> tuple[str, str | None]:
        (end,) = self.records("end")
        return end["status"], (end["reason"] or {}).get("code")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("PRICETAG_METER_HOST", "none")
    return Bench(tmp_path)


DAEMON = """
    import pathlib, subprocess, sys
    code = "import time; time.sleep(300)"
    left = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    pathlib.Path({note!r}).write_text(str(left.pid))
"""


SLEEPS = """
    import time
    time.sleep(600)
"""


async def test_processes_that_a_job_leaves_in_their_own_session_end_with_it(bench: Bench) -> None:
    note = bench.folder / "pid"
    supervisor = bench.supervisor(DAEMON.format(note=str(note)))
    await asyncio.wait_for(supervisor.run(), 120)
    assert bench.end() == ("succeeded", None)
    assert gone(int(note.read_text()))
    assert any("outlived" in record["text"] for record in bench.records("log"))


async def test_a_job_ends_without_news_of_its_lease(
    bench: Bench,
) -> None:
    note = bench.folder / "pid"
    supervisor = bench.supervisor(DAEMON.format(note=str(note)) + SLEEPS, lease_s=3.0)
    running = asyncio.create_task(supervisor.run())
    for _ in range(12):  # more than the lease, renewed all the time
        await asyncio.sleep(0.3)
        supervisor.pulse()
    assert not running.done()
    # From here on it is as if the supervisor had been stopped.
    await asyncio.wait_for(running, 120)
    assert bench.end() == ("interrupted", "child-killed")
    assert gone(int(note.read_text()))


async def test_a_stage_end_without_a_start_ends_no_job(bench: Bench) -> None:
    supervisor = bench.supervisor("""
        import pricetag.script as track
        channel = track._current()
        channel.send("stage_end", status="succeeded")
        track.log(after=1.0)
    """)
    await asyncio.wait_for(supervisor.run(), 120)
    assert bench.end() == ("succeeded", None)
    assert [record["name"] for record in bench.records("metric")] == ["after"]


async def test_stages_without_end_are_priced_up_to_a_limit(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "MAX_STAGES", 4)
    supervisor = bench.supervisor("""
        import pricetag
        for step in range(6):
            with pricetag.stage(f"outer {step}"), pricetag.stage(f"inner {step}"):
                pricetag.log(step_done=step)
    """)
    await asyncio.wait_for(supervisor.run(), 120)
    assert bench.end() == ("succeeded", None)
    opened = [(record["key"], record["name"]) for record in bench.records("stage_start")]
    assert opened == [
        ("0", "command"),
        ("0.0", "outer 0"),
        ("0.0.0", "inner 0"),
        ("0.1", "outer 1"),
    ]
    assert len(bench.records("stage_end")) == 4
    figures = [record["key"] for record in bench.records("metric")]
    assert figures == ["0.0.0", "0.1", *["0"] * 4]
    assert sum("are charged to their parent stage" in r["text"] for r in bench.records("log")) == 1


async def test_a_script_s_operations_belong_to_the_stage_in_which_they_are_reported(
    bench: Bench,
) -> None:
    supervisor = bench.supervisor("""
        import pricetag
        with pricetag.stage("outer"):
            with pricetag.stage("inner"):
                pricetag.flops(2e9, effective=1e9, method="by hand")
            pricetag.flops(3e9)
        pricetag.flops(4e9)
    """)
    await asyncio.wait_for(supervisor.run(), 120)
    assert bench.end() == ("succeeded", None)
    reported = [(r["key"], r["dense"], r["effective"], r["method"]) for r in bench.records("flops")]
    assert reported == [
        ("0.0.0", 2e9, 1e9, "by hand"),
        ("0.0", 3e9, None, "told by the script"),
        ("0", 4e9, None, "told by the script"),
    ]


IN_A_STAGE = """
    import signal, sys, time
    import pricetag
    if {orderly}:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with pricetag.stage("epoch"):
        print("line 0", flush=True)
        time.sleep(60)
"""


@pytest.mark.parametrize("orderly", [True, False])
@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("cancelled", "cancelled"),
        ("budget-exceeded", "cancelled"),
        ("worker-stopping", "interrupted"),
    ],
)
async def test_stages_cut_off_by_a_stop_are_not_failed(
    bench: Bench, reason: str, status: str, orderly: bool
) -> None:
    supervisor = bench.supervisor(IN_A_STAGE.format(orderly=orderly), stop_grace_s=10.0)
    running = asyncio.create_task(supervisor.run())
    await asyncio.wait_for(first_line(bench), 120)
    supervisor.request_stop(reason)
    await asyncio.wait_for(running, 120)
    assert bench.end() == (status, reason)
    ends = {record["key"]: record["status"] for record in bench.records("stage_end")}
    assert ends == {"0": status, "0.0": status}


async def test_stages_of_a_killed_job_are_not_failed(bench: Bench) -> None:
    supervisor = bench.supervisor("""
        import os, signal
        import pricetag
        with pricetag.stage("epoch"):
            os.killpg(0, signal.SIGKILL)
    """)
    await asyncio.wait_for(supervisor.run(), 120)
    ends = [record["status"] for record in bench.records("stage_end")]
    assert (bench.end()[0], ends) == ("interrupted", ["interrupted"] * 2)


async def test_a_failing_stage_is_failed(bench: Bench) -> None:
    supervisor = bench.supervisor("""
        import pricetag
        with pricetag.stage("epoch"):
            raise ValueError("planted")
    """)
    await asyncio.wait_for(supervisor.run(), 120)
    ends = [record["status"] for record in bench.records("stage_end")]
    assert (bench.end()[0], ends) == ("failed", ["failed"] * 2)


CHATTY = """
    import time
    for line in range(30):
        print(f"line {line}", flush=True)
        time.sleep(0.1)
"""


@dataclass
class Disk:
    """A disk that the test can fill."""

    is_full: bool = False
    refused: int = 0

    async def fill(self, after_s: float, for_s: float) -> None:
        """Fills it for a while, and until something could not be written."""
        await asyncio.sleep(after_s)
        self.is_full = True
        await asyncio.sleep(for_s)
        await until(lambda: self.refused > 0)
        self.is_full = False


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    write = Journal._write

    def guarded(journal: Journal, lines: list[bytes]) -> None:
        if disk.is_full:
            disk.refused += 1
            raise JournalFullError("no room on the disk")
        write(journal, lines)

    monkeypatch.setattr(Journal, "_write", guarded)
    return disk


async def first_line(bench: Bench) -> None:
    while not any(record["text"] == "line 0" for record in bench.records("log")):
        await asyncio.sleep(0.02)


async def test_a_briefly_full_disk_drops_some_lines_and_ends_no_job(
    bench: Bench, disk: Disk
) -> None:
    running = asyncio.create_task(bench.supervisor(CHATTY).run())
    await first_line(bench)
    await disk.fill(0.2, 0.8)
    await asyncio.wait_for(running, 120)
    assert bench.end() == ("succeeded", None)
    lines = [record["text"] for record in bench.records("log")]
    assert "line 29" in lines
    assert any("are missing: the disk was full" in text for text in lines)


FIGURES = """
    import time
    import pricetag
    print("line 0", flush=True)
    for step in range(10):
        with pricetag.stage(f"step {step}"):
            time.sleep(0.1)
        pricetag.log(step=step, executed=step)
"""


REPORTS = """
    import time
    import pricetag
    print("line 0", flush=True)
    while True:
        pricetag.log(loss=1.0)
        time.sleep(0.1)
"""


@pytest.mark.parametrize("full_s", [0.5, 3.0], ids=["within the job", "beyond its end"])
async def test_figures_and_stages_of_a_job_on_a_full_disk_are_written_later(
    bench: Bench, disk: Disk, full_s: float
) -> None:
    running = asyncio.create_task(bench.supervisor(FIGURES).run())
    await first_line(bench)
    await disk.fill(0.0, full_s)
    await asyncio.wait_for(running, 120)
    bench.journal.sync()
    bench.journal.close()
    bench.journal = Journal.open_existing(bench.journal.path)
    assert bench.end() == ("succeeded", None)
    figures = [record["value"] for record in bench.records("metric")]
    assert figures == [float(step) for step in range(10)]
    assert len(bench.records("stage_start")) == len(bench.records("stage_end")) == 11
    bench.journal.close()


async def test_an_attempt_ends_though_space_never_returns(bench: Bench, disk: Disk) -> None:
    running = asyncio.create_task(bench.supervisor(FIGURES).run())
    await first_line(bench)
    disk.is_full = True
    await asyncio.wait_for(running, 120)
    assert bench.end() == ("succeeded", None)  # in memory, from where it is shipped
    assert [record["value"] for record in bench.records("metric")] == list(range(10))
    bench.journal.mark_shipped()
    assert bench.journal.path.with_suffix(".jsonl.shipped").exists()
    assert adopt_orphans(bench.journal.path.parent) == []


async def test_a_job_that_reports_more_than_memory_may_hold_is_stopped(
    bench: Bench, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING_BYTES", 100)
    running = asyncio.create_task(bench.supervisor(REPORTS, stop_grace_s=1.0).run())
    await first_line(bench)
    disk.is_full = True
    await asyncio.wait_for(running, 120)
    assert bench.end() == ("interrupted", "disk-full")
    (end,) = bench.records("end")
    assert "disk of the worker was full" in end["reason"]["message"]


async def test_a_job_whose_records_reach_neither_disk_nor_database_is_stopped(
    bench: Bench, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_UNSAFE_S", 0.5)
    running = asyncio.create_task(bench.supervisor(REPORTS, stop_grace_s=1.0).run())
    await first_line(bench)
    disk.is_full = True  # and nothing is shipped
    await asyncio.wait_for(running, 120)
    assert bench.end() == ("interrupted", "disk-full")
    (end,) = bench.records("end")
    assert "the database was unreachable" in end["reason"]["message"]


async def test_recovery_ends_an_attempt_on_a_full_disk(bench: Bench, disk: Disk) -> None:
    running = asyncio.create_task(bench.supervisor(CHATTY + SLEEPS).run())
    await first_line(bench)
    disk.is_full = True
    running.cancel()  # as if the worker had died
    await asyncio.wait([running])
    on_disk = bench.journal.path.read_bytes()
    # The memory of the dead worker is gone.
    bench.journal._waiting.clear()
    bench.journal._waiting_bytes = 0
    bench.journal.close()
    folder, attempt_id = bench.journal.path.parent, UUID(bench.journal.attempt_id)
    [(_, bench.journal)] = adopt_orphans(folder)
    assert bench.end() == ("lost", "worker-lost")
    assert bench.journal.path.read_bytes() == on_disk
    count = len(on_disk.splitlines())
    assert bench.journal.count > count
    bench.journal._waiting.clear()
    bench.journal._waiting_bytes = 0
    bench.journal.close()
    # The database has more than the disk: only it shows when the attempt ended.
    [(_, bench.journal)] = adopt_orphans(folder, ingested={attempt_id: count})
    assert bench.records("end") == []
    bench.journal.close()
    [(_, bench.journal)] = adopt_orphans(folder, ingested={attempt_id: count - 1})
    assert bench.end() == ("lost", "worker-lost")
    disk.is_full = False
    bench.journal.sync()
    assert bench.journal.path.read_bytes() != on_disk
    bench.journal.close()
