from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from pricetag.attempt.ending import every_record
from pricetag.attempt.last_moment import clock_of_meter
from pricetag.metering.journal import Journal
from pricetag.metering.journal_mark import mark
from pricetag.metering.machine import process_start_ticks
from tests.support.orphans import adopt_orphans
from workers.attempt.launch import note_child
from workers.attempt.recovery import end_at_once
from workers.node import identity as node
from workers.node.identity import worker_identity, worker_is_gone

START = {"type": "start", "t_s": 0.0}
READING = {"type": "reading", "t_s": 12.5, "component": "cpu"}


def test_a_dead_workers_journal_is_ended_at_its_last_reading(tmp_path: Path) -> None:
    attempt_id = uuid4()
    journal = Journal.create(tmp_path, attempt_id)
    journal.append(START)
    journal.append(READING)
    assert adopt_orphans(tmp_path) == []  # its writer lives: it is ours
    journal.close()

    [(adopted_id, adopted)] = adopt_orphans(tmp_path)
    assert adopted_id == attempt_id
    end = list(every_record(adopted))[-1]
    assert (end["type"], end["status"], end["t_s"]) == ("end", "lost", 12.5)
    assert end["reason"]["code"] == "worker-lost"
    adopted.close()

    # Ended once: whoever takes over again adds nothing.
    [(_, again)] = adopt_orphans(tmp_path)
    assert [record["type"] for record in every_record(again)] == ["start", "reading", "end"]
    again.mark_shipped()
    assert adopt_orphans(tmp_path) == []


@pytest.mark.parametrize(("told_s", "end_s"), [(13.4, 12.5), (60.0, 60.0)])
def test_an_attempt_ends_with_its_meter_unless_that_had_fallen_silent(
    tmp_path: Path, told_s: float, end_s: float
) -> None:
    journal = Journal.create(tmp_path, uuid4())
    for record in (START, READING, {"type": "log", "t_s": told_s, "text": "still here"}):
        journal.append(record)
    journal.close()
    [(_, adopted)] = adopt_orphans(tmp_path)
    assert list(every_record(adopted))[-1]["t_s"] == end_s
    adopted.close()


def sleeper(**environment: str) -> subprocess.Popen[bytes]:
    """A process in its own session."""
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


def incomplete(folder: Path, *, opened_s_ago: float) -> UUID:
    """A journal of 100 s at 50 W, whose worker died with later records in its memory."""
    attempt_id = uuid4()
    components = [
        {"id": "gpu", "kind": "gpu", "name": "g", "method": "integrated", "gain_std_ratio": 0.1}
        | {"power_limit_w": 700.0},
        {"id": "cpu", "kind": "cpu", "name": "c", "method": "modelled", "gain_std_ratio": 0.4},
    ]
    journal = Journal.create(folder, attempt_id)
    opened_at = datetime.now(UTC) - timedelta(seconds=opened_s_ago)
    start = {**START, "components": components, "clock": clock_of_meter(opened_s_ago)}
    journal.append({**start, "at": opened_at.isoformat()})
    for t_s in range(101):
        at = (opened_at + timedelta(seconds=t_s)).isoformat()
        for name in ("gpu", "cpu"):
            figures = {"integrated_j": 50.0 * t_s, "power_w": 50.0, "flags": []}
            record = {"type": "reading", "t_s": float(t_s), "component": name, "at": at}
            journal.append({**record, **figures})
    journal.sync()
    mark(journal._descriptor, journal.path)
    os.close(journal._descriptor)
    return attempt_id


@pytest.mark.parametrize("is_rebooted", [False, True])
def test_the_bound_of_a_journal_with_missing_records_reaches_until_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_rebooted: bool
) -> None:
    incomplete(tmp_path, opened_s_ago=7300.0)
    if is_rebooted:
        monkeypatch.setattr("pricetag.attempt.last_moment.boot_id", lambda: "another")
    [(_, journal)] = adopt_orphans(tmp_path)
    end = list(every_record(journal))[-1]
    journal.close()
    assert (end["status"], end["t_s"]) == ("lost", 100.0)
    # A job may come to use more than it did while it was read: up to the limit, where there is one.
    assert 700.0 * 7200 <= end["unread_j"]["gpu"] < 700.0 * 7300
    assert 50.0 * 7200 <= end["unread_j"]["cpu"] < 50.0 * 7300


def test_a_journal_with_missing_records_is_not_ended_without_asking_the_database(
    tmp_path: Path,
) -> None:
    attempt_id = incomplete(tmp_path, opened_s_ago=100.0)
    before = (tmp_path / f"{attempt_id}.jsonl").read_bytes()
    end_at_once(tmp_path, tmp_path)
    assert (tmp_path / f"{attempt_id}.jsonl").read_bytes() == before
    [(_, journal)] = adopt_orphans(tmp_path, ingested={attempt_id: 203})
    assert [record["type"] for record in every_record(journal)][-1] == "reading"
    journal.close()
    [(_, journal)] = adopt_orphans(tmp_path, ingested={attempt_id: 202})
    assert [record["type"] for record in every_record(journal)][-1] == "end"
    journal.close()


def test_a_complete_journal_of_a_worker_that_just_died_is_ended_at_once(tmp_path: Path) -> None:
    attempt_id = uuid4()
    journal = Journal.create(tmp_path, attempt_id)
    journal.append({**START, "clock": clock_of_meter(0.0)})
    journal.close()
    end_at_once(tmp_path, tmp_path)
    [(_, journal)] = adopt_orphans(tmp_path)
    assert [record["type"] for record in every_record(journal)] == ["start", "end"]
    journal.close()
