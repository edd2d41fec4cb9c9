"""Real processes are killed: nothing measured is lost, nothing runs twice, causes are stated."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from app import embedded_postgres
from pricetag.metering.machine import process_start_ticks
from tests.support.bills import check_bill
from tests.support.fake_powercap import FakePowercap
from tests.support.gpu_node import meter_opened_s
from tests.support.service import ASKED_EVERY_S, Service, wait_until

pytestmark = pytest.mark.slow

COUNTER = """
import json, pathlib, sys, time
import pricetag
state, total, hold = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
done = int(state.read_text()) if state.exists() else 0
print(f"begins at {done}", flush=True)
for step in range(done, total):
    with pricetag.stage(f"step {step}"):
        time.sleep(0.1)
        while step == hold and not state.with_name("go").exists():
            time.sleep(0.1)
            pricetag.progress(step, total)
    pricetag.log(step=step, executed=step)
    pricetag.progress(step + 1, total)
    state.write_text(str(step + 1))
"""
STEPS = 20
START_S = 420.0
"""A worker starts within this time, even on a machine where much else starts."""
METERED_S = 2.0
"""A job runs at least this long before it is harmed, so that a percent can be resolved."""


@pytest.fixture
def lab(lent_lab: Service) -> Service:
    """One server for all tests; each has its workers."""
    return lent_lab


@dataclass(frozen=True)
class Counting:
    """A job that counts, saves its state at every step, and continues from there.

    It waits in one of its steps until it is let go.
    """

    folder: Path
    hold: int = 8

    @property
    def recipe(self) -> dict[str, Any]:
        script = self.folder / "count.py"
        script.write_text(COUNTER)
        state = self.folder / "state"
        argv = [sys.executable, str(script), str(state), str(STEPS), str(self.hold)]
        return {"stages": [{"kind": "command", "argv": argv}]}

    def let_go(self) -> None:
        (self.folder / "go").touch()


def executed_steps(lab: Service, run_id: UUID) -> list[int]:
    response = lab.http.get(f"/v1/runs/{run_id}/metrics", params={"limit": 1000}).json()
    return [int(item["value"]) for item in response["items"] if item["name"] == "executed"]


def logged(lab: Service, run_id: UUID) -> str:
    items = lab.http.get(f"/v1/runs/{run_id}/logs", params={"limit": 1000}).json()["items"]
    return "\n".join(item["text"] for item in items)


def wait_for_hold(lab: Service, run_id: UUID, job: Counting) -> int:
    """The job has come to the step that it waits in; its process."""
    wait_until(
        lambda: len(executed_steps(lab, run_id)) >= job.hold,
        f"{job.hold} steps",
        timeout_s=START_S,
        every_s=ASKED_EVERY_S,
    )
    time.sleep(METERED_S)
    child = lab.child_pid()
    assert child is not None
    return child


def test_a_run_survives_a_killed_worker(
    lab: Service, powercap: FakePowercap, tmp_path: Path
) -> None:
    worker = lab.start_worker()
    job = Counting(tmp_path)
    run_id = lab.submit(recipe=job.recipe)
    child = wait_for_hold(lab, run_id, job)
    os.kill(worker.pid, signal.SIGKILL)
    killed_s = time.time()
    wait_until(lambda: process_start_ticks(child) is None, "the child's end")
    assert lab.run(run_id)["status"] == "running"  # nobody knows better yet

    job.let_go()
    lab.start_worker(log="worker-2")
    run = lab.wait_for_end(run_id)
    tag = check_bill(lab, run_id, powercap)
    assert run["status"] == "succeeded"
    assert [(a["number"], a["status"]) for a in tag["attempts"]] == [(1, "lost"), (2, "succeeded")]
    assert tag["attempts"][0]["reason"]["code"] == "worker-lost"
    steps = executed_steps(lab, run_id)
    assert steps == list(range(STEPS))  # it continued where it was
    assert "begins at 0" in logged(lab, run_id)
    # The counters were read once more after the kill.
    first, second = tag["attempts"]
    end_s = meter_opened_s(lab.journals(run_id)[0]) + first["duration_s"]["value"]
    assert killed_s < end_s < datetime.fromisoformat(second["started_at"]).timestamp()
    assert "end_unread" not in first["flags"]


def test_a_killed_child_is_retried(lab: Service, powercap: FakePowercap, tmp_path: Path) -> None:
    lab.start_worker()
    job = Counting(tmp_path)
    run_id = lab.submit(recipe=job.recipe)
    child = wait_for_hold(lab, run_id, job)
    job.let_go()
    os.kill(child, signal.SIGKILL)
    run = lab.wait_for_end(run_id)
    tag = check_bill(lab, run_id, powercap)
    assert run["status"] == "succeeded"
    assert [(a["status"], (a["reason"] or {}).get("code")) for a in tag["attempts"]] == [
        ("interrupted", "child-killed"),
        ("succeeded", None),
    ]
    assert sorted(set(executed_steps(lab, run_id))) == list(range(STEPS))


def test_a_hanging_child_is_killed_and_billed(
    lab: Service, powercap: FakePowercap, tmp_path: Path
) -> None:
    lab.start_worker(environment={"PRICETAG_HEARTBEAT_TIMEOUT_S": "8"})
    job = Counting(tmp_path)
    run_id = lab.submit(recipe=job.recipe, max_attempts=1)
    child = wait_for_hold(lab, run_id, job)
    os.killpg(child, signal.SIGSTOP)
    run = lab.wait_for_end(run_id)
    assert run["status"] == "failed"
    assert run["status_reason"]["code"] == "attempts-exhausted"
    tag = check_bill(lab, run_id, powercap)
    assert tag["attempts"][0]["reason"]["code"] == "hung"


def test_a_run_survives_a_killed_database(
    lab: Service, powercap: FakePowercap, tmp_path: Path
) -> None:
    lab.start_worker()
    job = Counting(tmp_path)
    run_id = lab.submit(recipe=job.recipe)
    child = wait_for_hold(lab, run_id, job)
    postmaster = embedded_postgres.server_pid(lab.data_dir)
    assert postmaster is not None
    os.kill(postmaster, signal.SIGKILL)
    job.let_go()
    run = lab.wait_for_end(run_id)
    tag = check_bill(lab, run_id, powercap)
    assert run["status"] == "succeeded"
    assert lab.child_pid() in (None, child)
    assert [attempt["status"] for attempt in tag["attempts"]] == ["succeeded"]
    assert executed_steps(lab, run_id) == list(range(STEPS))
    assert tag["coverage_ratio"]["value"] == pytest.approx(1.0, abs=1e-3)


def test_a_run_survives_a_server_restart(
    lab: Service, powercap: FakePowercap, tmp_path: Path
) -> None:
    lab.start_worker()
    job = Counting(tmp_path)
    run_id = lab.submit(recipe=job.recipe)
    wait_for_hold(lab, run_id, job)
    os.kill(lab.server.pid, signal.SIGKILL)
    lab.server.wait()
    job.let_go()
    lab.start_server()
    run = lab.wait_for_end(run_id)
    tag = check_bill(lab, run_id, powercap)
    assert run["status"] == "succeeded"
    assert [attempt["status"] for attempt in tag["attempts"]] == ["succeeded"]
    assert executed_steps(lab, run_id) == list(range(STEPS))


def test_a_running_run_is_canceled(lab: Service, powercap: FakePowercap, tmp_path: Path) -> None:
    lab.start_worker()
    job = Counting(tmp_path)
    run_id = lab.submit(recipe=job.recipe)
    child = wait_for_hold(lab, run_id, job)
    assert lab.http.post(f"/v1/runs/{run_id}/cancel").status_code in (200, 202)
    run = lab.wait_for_end(run_id)
    assert run["status"] == "cancelled"
    assert process_start_ticks(child) is None
    check_bill(lab, run_id, powercap)
    assert lab.http.post(f"/v1/runs/{run_id}/cancel").status_code == 409


def test_a_stopped_worker_returns_its_run(
    lab: Service, powercap: FakePowercap, tmp_path: Path
) -> None:
    worker = lab.start_worker()
    job = Counting(tmp_path)
    run_id = lab.submit(recipe=job.recipe)
    wait_for_hold(lab, run_id, job)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=60) == 0
    assert lab.run(run_id)["status"] == "queued"
    job.let_go()
    lab.start_worker(log="worker-2")
    lab.wait_for_end(run_id)
    tag = check_bill(lab, run_id, powercap)
    assert [a["status"] for a in tag["attempts"]] == ["interrupted", "succeeded"]
    assert tag["attempts"][0]["reason"]["code"] == "worker-stopping"
    # Nothing is left that the server has not got.
    journals = lab.data_dir / "journal"
    wait_until(lambda: not list(journals.glob("*.jsonl")), "shipping")
    assert len(lab.journals(run_id)) == 2
