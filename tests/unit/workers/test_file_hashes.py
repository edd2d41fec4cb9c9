"""Hashes of files are remembered only as long as the file is the same."""

from __future__ import annotations

import hashlib
import json
import os
from itertools import count
from pathlib import Path

import pytest

from workers.job import file_hashes
from workers.job.file_hashes import FileHashes, Hashed


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that counts as settled right after it was written."""
    monkeypatch.setattr(file_hashes, "SETTLED_S", -1.0)
    path = tmp_path / "train.tsv"
    path.write_bytes(b"sentence\tlabel\n")
    return path


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return tmp_path / "hashes" / "hashes.json"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def hashed(notes: Path | None, file: Path) -> Hashed:
    """The hash of the file in its own job."""
    hashes = FileHashes(notes)
    result = hashes.of(file)
    hashes.keep()
    return result


def never(self: FileHashes, path: Path) -> str:
    raise AssertionError(f"{path} was read again")


@pytest.mark.parametrize("size", [0, 1, file_hashes.CHUNK_BYTES, file_hashes.CHUNK_BYTES + 1])
def test_the_hash_is_that_of_the_content(file: Path, notes: Path, size: int) -> None:
    content = os.urandom(size)
    file.write_bytes(content)
    for where in (None, notes, notes):
        assert hashed(where, file) == Hashed(size, sha256(content), None)


def test_an_unchanged_file_is_read_once(
    file: Path, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = hashed(notes, file)
    monkeypatch.setattr(FileHashes, "_content", never)
    assert hashed(notes, file) == first
    with pytest.raises(AssertionError):
        hashed(None, file)


def rewritten(file: Path) -> None:
    """Same size, same time of modification."""
    before = file.stat()
    file.write_bytes(b"sentence\tlabel!")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced(file: Path) -> None:
    """Another file under the same name."""
    before = file.stat()
    other = file.with_name("other")
    other.write_bytes(b"sentence\tlabel!")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.rename(file)


def appended(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"more")


@pytest.mark.parametrize("change", [rewritten, replaced, appended])
def test_a_changed_file_is_hashed_again(file: Path, notes: Path, change: object) -> None:
    first = hashed(notes, file)
    assert callable(change)
    change(file)
    again = hashed(notes, file)
    assert again.sha256 == sha256(file.read_bytes()) != first.sha256


def test_a_file_that_changed_just_now_is_not_remembered(
    file: Path, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_hashes, "SETTLED_S", 3600.0)
    assert hashed(notes, file).sha256 is not None
    assert not notes.exists()


def test_a_file_that_changes_while_it_is_hashed_has_no_hash(
    file: Path, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_hashes, "PULSE_BYTES", 1)
    hashes = FileHashes(notes, lambda: os.truncate(file, 3))
    assert hashes.of(file) == Hashed(None, None, "changed while it was hashed")
    hashes.keep()
    assert not notes.exists()


def test_hashes_take_a_limited_time_of_a_job(file: Path, notes: Path) -> None:
    readings_s = count(0.0, file_hashes.LIMIT_S)
    hashes = FileHashes(notes, clock=lambda: next(readings_s))
    first = hashes.of(file)
    assert first.sha256 is not None
    other = file.with_name("dev.tsv")
    other.write_bytes(b"12345")
    reason = f"not hashed: a job spends at most {file_hashes.LIMIT_S:g} s on hashes"
    assert hashes.of(other) == Hashed(5, None, reason)
    assert hashes.of(file) == first  # remembered, so it takes no time
    hashes.keep()
    assert list(json.loads(notes.read_text())) == [str(file)]


def test_a_file_that_cannot_be_read_has_a_reason(tmp_path: Path) -> None:
    missing = FileHashes(None).of(tmp_path / "missing")
    assert missing == Hashed(None, None, "cannot be read: No such file or directory")


@pytest.mark.parametrize("damage", ["", "{", "[1]", '{"a": 1}', '{"a": {"state": []}}'])
def test_damaged_notes_are_rewritten(file: Path, notes: Path, damage: str) -> None:
    notes.parent.mkdir()
    notes.write_text(damage)
    assert hashed(notes, file).sha256 == sha256(file.read_bytes())
    assert list(json.loads(notes.read_text())) == [str(file)]


def test_the_notes_forget_what_was_used_longest_ago(
    file: Path, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_hashes, "MAX_REMEMBERED", 2)
    others = [file.with_name(name) for name in ("b", "c")]
    for path in (file, *others):
        path.write_bytes(path.name.encode())
        hashed(notes, path)
    assert list(json.loads(notes.read_text())) == [str(path) for path in others]


def test_a_job_that_is_stopped_stops_hashing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_hashes, "PULSE_BYTES", 1)

    def stop() -> None:
        raise RuntimeError("stop")

    hashes = FileHashes(None, stop)
    with pytest.raises(RuntimeError):
        hashes.of(file)
