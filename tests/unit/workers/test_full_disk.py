"""A worker with a full disk: runs are retried, meters continue, and it stops cleanly."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from app.queue.delivery import Postponed
from pricetag.attempt.log import AttemptLog
from pricetag.attempt.outcome import Observed, decide
from pricetag.metering import journal as journal_module
from pricetag.metering.journal import Journal, JournalError, find_orphans
from pricetag.metering.meter import Meter
from tests.support.meters import Clock
from tests.support.patience import until
from tests.support.recording import RecordingReporter
from tests.unit.workers.test_node_meter import Bench, Fleet
from tests.unit.workers.test_worker import FakeStore, a_worker
from workers.job import disk
from workers.job.pipeline import run
from workers.job.reporter import Job, JobError
from workers.node import meter as node_meter_module
from workers.node.machine import Machine

ROOT = Path(__file__).resolve().parents[3]
NO_ROOM = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
QUOTA = OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))


def refuse(*_: Any, **__: Any) -> Any:
    raise NO_ROOM


def raised_from(cause: BaseException) -> BaseException:
    try:
        try:
            raise cause
        except BaseException as error:
            raise ValueError("the model could not be saved") from error
    except ValueError as error:
        return error


@pytest.mark.parametrize(
    ("error", "is_full"),
    [
        (NO_ROOM, True),
        (QUOTA, True),
        (raised_from(NO_ROOM), True),
        (RuntimeError("I/O error: No space left on device (os error 28)"), True),
        (OSError(errno.EACCES, "Permission denied"), False),
        (ValueError("no space"), False),
    ],
)
def test_a_full_disk_is_recognized_in_every_form_of_error(
    error: BaseException, is_full: bool
) -> None:
    assert disk.is_full_error(error) is is_full


@pytest.mark.parametrize("code", ["disk-full", "supervisor-failed"])
def test_errors_due_to_the_worker_s_resources_are_retried(code: str) -> None:
    seen = Observed(exit_code=1, error={"code": code, "message": "m"})
    assert decide(seen) == ("interrupted", {"code": code, "message": "m"})
    seen.stop_reason = "cancelled"
    assert decide(seen)[0] == "cancelled"


def command(root: Path, script: str) -> None:
    described = {"stages": [{"kind": "command", "argv": ["sh", "-c", script]}]}
    job = Job("r", 1, described, [root], root / "work", root / "artifacts", allow_commands=True)
    run(job, RecordingReporter())


def test_a_program_that_reports_a_full_disk_is_recognized(tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        command(tmp_path, "echo step 1; cat /proc/version > /dev/full")
    assert caught.value.code == "disk-full"
    assert "step 1" in caught.value.message
    with pytest.raises(JobError) as caught:
        command(tmp_path, "echo step 1; exit 3")
    assert caught.value.code == "command-failed"


def test_a_program_that_fails_silently_on_a_full_disk_is_recognized(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "is_full", lambda folder: folder == tmp_path / "work")
    with pytest.raises(JobError) as caught:
        command(tmp_path, "exit 3")
    assert caught.value.code == "disk-full"


def test_a_job_folder_that_cannot_be_created_on_a_full_disk_is_retried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.job.steps.open_folder", refuse)
    with pytest.raises(JobError) as caught:
        command(tmp_path, "true")
    assert caught.value.code == "disk-full"


async def test_no_run_is_started_without_free_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = a_worker(tmp_path, FakeStore())
    is_full = True
    monkeypatch.setattr(disk, "is_full", lambda folder: is_full and folder == tmp_path)
    with pytest.raises(Postponed):
        await worker._execute(uuid4())
    assert worker._has_room() is False
    assert worker._pool.fitting() == [0]
    is_full = False
    assert worker._has_room() is True


def test_the_required_free_space_is_checked(tmp_path: Path) -> None:
    assert disk.is_full(tmp_path) is False
    assert disk.is_full(tmp_path, least_bytes=1 << 60) is True
    assert disk.is_full(tmp_path / "not there yet") is False


class Disk:
    """Lets only some writes of a journal through."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room_bytes = 10**9
        write = os.write

        def limited(descriptor: int, data: bytes) -> int:
            if self.room_bytes == 0:
                raise NO_ROOM
            written = write(descriptor, data[: self.room_bytes])
            self.room_bytes -= written
            return written

        monkeypatch.setattr(os, "write", limited)


@pytest.mark.parametrize("room_bytes", [0, 1, 150, 300])
def test_readings_delayed_by_a_full_disk_are_written_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room_bytes: int
) -> None:
    journal = Journal.create(tmp_path, uuid4())
    clock = Clock()
    log = AttemptLog(journal, lambda: 0.0)
    fleet = Fleet(clock)
    meter = Meter([fleet], log.readings, clock=clock)
    meter.open(thread=False)
    limited = Disk(monkeypatch)
    for second in range(6):
        fleet.pass_time(1.0)
        limited.room_bytes = room_bytes if 1 <= second < 4 else 10**9
        meter.edge()
    fleet.pass_time(1.0)
    meter.close()
    read = [(r["t_s"], r["component"], r["counter_j"]) for r in journal.read_from(0, 100)]
    assert len(read) == len(set(read))
    assert {t_s for t_s, _, _ in read} == {0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0}
    journal.close()


def test_a_record_that_is_not_on_the_disk_yet_is_not_written_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "FSYNC_INTERVAL_S", 0.0)
    journal = Journal.create(tmp_path, uuid4())
    with monkeypatch.context() as full:
        full.setattr(os, "fdatasync", refuse)
        assert journal.append({"type": "end"}) == 0
        with pytest.raises(JournalError):
            journal.sync()
    journal.sync()
    assert len(journal.read_from(0, 10)) == 1
    journal.close()


@pytest.mark.parametrize("call", ["link", "fsync"])
def test_a_journal_that_cannot_be_created_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    attempt = uuid4()
    with monkeypatch.context() as full:
        full.setattr(os, call, refuse)
        with pytest.raises(OSError, match="No space"):
            Journal.create(tmp_path, attempt)
    assert list(tmp_path.iterdir()) == []
    assert find_orphans(tmp_path) == []
    assert len(os.listdir("/proc/self/fd")) == before
    Journal.create(tmp_path, attempt).close()


async def test_the_node_s_meter_continues_in_memory_and_saves_when_there_is_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path)
    meter = bench.start()
    with monkeypatch.context() as full:
        full.setattr(node_meter_module, "write_whole", refuse)
        full.setattr("pricetag.metering.baselines.write_whole", refuse)
        bench.live(meter, 120)
        meter.close()  # even a new beginning in the same process continues from memory
        meter.open(thread=False)
    bench.live(meter, 60)
    meter.close()
    await meter.ship()
    assert bench.total_j("gpu:a") == pytest.approx(180 * 60.0)
    assert bench.total_j("cpu") == pytest.approx(180 * 20.0)
    again = bench.start()  # a restart finds what was saved
    again.close()
    await again.ship()
    assert bench.total_j("gpu:a") == pytest.approx(180 * 60.0)


async def test_the_node_s_meter_continues_without_space_for_its_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_meter_module, "TICK_S", 0.01)
    bench = Bench(tmp_path)
    meter = bench.start()
    meter.close()
    with monkeypatch.context() as full:
        full.setattr(node_meter_module, "only_one", refuse)
        running = asyncio.create_task(meter.run())
        await asyncio.sleep(0.05)
        assert not running.done()
    await until(lambda: meter._meter is not None)
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()


def test_a_worker_s_entry_that_was_not_written_does_not_keep_it_from_closing(
    tmp_path: Path,
) -> None:
    machine = Machine(tmp_path, 1)
    machine.open()
    assert machine._file is not None
    descriptor = machine._file.fileno()
    full = os.open("/dev/full", os.O_RDWR)
    os.dup2(full, descriptor)
    os.close(full)
    machine._file.write("x" * 100)  # waits in the file's buffer
    machine.close()
    assert machine._file is None


def test_output_that_cannot_be_written_is_not_a_failure() -> None:
    script = "from workers.command import _flush_output; print('said'); _flush_output()"
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": ""},
            stdout=full,
            stderr=full,
        )
    assert ended.returncode == 0
