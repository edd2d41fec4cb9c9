"""Ten workers, many small runs: each is executed exactly once and none is lost.

One worker is killed at the same time. The work of its job cannot be undone, so that one run, and no
other, may have left its mark twice.
"""

from __future__ import annotations

import contextlib
import json
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import pytest

from tests.support.service import Service, wait_until

pytestmark = pytest.mark.slow

WORKERS = 10
RUNS = 100
BEFORE_THE_KILL = 30
MARK = 'echo "$0" >> "$1"; sleep 0.05'


def marks(file: Path) -> Counter[str]:
    return Counter(file.read_text().split())


def post(lab: Service, number: int, file: Path) -> UUID:
    argv = ["/bin/sh", "-c", MARK, str(number), str(file)]
    return lab.submit(name=str(number), recipe={"stages": [{"kind": "command", "argv": argv}]})


def working(lab: Service) -> Iterator[tuple[psutil.Process, Path]]:
    """Worker processes that have a child now, each with the journal of its attempt."""
    workers = {process.pid for process in lab.processes[1:]}  # the first is the server
    for note in (lab.data_dir / "journal").glob("*.child.json"):
        with contextlib.suppress(OSError, ValueError, psutil.NoSuchProcess):
            ancestors = psutil.Process(int(json.loads(note.read_text())["pid"])).parents()
            worker = next((process for process in ancestors if process.pid in workers), None)
            if worker is not None:
                yield worker, note.with_name(note.name.replace(".child.json", ".jsonl"))


def kill_in_mid_run(lab: Service) -> UUID | None:
    """Kills a worker whose job is under way; returns the run, or None if it was too late."""
    for worker, journal in working(lab):
        worker.send_signal(signal.SIGSTOP)
        records = [json.loads(line) for line in journal.read_bytes().splitlines()]
        types = {record["type"] for record in records}
        if "environment" in types and "end" not in types:
            worker.kill()
            return UUID(records[0]["run_id"])
        worker.send_signal(signal.SIGCONT)
    return None


def outcome(run: dict[str, Any]) -> tuple[str, list[str]]:
    return run["status"], [attempt["status"] for attempt in run["attempts"]]


def test_each_run_is_executed_exactly_once(lab: Service, tmp_path: Path) -> None:
    file = tmp_path / "marks"
    file.touch()
    for number in range(WORKERS):
        lab.start_worker("--gpus", "none", "--cpu-slots", "1", log=f"worker-{number}")
    with ThreadPoolExecutor(4) as pool:
        posting = [pool.submit(post, lab, number, file) for number in range(RUNS)]
        run_ids = [posted.result() for posted in posting]
    wait_until(lambda: marks(file).total() >= BEFORE_THE_KILL, f"{BEFORE_THE_KILL} marks")
    killed = wait_until(lambda: kill_in_mid_run(lab), "a worker in mid-run")

    def over() -> bool:
        open_runs = lab.http.get("/v1/runs", params={"status": ["queued", "running"]})
        return open_runs.status_code == 200 and not open_runs.json()["items"]

    wait_until(over, "the end of all runs", every_s=0.25)
    outcomes = {run_id: outcome(lab.run(run_id)) for run_id in run_ids}
    assert outcomes.pop(killed) == ("succeeded", ["lost", "succeeded"])
    assert set(map(repr, outcomes.values())) == {repr(("succeeded", ["succeeded"]))}

    numbers = {run_id: str(number) for number, run_id in enumerate(run_ids)}
    written = marks(file)
    assert written.pop(numbers.pop(killed)) in (1, 2)
    assert written == Counter(dict.fromkeys(numbers.values(), 1))

    journals = lab.data_dir / "journal"
    wait_until(lambda: not list(journals.glob("*.jsonl")), "shipping")
    assert len(list(journals.glob("*.jsonl.shipped"))) == RUNS + 1
    listed = lab.items("/v1/runs", project="e2e", limit=200)
    assert {UUID(run["id"]) for run in listed} == set(run_ids)
    assert all(run["price_tag"]["it_energy_kwh"] > 0 for run in listed)
