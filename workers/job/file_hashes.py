"""SHA-256 of files, cached across runs while a file is unchanged."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from os import stat_result
from pathlib import Path
from typing import Any

from pricetag.atomic_files import write_whole

LIMIT_S = 120.0
"""Maximum time that one job spends on hashes, in s."""

MAX_REMEMBERED = 5_000
SETTLED_S = 2.0
"""A file that changed more recently may change again unnoticed: its hash is not remembered."""

CHUNK_BYTES = 1 << 20
PULSE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Hashed:
    """Content of a file.

    Attributes:
        size_bytes: Its size; None if it cannot be read.
        sha256: Hash of the content; None if unknown.
        reason: Why it is unknown; None if it is known.
    """

    size_bytes: int | None
    sha256: str | None
    reason: str | None = None


class FileHashes:
    """Hashes the files of one job.

    Args:
        notes: File that keeps hashes from job to job; None to keep none. Jobs that write it at
            the same time may lose notes of each other, and then hash a file again.
        pulse: Called once in every ``PULSE_BYTES`` of a file; may raise to stop.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        notes: Path | None,
        pulse: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._notes = notes
        self._pulse = pulse
        self._clock = clock
        self._spent_s = 0.0
        self._remembered = _read(notes)
        self._is_new = False

    def of(self, path: Path) -> Hashed:
        """Size and hash of a file, or why they are unknown."""
        try:
            before = path.stat()
            key, state = str(path.resolve()), _state(before)
            note = self._remembered.get(key)
            if note is not None and note["state"] == state:
                self._remembered[key] = self._remembered.pop(key)  # used last, forgotten last
                return Hashed(before.st_size, note["sha256"])
            sha256 = self._content(path)
            after = path.stat()
        except OSError as error:
            return Hashed(None, None, f"cannot be read: {error.strerror or error}")
        if sha256 is None:
            reason = f"not hashed: a job spends at most {LIMIT_S:g} s on hashes"
            return Hashed(before.st_size, None, reason)
        if _state(after) != state:
            return Hashed(None, None, "changed while it was hashed")
        if time.time() - max(after.st_mtime, after.st_ctime) > SETTLED_S:
            self._remembered[key] = {"state": state, "sha256": sha256}
            self._is_new = True
        return Hashed(after.st_size, sha256)

    def keep(self) -> None:
        """Writes new hashes for later jobs; those used longest ago are dropped."""
        if self._notes is None or not self._is_new:
            return
        latest = dict(list((_read(self._notes) | self._remembered).items())[-MAX_REMEMBERED:])
        self._notes.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self._notes, json.dumps(latest))

    def _content(self, path: Path) -> str | None:
        """The hash of a file's content; None if the time for hashes is over."""
        digest, began_s = hashlib.sha256(), self._clock()
        spent_s, pulsed = self._spent_s, 0
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
                if file.tell() - pulsed >= PULSE_BYTES:
                    pulsed = file.tell()
                    self._pulse()
                self._spent_s = spent_s + self._clock() - began_s
                if self._spent_s > LIMIT_S:
                    return None
        return digest.hexdigest()


def _state(status: stat_result) -> list[int]:
    """Metadata that change with the content of a file; its owner cannot set the change time."""
    return [
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    ]


def _read(notes: Path | None) -> dict[str, Any]:
    """The stored hashes; if their file is damaged, they are computed again."""
    try:
        remembered = {} if notes is None else json.loads(notes.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(remembered, dict):
        return {}
    return {
        key: note
        for key, note in remembered.items()
        if isinstance(note, dict) and {"state", "sha256"} <= note.keys()
    }
