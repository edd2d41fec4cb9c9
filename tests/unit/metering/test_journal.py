from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import pytest

from pricetag.metering.journal import (
    Journal,
    JournalError,
    JournalFullError,
    JournalLockedError,
    find_orphans,
    purge_shipped,
)

ATTEMPT = uuid.UUID("12345678-1234-5678-1234-567812345678")


def test_records_are_numbered_and_read_back(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "journal", ATTEMPT)
    assert journal.path == tmp_path / "journal" / f"{ATTEMPT}.jsonl"
    assert journal.append({"type": "start", "t_s": 0.0, "at": "2030-01-01T00:00:00+00:00"}) == 0
    assert journal.append({"type": "log", "text": "naïve\nline\u2028"}) == 1
    first, second = journal.read_from(0, 10)
    assert first == {"seq": 0, "type": "start", "t_s": 0.0, "at": "2030-01-01T00:00:00+00:00"}
    assert second["text"] == "naïve\nline\u2028"
    assert second["at"].endswith("+00:00")
    journal.close()


@pytest.mark.parametrize(("seq", "limit"), [(0, 1), (3, 5), (255, 2), (256, 300), (990, 100)])
def test_any_range_of_records_can_be_read(tmp_path: Path, seq: int, limit: int) -> None:
    journal = Journal.create(tmp_path, ATTEMPT)
    for number in range(1000):
        journal.append({"type": "log", "text": "x" * (number % 7)})
    numbers = [record["seq"] for record in journal.read_from(seq, limit)]
    assert numbers == list(range(seq, min(seq + limit, 1000)))
    assert journal.read_from(1000, 5) == []
    journal.close()


def test_append_hands_a_record_to_the_operating_system_before_it_returns(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, ATTEMPT)
    journal.append({"type": "log", "text": "here"})
    assert json.loads(journal.path.read_text())["text"] == "here"
    journal.close()


def test_many_threads_write_whole_lines_in_order(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, ATTEMPT)

    def write(name: int) -> None:
        for _ in range(100):
            journal.append({"type": "log", "by": name})

    threads = [threading.Thread(target=write, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records = journal.read_from(0, 1000)
    assert [record["seq"] for record in records] == list(range(800))
    assert sorted({record["by"] for record in records}) == list(range(8))
    journal.close()


@pytest.mark.parametrize(
    "record", [{"seq": 3, "type": "log"}, {"type": "metric", "value": float("nan")}]
)
def test_records_that_no_reader_can_parse_are_rejected(
    tmp_path: Path, record: dict[str, object]
) -> None:
    journal = Journal.create(tmp_path, ATTEMPT)
    with pytest.raises(ValueError, match=r"assigned by the journal|not JSON compliant"):
        journal.append(record)
    assert journal.append({"type": "log"}) == 0
    journal.close()


def test_an_attempt_has_one_journal(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, ATTEMPT)
    with pytest.raises(JournalError, match="has a journal already"):
        Journal.create(tmp_path, ATTEMPT)
    with pytest.raises(JournalLockedError):
        Journal.open_existing(journal.path)
    journal.close()
    again = Journal.open_existing(journal.path)
    assert again.append({"type": "log"}) == 0
    again.close()


@pytest.mark.parametrize(
    "tail",
    [
        b'{"seq":2,"type":"lo',
        b'{"seq":2,"type":"log"}',
        b"\x00\x00\x00\x00\x00\n",
        b'{"seq":7,"type":"log"}\n',
        b'["seq",2]\n{"seq":3}\n',
    ],
)
def test_lines_torn_by_a_crash_are_set_aside_and_logged(tmp_path: Path, tail: bytes) -> None:
    journal = Journal.create(tmp_path, ATTEMPT)
    journal.append({"type": "start"})
    journal.append({"type": "log"})
    journal.close()
    with journal.path.open("ab") as file:
        file.write(tail)
    again = Journal.open_existing(journal.path)
    assert again.dropped_bytes == len(tail)
    assert again.append({"type": "end"}) == 2
    assert [record["type"] for record in again.read_from(0, 9)] == ["start", "log", "end"]
    assert (tmp_path / f"{ATTEMPT}.jsonl.torn").read_bytes() == tail
    again.close()
    whole = Journal.open_existing(journal.path)
    assert whole.dropped_bytes == 0
    whole.close()


WRITER = """
import sys, time
from pathlib import Path
from pricetag.metering.journal import Journal
journal = Journal.create(Path(sys.argv[1]), sys.argv[2])
for number in range(20):
    journal.append({"type": "log", "number": number})
print("written", flush=True)
time.sleep(60)
"""


def test_a_killed_writer_leaves_an_orphan_with_everything_it_wrote(tmp_path: Path) -> None:
    mine = Journal.create(tmp_path, "mine")
    command = [sys.executable, "-c", WRITER, str(tmp_path), str(ATTEMPT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"written\n"
        assert find_orphans(tmp_path) == []
        writer.kill()
    assert find_orphans(tmp_path) == [tmp_path / f"{ATTEMPT}.jsonl"]
    orphan = Journal.open_existing(find_orphans(tmp_path)[0])
    assert orphan.attempt_id == str(ATTEMPT)
    assert [record["number"] for record in orphan.read_from(0, 99)] == list(range(20))
    assert find_orphans(tmp_path) == []
    orphan.mark_shipped()
    mine.close()
    assert find_orphans(tmp_path) == [mine.path]


def test_a_shipped_journal_is_kept_until_it_is_purged(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, ATTEMPT)
    journal.append({"type": "end"})
    journal.mark_shipped()
    shipped = tmp_path / f"{ATTEMPT}.jsonl.shipped"
    assert shipped.exists()
    assert find_orphans(tmp_path) == []
    with pytest.raises(JournalError, match="is closed"):
        journal.append({"type": "log"})
    assert purge_shipped(tmp_path, older_than_s=3600.0) == 0
    os.utime(shipped, (0, 0))
    assert purge_shipped(tmp_path, older_than_s=3600.0) == 1
    assert not shipped.exists()


def test_a_shipped_journal_cannot_be_opened_again(tmp_path: Path) -> None:
    Journal.create(tmp_path, ATTEMPT).mark_shipped()
    with pytest.raises(FileNotFoundError):
        Journal.open_existing(tmp_path / f"{ATTEMPT}.jsonl")


def test_a_missing_folder_has_no_orphans(tmp_path: Path) -> None:
    assert find_orphans(tmp_path / "nowhere") == []
    assert purge_shipped(tmp_path / "nowhere", older_than_s=0.0) == 0


def test_a_full_disk_is_reported_and_leaves_no_partial_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal.create(tmp_path, ATTEMPT)
    journal.append({"type": "start"})
    write = os.write
    room = [10]

    def fill(descriptor: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = write(descriptor, data[: room[0]])
        room[0] -= written
        return written

    monkeypatch.setattr(os, "write", fill)
    with pytest.raises(JournalFullError, match="disk full"):
        journal.append({"type": "log", "text": "too long"})
    monkeypatch.setattr(os, "write", write)
    assert journal.append({"type": "end"}) == 1
    assert [record["type"] for record in journal.read_from(0, 9)] == ["start", "end"]
    journal.close()


def test_free_space_is_queried_at_most_once_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = [100.0]
    synced: list[int] = []
    monkeypatch.setattr("pricetag.metering.journal.time.monotonic", lambda: now_s[0])
    monkeypatch.setattr("pricetag.metering.journal.os.fdatasync", synced.append)
    journal = Journal.create(tmp_path, ATTEMPT)
    for _ in range(25):
        journal.append({"type": "log"})
        now_s[0] += 0.1
    assert len(synced) == 2
    journal.sync()
    journal.sync()
    assert len(synced) == 3
    journal.close()


@pytest.mark.parametrize(("seq", "limit"), [(-1, 5), (0, 0)])
def test_invalid_ranges_are_rejected(tmp_path: Path, seq: int, limit: int) -> None:
    journal = Journal.create(tmp_path, ATTEMPT)
    with pytest.raises(ValueError, match="must be 0 or more"):
        journal.read_from(seq, limit)
    journal.close()


class SmallDisk:
    """Has room for some bytes of the journal; the test changes how many."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, reason: int) -> None:
        self.room_bytes = 10**9
        write = os.write

        def limited(descriptor: int, data: bytes) -> int:
            if not self.room_bytes:
                raise OSError(reason, os.strerror(reason))
            written = write(descriptor, data[: self.room_bytes])
            self.room_bytes -= written
            return written

        monkeypatch.setattr(os, "write", limited)


REASONS = [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO]


@pytest.mark.parametrize("reason", REASONS, ids=errno.errorcode.get)
@pytest.mark.parametrize("room_bytes", [0, 1, 100, 5000])
def test_records_that_must_not_be_lost_wait_in_memory_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int, room_bytes: int
) -> None:
    journal = Journal.create(tmp_path, ATTEMPT)
    disk = SmallDisk(monkeypatch, reason)
    for number in range(300):
        journal.append({"type": "log", "number": number})
    disk.room_bytes = room_bytes
    for number in range(300, 2000):
        if number % 100 == 0:
            disk.room_bytes = 0
            with pytest.raises(JournalError):
                journal.append({"type": "log", "number": -1})
            disk.room_bytes = room_bytes
        journal.append({"type": "reading", "number": number}, keep=True)
    assert journal.waiting_bytes > 0
    everything = journal.read_from(0, 10**6)
    assert [record["number"] for record in everything] == list(range(2000))
    assert [record["seq"] for record in everything] == list(range(2000))
    for seq, limit in ((0, 10), (250, 100), (299, 2), (300, 700), (1999, 5), (10**5, 1)):
        assert journal.read_from(seq, limit) == everything[seq : seq + limit]
    disk.room_bytes = 10**9
    journal.append({"type": "log", "number": 2000})
    assert journal.waiting_bytes == 0
    journal.close()
    again = Journal.open_existing(journal.path)
    assert again.dropped_bytes == 0
    assert again.read_from(0, 10**6)[:-1] == everything
    again.close()


def test_a_line_that_could_not_be_cut_off_is_set_aside_before_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal.create(tmp_path, ATTEMPT)
    journal.append({"type": "start"})
    disk = SmallDisk(monkeypatch, errno.EIO)
    disk.room_bytes = 10
    with monkeypatch.context() as failing:
        failing.setattr(os, "ftruncate", _refuse)
        journal.append({"type": "end"}, keep=True)
    disk.room_bytes = 10**9
    journal.sync()
    journal.close()
    again = Journal.open_existing(journal.path)
    assert [record["type"] for record in again.read_from(0, 9)] == ["start", "end"]
    assert again.dropped_bytes == 0
    again.close()


def _refuse(*_: object) -> None:
    raise OSError(errno.EIO, "Input/output error")


def test_a_torn_journal_is_taken_over_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal.create(tmp_path, ATTEMPT)
    journal.append({"type": "start"})
    journal.close()
    whole = journal.path.read_bytes()
    with journal.path.open("ab") as file:
        file.write(b'{"seq":1,"ty')
    with monkeypatch.context() as full:
        full.setattr("pricetag.metering.journal._copy_rest", _refuse)
        again = Journal.open_existing(journal.path)
        assert again.append({"type": "end"}, keep=True) == 1
        assert [record["type"] for record in again.read_from(0, 9)] == ["start", "end"]
        assert journal.path.read_bytes() == whole + b'{"seq":1,"ty'
    again.sync()
    assert (tmp_path / f"{ATTEMPT}.jsonl.torn").read_bytes() == b'{"seq":1,"ty'
    again.close()
    assert [json.loads(line)["type"] for line in journal.path.read_text().splitlines()] == [
        "start",
        "end",
    ]


def test_a_journal_in_the_database_is_set_aside_without_space_for_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal.create(tmp_path, ATTEMPT)
    journal.append({"type": "start"})
    SmallDisk(monkeypatch, errno.ENOSPC).room_bytes = 0
    journal.append({"type": "end"}, keep=True)
    with pytest.raises(JournalFullError):
        journal.sync()
    journal.mark_shipped()
    assert find_orphans(tmp_path) == []
    assert (tmp_path / f"{ATTEMPT}.jsonl.shipped").exists()


def killed(journal: Journal) -> Path:
    """The file of a journal whose writer dies now, with what it has in memory."""
    os.close(journal._descriptor)
    return journal.path


@pytest.mark.parametrize("reason", REASONS, ids=errno.errorcode.get)
def test_a_journal_shows_that_its_dead_writer_had_records_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    journal = Journal.create(tmp_path, ATTEMPT)
    journal.append({"type": "start"})
    with monkeypatch.context() as full:
        SmallDisk(full, reason).room_bytes = 0
        journal.append({"type": "reading"}, keep=True)
        again = Journal.open_existing(killed(journal))
        assert again.is_incomplete
        again.append({"type": "end"}, keep=True)
        with pytest.raises(JournalError):
            again.sync()
        once_more = Journal.open_existing(killed(again))
        assert once_more.is_incomplete
        with pytest.raises(JournalError):
            once_more.append({"type": "end"})
        once_more.close()  # without an end: it stays marked
    last = Journal.open_existing(journal.path)
    assert last.is_incomplete
    last.append({"type": "end"})
    last.sync()
    assert not Journal.open_existing(killed(last)).is_incomplete


def test_a_journal_is_complete_only_when_its_records_are_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal.create(tmp_path, ATTEMPT)
    journal.append({"type": "start"})
    disk = SmallDisk(monkeypatch, errno.ENOSPC)
    disk.room_bytes = 0
    journal.append({"type": "reading"}, keep=True)
    disk.room_bytes = 10**9
    with monkeypatch.context() as failing:
        failing.setattr(os, "fdatasync", _refuse)
        with pytest.raises(JournalError, match="cannot sync"):
            journal.sync()
        assert journal.waiting_bytes == 0
        again = Journal.open_existing(killed(journal))
        assert again.is_incomplete  # the machine may crash before they are on the disk
    again.append({"type": "end"})
    again.sync()
    whole = Journal.open_existing(killed(again))
    assert not whole.is_incomplete
    assert [record["type"] for record in whole.read_from(0, 9)] == ["start", "reading", "end"]
    whole.close()


def test_a_mark_that_cannot_be_set_costs_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal.create(tmp_path, ATTEMPT)
    with monkeypatch.context() as failing:
        SmallDisk(failing, errno.EROFS).room_bytes = 0
        failing.setattr(os, "fchmod", _refuse)
        failing.setattr(os, "fsync", _refuse)
        journal.append({"type": "start"}, keep=True)
        failing.undo()
        SmallDisk(failing, errno.EROFS).room_bytes = 0
        failing.setattr(os, "fsync", _refuse)
        journal.append({"type": "reading"}, keep=True)  # now it can be
        assert (journal.path.stat().st_mode & 0o777) == 0o700
    journal.sync()
    journal.close()
    whole = Journal.open_existing(journal.path)
    assert (whole.count, whole.is_incomplete) == (2, False)
    whole.close()


def test_records_are_unsafe_while_they_reach_neither_disk_nor_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = [100.0]
    monkeypatch.setattr("pricetag.metering.journal.time.monotonic", lambda: now_s[0])
    journal = Journal.create(tmp_path, ATTEMPT)
    journal.append({"type": "start"})
    disk = SmallDisk(monkeypatch, errno.ENOSPC)
    disk.room_bytes = 0
    now_s[0] += 50.0
    assert journal.unsafe_s == 0.0
    for _ in range(10):
        journal.append({"type": "reading"}, keep=True)
        now_s[0] += 10.0
    assert journal.unsafe_s == 100.0
    journal.note_shipped(5)  # the database takes records again, but not all are there
    assert journal.unsafe_s == 0.0
    now_s[0] += 10.0
    assert journal.unsafe_s == 10.0
    journal.note_shipped(11)
    now_s[0] += 10.0
    assert journal.unsafe_s == 0.0  # all of them are in the database
    journal.append({"type": "reading"}, keep=True)
    now_s[0] += 10.0
    assert journal.unsafe_s == 10.0
    disk.room_bytes = 10**9
    journal.sync()
    now_s[0] += 10.0
    assert journal.unsafe_s == 0.0
    journal.close()
