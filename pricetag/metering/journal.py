"""The journal of one attempt on local disk, where every record is written first.

One JSON object per line. A line is handed to the operating system before ``append`` returns, so
it survives the death of the process; it is on the disk within about a second.

While the disk takes no more, records that must not be lost wait in memory, in order, and are read
from there like all others; they are written as soon as there is space. Until then the file is
marked, so that whoever takes it over knows that records are missing.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

from pricetag.metering.journal_mark import PLAIN_MODE, is_marked, mark, unmark
from pricetag.metering.journal_scan import INDEX_STEP, Index, scan_lines

logger = logging.getLogger(__name__)

SUFFIX = ".jsonl"
SHIPPED_SUFFIX = ".jsonl.shipped"
TORN_SUFFIX = ".jsonl.torn"
NEW_SUFFIX = ".jsonl.new"

FSYNC_INTERVAL_S = 1.0

WRITTEN_AT_ONCE = 1000
"""Records that waited in memory and are written together."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class JournalError(RuntimeError):
    """A journal cannot be used as requested."""


class JournalLockedError(JournalError):
    """Another process, or another object of this one, is writing the journal."""


class JournalFullError(JournalError):
    """The disk has no room for another record; those before it are safe."""


class Journal:
    """The writer and reader of one attempt's records. Thread-safe.

    Made by :meth:`create` or :meth:`open_existing`; holds a lock on the file until
    :meth:`close` or the end of the process.

    Attributes:
        path: The file.
        attempt_id: The attempt it belongs to.
        dropped_bytes: Length of the torn end that re-opening has set aside after a crash.
        is_incomplete: Whether an earlier writer died with records in its memory that are missing
            in the file.
    """

    def __init__(self, path: Path, descriptor: int, index: Index, dropped_bytes: int) -> None:
        self.path = path
        self.attempt_id = path.name.removesuffix(SUFFIX)
        self.dropped_bytes = dropped_bytes
        self.is_incomplete = is_marked(descriptor)
        self._is_marked = self.is_incomplete
        self._descriptor = descriptor
        self._index = index
        self._lock = threading.Lock()
        self._synced_at_s = time.monotonic()
        self._is_dirty = False
        self._is_closed = False
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._unsafe_since_s: float | None = None
        self._torn_bytes = 0  # after the last whole line, to be set aside before the next one

    @property
    def count(self) -> int:
        """Number of records, with those that wait in memory."""
        return self._index.count + len(self._waiting)

    @property
    def waiting_bytes(self) -> int:
        """Size of the records that wait in memory for the disk; 0 while it takes them."""
        return self._waiting_bytes

    @property
    def unsafe_s(self) -> float:
        """Time in s for which there have been records only in memory, and none could be saved."""
        since_s = self._unsafe_since_s
        return 0.0 if since_s is None else time.monotonic() - since_s

    def note_shipped(self, count: int) -> None:
        """Note that the database has the first ``count`` records."""
        with self._lock:
            self._note_saved(count)

    @classmethod
    def create(cls, directory: Path, attempt_id: UUID | str) -> Journal:
        """Start an attempt's journal.

        It gets its name only once it is locked, so it is never mistaken for an orphan.

        Raises:
            JournalError: If the attempt already has one.
        """
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{attempt_id}{SUFFIX}"
        unnamed = directory / f"{attempt_id}{NEW_SUFFIX}"
        descriptor = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_APPEND, PLAIN_MODE)
        is_named = False
        try:
            _take_lock(descriptor, path)
            os.link(unnamed, path)
            is_named = True
            os.unlink(unnamed)
            _sync_folder(directory)
        except BaseException as error:
            if is_named:  # an unfinished journal must not be found
                path.unlink(missing_ok=True)
            if not isinstance(error, JournalLockedError):
                unnamed.unlink(missing_ok=True)
            os.close(descriptor)
            if isinstance(error, FileExistsError):
                message = f"attempt {attempt_id} has a journal already: {path}"
                raise JournalError(message) from error
            raise
        return cls(path, descriptor, Index(), 0)

    @classmethod
    def open_existing(cls, path: Path) -> Journal:
        """Take over a journal to append its end and ship it.

        Everything from the first incomplete line on is set aside (``.jsonl.torn``) and
        reported in ``dropped_bytes``.

        Raises:
            FileNotFoundError: If it does not exist, or no longer does.
            JournalLockedError: If its writer is alive.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
        try:
            _take_lock(descriptor, path)
            if not path.exists() or not os.path.samestat(os.fstat(descriptor), path.stat()):
                raise FileNotFoundError(f"{path} was shipped by another process")
            index = scan_lines(descriptor)
            torn_bytes = os.fstat(descriptor).st_size - index.end
        except BaseException:
            os.close(descriptor)
            raise
        journal = cls(path, descriptor, index, torn_bytes)
        journal._torn_bytes = torn_bytes
        try:
            journal._set_torn_aside()
        except JournalError as error:
            logger.error("%s; trying again before the next record", error)
        return journal

    def append(self, record: Mapping[str, Any], *, keep: bool = False) -> int:
        """Append one record and hand it to the operating system.

        Args:
            record: Record without ``seq``; ``at`` (UTC, ISO 8601) is added if missing.
            keep: Whether the record waits in memory if it cannot be written now.

        Returns:
            The record's ``seq``.

        Raises:
            ValueError: If it has a ``seq``, or a value that JSON cannot hold, such as NaN.
            JournalFullError: If the disk is full, and the record is not to be kept.
            JournalError: If it cannot be written for another reason and is not to be kept, or
                the journal is closed.
        """
        return self.append_all([record], keep=keep)

    def append_all(self, records: Iterable[Mapping[str, Any]], *, keep: bool = False) -> int:
        """Append records in one write: all of them, or none; see :meth:`append`.

        Returns:
            The ``seq`` of the first one.
        """
        with self._lock:
            self._check_open()
            first = self.count
            lines = [_line(seq, record) for seq, record in enumerate(records, first)]
            try:
                self._write_waiting()
                self._write(lines)
            except JournalError as error:
                if not keep:
                    raise
                self._keep(lines, error)
            if time.monotonic() - self._synced_at_s >= FSYNC_INTERVAL_S:
                self._sync_now_and_then()
        return first

    def read_from(self, seq: int, limit: int) -> list[dict[str, Any]]:
        """Records from ``seq`` on, at most ``limit``, in order.

        Raises:
            ValueError: If ``seq`` is below 0 or ``limit`` below 1.
        """
        if seq < 0 or limit < 1:
            raise ValueError(f"seq {seq} must be 0 or more and limit {limit} 1 or more")
        with self._lock:
            self._check_open()
            on_disk = self._index.count
            after = seq + limit
            data = b""
            if seq < on_disk:
                start, stop = self._index.span(seq, limit)
                data = os.pread(self._descriptor, stop - start, start)
            waiting = islice(self._waiting, max(seq - on_disk, 0), max(after - on_disk, 0))
            lines = [*data.splitlines()[seq % INDEX_STEP :][:limit], *waiting]
        return [json.loads(line) for line in lines]

    def sync(self) -> None:
        """Put everything on the disk now.

        Raises:
            JournalError: If the write fails, also of records that wait in memory.
        """
        with self._lock:
            self._check_open()
            self._write_waiting()
            self._sync()

    def mark_shipped(self) -> None:
        """Every record is in the database: mark the file as shipped and release it.

        What the disk does not take is dropped, since the database has it.
        """
        with self._lock:
            self._check_open()
            try:
                self._write_waiting()
                self._sync()
            except JournalError as error:
                logger.error("%s; its last records are only in the database", error)
                self._waiting.clear()
                self._waiting_bytes = 0
                self._is_dirty = False
            self.path.rename(self.path.with_name(f"{self.attempt_id}{SHIPPED_SUFFIX}"))
            _sync_folder(self.path.parent)
        self.close()

    def close(self) -> None:
        """Sync, and release the lock. Repeatable."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            try:
                self._write_waiting()
                self._sync()
            finally:
                os.close(self._descriptor)

    def _check_open(self) -> None:
        if self._is_closed:
            raise JournalError(f"the journal {self.path} is closed")

    def _keep(self, lines: Iterable[bytes], error: JournalError) -> None:
        """Let lines wait in memory, in the order of their ``seq``."""
        if not self._waiting:
            logger.error("%s; its records wait in memory until it can be written", error)
        if not self._is_marked:
            self._is_marked = mark(self._descriptor, self.path)
        if self._unsafe_since_s is None:
            self._unsafe_since_s = time.monotonic()
        for line in lines:
            self._waiting.append(line)
            self._waiting_bytes += len(line)

    def _write_waiting(self) -> None:
        """Write the lines that wait, as far as there is space.

        Raises:
            JournalError: If not all of them could be written.
        """
        if not self._waiting:
            return
        while self._waiting:
            some = list(islice(self._waiting, WRITTEN_AT_ONCE))
            try:
                self._write(some)
            except JournalError:
                if len(some) == 1:
                    raise
                self._write(some[:1])  # there may be space for this one
                some = some[:1]
            for line in some:
                self._waiting.popleft()
                self._waiting_bytes -= len(line)
            self._note_saved(self._index.count)
        logger.warning("%s: the records that waited in memory are written", self.path)

    def _note_saved(self, count: int) -> None:
        """Note that the first ``count`` records are on the disk or in the database."""
        if self._unsafe_since_s is not None:
            self._unsafe_since_s = None if count >= self.count else time.monotonic()

    def _write(self, lines: list[bytes]) -> None:
        """Write whole lines, all or none."""
        self._set_torn_aside()
        data, written = b"".join(lines), 0
        try:
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
        except OSError as error:
            if written:
                self._cut(written)
            if error.errno in _FULL:
                raise JournalFullError(f"disk full: cannot write {self.path}: {error}") from error
            raise JournalError(f"cannot write {self.path}: {error}") from error
        for line in lines:
            self._index.add(len(line))
        self._is_dirty = self._is_dirty or bool(lines)

    def _cut(self, torn_bytes: int) -> None:
        """Cut off a partly written line; if that fails, try again before the next one."""
        try:
            os.ftruncate(self._descriptor, self._index.end)
        except OSError:
            self._torn_bytes = torn_bytes

    def _set_torn_aside(self) -> None:
        """Cut the file after its last whole line; the rest is kept in a second file."""
        if not self._torn_bytes:
            return
        beside = self.path.with_name(f"{self.attempt_id}{TORN_SUFFIX}")
        try:
            _copy_rest(self._descriptor, self._index.end, beside)
            os.ftruncate(self._descriptor, self._index.end)
            os.fdatasync(self._descriptor)
        except OSError as error:
            kind = JournalFullError if error.errno in _FULL else JournalError
            raise kind(f"cannot set the torn end of {self.path} aside: {error}") from error
        logger.warning(
            "%s: %d incomplete bytes, left by a crash, were moved to %s",
            self.path,
            self._torn_bytes,
            beside.name,
        )
        self._torn_bytes = 0

    def _sync_now_and_then(self) -> None:
        """A full disk loses no record here: the operating system holds them."""
        try:
            self._sync()
        except JournalError as error:
            logger.error("%s; trying again in %g s", error, FSYNC_INTERVAL_S)
            self._synced_at_s = time.monotonic()

    def _sync(self) -> None:
        if not self._is_dirty:
            return
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            kind = JournalFullError if error.errno in _FULL else JournalError
            raise kind(f"cannot sync {self.path} to disk: {error}") from error
        self._is_dirty = False
        self._synced_at_s = time.monotonic()
        if self._is_marked and not self._waiting:
            self._is_marked = unmark(self._descriptor, self.path)


def _line(seq: int, record: Mapping[str, Any]) -> bytes:
    if "seq" in record:
        raise ValueError("seq: assigned by the journal; remove it from the record")
    at = {} if "at" in record else {"at": datetime.now(UTC).isoformat()}
    text = json.dumps({"seq": seq, **record, **at}, allow_nan=False, separators=(",", ":"))
    return text.encode() + b"\n"


def find_orphans(directory: Path) -> list[Path]:
    """Journals without a writer that were not shipped, oldest first."""
    if not directory.is_dir():
        return []
    free_since = {path: _free_since(path) for path in directory.glob(f"*{SUFFIX}")}
    free = [(since, path) for path, since in free_since.items() if since is not None]
    return [path for _, path in sorted(free)]


def purge_shipped(directory: Path, *, older_than_s: float) -> int:
    """Remove shipped journals last written more than ``older_than_s`` ago; returns the number."""
    if not directory.is_dir():
        return 0
    limit = time.time() - older_than_s
    old = [path for path in directory.glob(f"*{SHIPPED_SUFFIX}") if path.stat().st_mtime < limit]
    for path in old:
        path.unlink()
    return len(old)


def _free_since(path: Path) -> float | None:
    """When a journal without a writer was last written; None when it has a writer."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return os.fstat(descriptor).st_mtime
    except BlockingIOError:
        return None
    finally:
        os.close(descriptor)


def _take_lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise JournalLockedError(f"{path} is being written by another process") from error


def _copy_rest(descriptor: int, position: int, beside: Path) -> None:
    """Append everything from a position on to another file, and nothing if that fails."""
    with beside.open("ab") as file:
        before = file.tell()
        try:
            while chunk := os.pread(descriptor, 1 << 20, position):
                file.write(chunk)
                position += len(chunk)
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            os.ftruncate(file.fileno(), before)
            raise


def _sync_folder(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
