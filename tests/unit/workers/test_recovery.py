from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from pricetag.metering.journal import Journal
from workers.attempt.launch import note_child
from workers.attempt.recovery import adopt_orphans, every_record
from workers.node import identity as node
from workers.node.identity import process_start_ticks, worker_identity, worker_is_gone

START = {"type": "start", "t_s": 0.0}
READING = {"type": "reading", "t_s": 12.5, "component": "cpu"}


def test_a_dead_workers_journal_is_ended_at_its_last_reading(tmp_path: Path) -> None:
    attempt_id = uuid4()
    journal = Journal.create(tmp_path, attempt_id)
    journal.append(START)
    journal.append(READING)
    assert list(adopt_orphans(tmp_path)) == []  # its writer lives: it is ours
    journal.close()

    [(adopted_id, adopted)] = list(adopt_orphans(tmp_path))
    assert adopted_id == attempt_id
    end = list(every_record(adopted))[-1]
    assert (end["type"], end["status"], end["t_s"]) == ("end", "lost", 12.5)
    assert end["reason"]["code"] == "worker-lost"
    adopted.close()

    # Ended once: whoever takes over again adds nothing.
    [(_, again)] = list(adopt_orphans(tmp_path))
    assert [record["type"] for record in every_record(again)] == ["start", "reading", "end"]
    again.mark_shipped()
    assert list(adopt_orphans(tmp_path)) == []


@pytest.mark.parametrize(("told_s", "end_s"), [(13.4, 12.5), (60.0, 60.0)])
def test_an_attempt_ends_with_its_meter_unless_that_had_fallen_silent(
    tmp_path: Path, told_s: float, end_s: float
) -> None:
    journal = Journal.create(tmp_path, uuid4())
    for record in (START, READING, {"type": "log", "t_s": told_s, "text": "still here"}):
        journal.append(record)
    journal.close()
    [(_, adopted)] = list(adopt_orphans(tmp_path))
    assert list(every_record(adopted))[-1]["t_s"] == end_s
    adopted.close()


def sleeper(**environment: str) -> subprocess.Popen[bytes]:
    """A process in a session of its own."""
    code = "import time; time.sleep(60)"
    return subprocess.Popen(
        [sys.executable, "-c", code], start_new_session=True, env={**os.environ, **environment}
    )


def test_the_child_of_a_dead_worker_is_killed_with_all_it_started(tmp_path: Path) -> None:
    attempt_id = uuid4()
    events = tmp_path / "events.sock"
    Journal.create(tmp_path, attempt_id).close()
    child, daemon = sleeper(), sleeper(PRICETAG_EVENTS=str(events))
    stranger = sleeper(PRICETAG_EVENTS=f"{events}2")
    note = tmp_path / f"{attempt_id}.child.json"
    note_child(note, child.pid, events)
    try:
        for _, journal in adopt_orphans(tmp_path):
            journal.close()
        assert child.wait(timeout=60) == -signal.SIGKILL
        assert daemon.wait(timeout=60) == -signal.SIGKILL
        assert stranger.poll() is None
        assert not note.exists()
    finally:
        for process in (child, daemon, stranger):
            process.kill()
            process.wait()


def test_a_process_that_merely_has_the_same_pid_is_left_alone(tmp_path: Path) -> None:
    attempt_id = uuid4()
    Journal.create(tmp_path, attempt_id).close()
    other = sleeper()
    try:
        note = tmp_path / f"{attempt_id}.child.json"
        identity = {"pid": other.pid, "start_ticks": 1, "events": str(tmp_path / "events.sock")}
        note.write_text(json.dumps(identity))
        for _, journal in adopt_orphans(tmp_path):
            journal.close()
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_worker_is_identified_by_more_than_its_pid() -> None:
    mine = worker_identity("node:with:colons")
    name, machine, boot, pid, _ticks = mine.rsplit(":", 4)
    assert not worker_is_gone(mine)
    assert worker_is_gone(f"{name}:{machine}:{boot}:{pid}:1")  # the pid is used again


def test_only_our_own_machine_can_be_known_to_have_rebooted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(node, "machine_id", lambda: "here")
    assert worker_is_gone("node:here:another-boot:1:1")
    assert not worker_is_gone("node:elsewhere:another-boot:1:1")
    monkeypatch.setattr(node, "machine_id", lambda: "unknown")
    assert not worker_is_gone("node:unknown:another-boot:1:1")


def test_a_dead_process_has_no_start() -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert process_start_ticks(done.pid) is None
