"""Killing a run in the middle of a stage, by the events in its journal."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.methods import prove
from benchmarks.methods.plan import Trial
from benchmarks.methods.state import Record

TRIAL = Trial(0, "sst2", "quantize-bf16")
QUANTIZED: Any = {
    "id": "7",
    "status": "running",
    "recipe": {"stages": [{"kind": "quantize", "method": "bf16"}, {"kind": "measure"}]},
    "progress": None,
    "attempts": [],
}
EVENTS = [
    {"type": "start", "run_id": "7"},
    {"type": "stage_start", "key": "0", "kind": "quantize-bf16"},
    {"type": "reading"},
]
ENDED = {"type": "stage_end", "key": "0"}


def journal(folder: Path, *events: dict[str, Any]) -> None:
    (folder / "other.jsonl").write_text(json.dumps({"type": "start", "run_id": "8"}) + "\n")
    text = "\n".join(json.dumps(event) for event in events)
    (folder / "one.jsonl").write_text(text + '\n{"type": "stage_st')  # half written


@contextmanager
def job() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_open_stages_are_those_of_the_runs_own_journal(tmp_path: Path) -> None:
    journal(tmp_path, *EVENTS)
    assert prove.open_kinds(tmp_path, "7") == ["quantize-bf16"]
    assert prove.open_kinds(tmp_path, "8") == []
    assert prove.open_kinds(tmp_path, "9") == []
    journal(tmp_path, *EVENTS, ENDED)
    assert prove.open_kinds(tmp_path, "7") == []


@pytest.mark.parametrize("duration_s", [None, 0.02])
def test_a_stage_without_steps_is_killed_by_the_event_with_which_it_opens(
    tmp_path: Path, duration_s: float | None
) -> None:
    journal(tmp_path, *EVENTS)
    client: Any = SimpleNamespace(get_run=lambda run_id: QUANTIZED)
    stage = {"kind": "quantize-bf16", "start_s": 1.0, "end_s": 1.0 + (duration_s or 0.0)}
    earlier = None if duration_s is None else QUANTIZED | {"attempts": [{"stages": [stage]}]}
    with job() as process:
        proof = prove.Proof(client, lambda: process.pid, tmp_path)
        killed = proof.kill_once("7", "quantize-bf16", earlier)
        assert process.wait() == -signal.SIGKILL
    assert killed is not None
    assert killed["stage"] == "quantize-bf16"
    record = Record(TRIAL, "", "succeeded", seen={"killed": killed})
    when = "" if duration_s is None else " after 0.01 of 0.02 s"
    assert prove.where_killed(record) == f"in quantize-bf16{when}"


def test_a_process_whose_stage_has_ended_continues(tmp_path: Path) -> None:
    journal(tmp_path, *EVENTS, ENDED)
    client: Any = SimpleNamespace(get_run=lambda run_id: QUANTIZED | {"status": "succeeded"})
    with job() as process:
        proof = prove.Proof(client, lambda: process.pid, tmp_path)
        assert proof._kill_if_open(process.pid, QUANTIZED, "quantize-bf16") is None
        assert process.poll() is None
        assert "T" not in Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        assert proof.kill_once("7", "quantize-bf16") is None
        assert process.poll() is None
