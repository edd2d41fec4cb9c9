"""A worker whose disk takes no more: nothing measured is lost, runs and worker end by themselves.

The kernel lets the worker's files grow no further, as on a full disk or at a quota.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
from pathlib import Path
from uuid import UUID

import pytest

from pricetag.metering.machine import process_start_ticks
from tests.e2e.test_crashes import STEPS, Counting, executed_steps, wait_for_hold
from tests.support.bills import check_bill
from tests.support.fake_powercap import FakePowercap
from tests.support.service import ASKED_EVERY_S, Service, wait_until

pytestmark = pytest.mark.slow

HELD_S = 3.0
"""How long a job runs on the full disk."""


@pytest.fixture
def lab(lent_lab: Service) -> Service:
    return lent_lab


def start_worker(lab: Service, log: str = "worker") -> subprocess.Popen[bytes]:
    """A worker that leaves no compiled modules cut off by its full disk."""
    return lab.start_worker(log=log, environment={"PYTHONDONTWRITEBYTECODE": "1"})


def fill_disk(lab: Service, worker: subprocess.Popen[bytes]) -> Path:
    """Lets no file of the worker grow beyond the journal of its one attempt, which it returns."""
    [journal] = (lab.data_dir / "journal").glob("*.jsonl")
    resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (journal.stat().st_size, -1))
    return journal


def free_disk(worker: subprocess.Popen[bytes]) -> None:
    resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (-1, -1))


def last_reading_s(lab: Service, run_id: UUID, attempt: int) -> float:
    """Time of the last reading of an attempt that is in the database, in s."""
    response = lab.http.get(f"/v1/runs/{run_id}/power", params={"attempt": attempt})
    if response.status_code != 200:
        return 0.0
    series = [one for part in response.json()["attempts"] for one in part["series"]]
    ends = [one["t_s"][-1] for one in series if one["t_s"]]
    return max(map(float, ends), default=0.0)


def test_a_run_and_its_worker_end_on_a_disk_that_fills_twice(
    lab: Service, powercap: FakePowercap, tmp_path: Path
) -> None:
    worker = start_worker(lab)
    job = Counting(tmp_path)
    run_id = lab.submit(recipe=job.recipe)
    wait_for_hold(lab, run_id, job)
    journal = fill_disk(lab, worker)
    size = journal.stat().st_size
    time.sleep(HELD_S)
    assert journal.stat().st_size <= size
    free_disk(worker)
    wait_until(lambda: journal.stat().st_size > size, "the journal's growth")
    fill_disk(lab, worker)
    time.sleep(HELD_S)
    job.let_go()
    # Space never returns.
    assert lab.wait_for_end(run_id)["status"] == "succeeded"
    tag = check_bill(lab, run_id, powercap)
    assert [a["status"] for a in tag["attempts"]] == ["succeeded"]
    assert executed_steps(lab, run_id) == list(range(STEPS))
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=120) == 0
    assert not journal.exists()
    assert journal.with_suffix(".jsonl.shipped").exists()


def test_what_was_measured_on_a_full_disk_survives_the_worker_s_end(
    lab: Service, powercap: FakePowercap, tmp_path: Path
) -> None:
    job = Counting(tmp_path)
    run_id = lab.submit(recipe=job.recipe)
    stopped = start_worker(lab)
    wait_for_hold(lab, run_id, job)
    fill_disk(lab, stopped)
    time.sleep(HELD_S)
    stopped.send_signal(signal.SIGTERM)
    assert stopped.wait(timeout=120) == 0
    assert lab.run(run_id)["status"] == "queued"

    killed = start_worker(lab, "worker-2")
    child = wait_until(lab.child_pid, "the second attempt")
    wait_until(lambda: last_reading_s(lab, run_id, 2) > 0, "readings", every_s=ASKED_EVERY_S)
    fill_disk(lab, killed)
    full_s = last_reading_s(lab, run_id, 2)
    wait_until(
        lambda: last_reading_s(lab, run_id, 2) > full_s + HELD_S,
        "readings beside the full disk",
        every_s=ASKED_EVERY_S,
    )
    measured_s = last_reading_s(lab, run_id, 2)
    os.killpg(killed.pid, signal.SIGKILL)  # with the process that would end the attempt at once
    killed.wait()
    os.killpg(child, signal.SIGKILL)
    wait_until(lambda: process_start_ticks(child) is None, "the child's end")

    job.let_go()
    start_worker(lab, "worker-3")
    assert lab.wait_for_end(run_id)["status"] == "succeeded"
    tag = check_bill(lab, run_id, powercap)
    assert [(a["status"], (a["reason"] or {}).get("code")) for a in tag["attempts"]] == [
        ("interrupted", "worker-stopping"),
        ("lost", "worker-lost"),
        ("succeeded", None),
    ]
    assert tag["attempts"][1]["duration_s"]["value"] >= measured_s
    assert "end_unread" in tag["attempts"][1]["flags"]
    assert executed_steps(lab, run_id) == list(range(STEPS))
