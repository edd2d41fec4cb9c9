"""Real processes are killed: nothing measured is lost, nothing runs twice, causes are stated."""

from __future__ import annotations

import os
import signal
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from app import embedded_postgres
from tests.support.bills import check_bill
from tests.support.fake_powercap import FakePowercap
from tests.support.service import Service, wait_until
from workers.node.identity import process_start_ticks

pytestmark = pytest.mark.slow

COUNTER = """
import json, pathlib, sys, time
import pricetag
state, total, pause = pathlib.Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
done = int(state.read_text()) if state.exists() else 0
print(f"begins at {done}", flush=True)
for step in range(done, total):
    with pricetag.stage(f"step {step}"):
        time.sleep(pause)
    pricetag.log(step=step, executed=step)
    pricetag.progress(step + 1, total)
    state.write_text(str(step + 1))
"""


def counting(folder: Path, *, steps: int, pause_s: float) -> dict[str, Any]:
    """A job that counts, saves its state at every step, and goes on from there."""
    script = folder / "count.py"
    script.write_text(COUNTER)
    argv = [sys.executable, str(script), str(folder / "state"), str(steps), str(pause_s)]
    return {"stages": [{"kind": "command", "argv": argv}]}


def executed_steps(lab: Service, run_id: UUID) -> list[int]:
    answer = lab.http.get(f"/v1/runs/{run_id}/metrics", params={"limit": 1000}).json()
    return [int(item["value"]) for item in answer["items"] if item["name"] == "executed"]


def logged(lab: Service, run_id: UUID) -> str:
    items = lab.http.get(f"/v1/runs/{run_id}/logs", params={"limit": 1000}).json()["items"]
    return "\n".join(item["text"] for item in items)


def wait_for_steps(lab: Service, run_id: UUID, count: int) -> None:
    wait_until(lambda: len(executed_steps(lab, run_id)) >= count, f"{count} steps")


def test_a_run_survives_a_killed_worker(
    lab: Service, powercap: FakePowercap, tmp_path: Path
) -> None:
    worker = lab.start_worker()
    run_id = lab.submit(recipe=counting(tmp_path, steps=24, pause_s=0.4))
    wait_for_steps(lab, run_id, 8)
    child = lab.child_pid()
    assert child is not None
    os.kill(worker.pid, signal.SIGKILL)
    killed_s = time.time()
    wait_until(lambda: process_start_ticks(child) is None, "the child's end", timeout_s=5)
    assert lab.run(run_id)["status"] == "running"  # nobody knows better yet

    lab.start_worker(log="worker-2")
    run = lab.wait_for_end(run_id)
    tag = check_bill(lab, run_id, powercap)
    assert run["status"] == "succeeded"
    assert [(a["number"], a["status"]) for a in tag["attempts"]] == [(1, "lost"), (2, "succeeded")]
    assert tag["attempts"][0]["reason"]["code"] == "worker-lost"
    steps = executed_steps(lab, run_id)
    assert sorted(set(steps)) == list(range(24))
    assert len(steps) <= 25  # it went on where it was: at most the step that was cut is repeated
    assert "begins at 0" in logged(lab, run_id)
    first = tag["attempts"][0]
    began_s = datetime.fromisoformat(first["started_at"]).timestamp()
    # Only the opening of the meter is missing: the counters were read once more after the kill.
    assert killed_s - began_s - 1.0 < first["duration_s"]["value"] < killed_s - began_s + 2.0
    assert "end_unread" not in first["flags"]


def test_a_killed_child_is_retried(lab: Service, powercap: FakePowercap, tmp_path: Path) -> None:
    lab.start_worker()
    run_id = lab.submit(recipe=counting(tmp_path, steps=16, pause_s=0.3))
    wait_for_steps(lab, run_id, 5)
    child = lab.child_pid()
    assert child is not None
    os.kill(child, signal.SIGKILL)
    run = lab.wait_for_end(run_id)
    tag = check_bill(lab, run_id, powercap)
    assert run["status"] == "succeeded"
    assert [(a["status"], (a["reason"] or {}).get("code")) for a in tag["attempts"]] == [
        ("interrupted", "child-killed"),
        ("succeeded", None),
    ]
    assert sorted(set(executed_steps(lab, run_id))) == list(range(16))


def test_a_hanging_child_is_killed_and_billed(
    lab: Service, powercap: FakePowercap, tmp_path: Path
) -> None:
    lab.environment["PRICETAG_HEARTBEAT_TIMEOUT_S"] = "8"
    lab.start_worker()
    run_id = lab.submit(recipe=counting(tmp_path, steps=12, pause_s=0.3), max_attempts=1)
    wait_for_steps(lab, run_id, 3)
    child = lab.child_pid()
    assert child is not None
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
    run_id = lab.submit(recipe=counting(tmp_path, steps=24, pause_s=0.4))
    wait_for_steps(lab, run_id, 6)
    child = lab.child_pid()
    postmaster = embedded_postgres.server_pid(lab.data_dir)
    assert postmaster is not None
    os.kill(postmaster, signal.SIGKILL)
    run = lab.wait_for_end(run_id)
    tag = check_bill(lab, run_id, powercap)
    assert run["status"] == "succeeded"
    assert lab.child_pid() in (None, child)
    assert [attempt["status"] for attempt in tag["attempts"]] == ["succeeded"]
    assert executed_steps(lab, run_id) == list(range(24))
    assert tag["coverage_ratio"]["value"] == pytest.approx(1.0, abs=1e-3)


def test_a_run_survives_a_server_restart(
    lab: Service, powercap: FakePowercap, tmp_path: Path
) -> None:
    lab.start_worker()
    run_id = lab.submit(recipe=counting(tmp_path, steps=16, pause_s=0.3))
    wait_for_steps(lab, run_id, 4)
    os.kill(lab.processes[0].pid, signal.SIGKILL)
    lab.processes[0].wait()
    lab.start_server()
    run = lab.wait_for_end(run_id)
    tag = check_bill(lab, run_id, powercap)
    assert run["status"] == "succeeded"
    assert [attempt["status"] for attempt in tag["attempts"]] == ["succeeded"]
    assert executed_steps(lab, run_id) == list(range(16))


def test_a_running_run_is_cancelled(lab: Service, powercap: FakePowercap, tmp_path: Path) -> None:
    lab.start_worker()
    run_id = lab.submit(recipe=counting(tmp_path, steps=1000, pause_s=0.3))
    wait_for_steps(lab, run_id, 3)
    child = lab.child_pid()
    assert child is not None
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
    run_id = lab.submit(recipe=counting(tmp_path, steps=16, pause_s=0.3))
    wait_for_steps(lab, run_id, 4)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=30) == 0
    assert lab.run(run_id)["status"] == "queued"
    lab.start_worker(log="worker-2")
    lab.wait_for_end(run_id)
    tag = check_bill(lab, run_id, powercap)
    assert [a["status"] for a in tag["attempts"]] == ["interrupted", "succeeded"]
    assert tag["attempts"][0]["reason"]["code"] == "worker-stopping"


def test_no_journal_is_left_unshipped(lab: Service, tmp_path: Path) -> None:
    lab.start_worker()
    run_id = lab.submit(recipe=counting(tmp_path, steps=2, pause_s=0.1))
    lab.wait_for_end(run_id)
    journals = lab.data_dir / "journal"
    wait_until(lambda: not list(journals.glob("*.jsonl")), "shipping")
    assert len(list(journals.glob("*.shipped"))) == 1
