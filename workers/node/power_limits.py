"""Limits the power of devices while a job runs, and restores them afterwards, whatever happens.

Before a limit is set, a note on the disk states the limit to restore and the worker. If the worker
dies, its nursery, or the next worker of the machine, restores what the note says.
"""

from __future__ import annotations

import fcntl
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pricetag.atomic_files import write_whole
from pricetag.metering.nvml_limits import PowerLimitError, W, read_limit, set_limit
from workers.node.identity import worker_is_gone

logger = logging.getLogger(__name__)

FOLDER = "power-limits"
"""Folder of the notes, in the data folder of the machine's workers."""

LOCK = "lock"


@dataclass(frozen=True, slots=True)
class LimitNote:
    """A limit that was set, or is about to be.

    Attributes:
        uuid: The device.
        worker: Identity of the worker that sets it.
        restore_mw: Limit to restore.
        limit_mw: Limit of the job.
        is_left: Whether the job has ended, and the limit could not be restored yet.
    """

    uuid: str
    worker: str
    restore_mw: int
    limit_mw: int
    is_left: bool = False


class PowerLimits:
    """The power limits that one worker sets.

    Args:
        data_dir: Data folder of the machine's workers.
        worker: Identity of the worker.
    """

    def __init__(self, data_dir: Path, worker: str) -> None:
        self._folder = data_dir / FOLDER
        self._worker = worker

    def set(self, uuids: Sequence[str], limit_w: float) -> list[LimitNote]:
        """Limits devices that this worker holds: all of them, or none.

        Args:
            uuids: The devices.
            limit_w: The limit of each.

        Raises:
            PowerLimitError: If one of them cannot be limited so.
            OSError: If a note cannot be written; then its limit is not set.
        """
        done: list[LimitNote] = []
        try:
            for uuid in uuids:
                done.append(self._set_one(uuid, round(limit_w * W)))
        except (PowerLimitError, OSError):
            self.restore([note.uuid for note in done])
            raise
        return done

    def restore(self, uuids: Sequence[str]) -> None:
        """Restores devices; one that cannot be restored now is tried again by later rounds."""
        with _locked(self._folder):
            for path in (self._path(uuid) for uuid in uuids):
                note = _read(path)
                if note is not None and note.worker == self._worker:
                    _restore(path, note)

    def _set_one(self, uuid: str, limit_mw: int) -> LimitNote:
        with _locked(self._folder):
            allowed = read_limit(uuid)
            if not allowed.least_mw <= limit_mw <= allowed.most_mw:
                raise PowerLimitError(
                    f"power_limit_w is {limit_mw / W:g}, but {uuid} allows "
                    f"{allowed.least_mw / W:g} to {allowed.most_mw / W:g} W"
                )
            left = _read(self._path(uuid))  # of an earlier job, whose limit is not the device's own
            restore_mw = allowed.now_mw if left is None else left.restore_mw
            note = LimitNote(uuid, self._worker, restore_mw, limit_mw)
            write_whole(self._path(uuid), json.dumps(asdict(note)))
            try:
                real_mw = set_limit(uuid, limit_mw)
            except PowerLimitError:
                self._path(uuid).unlink()
                if left is not None:
                    write_whole(self._path(uuid), json.dumps(asdict(left)))
                raise
            if real_mw != limit_mw:
                _restore(self._path(uuid), note)
                raise PowerLimitError(
                    f"{uuid} has a power limit of {real_mw / W:g} W after it was set to "
                    f"{limit_mw / W:g} W"
                )
            return note

    def _path(self, uuid: str) -> Path:
        return self._folder / f"{uuid}.json"


def restore_left(data_dir: Path) -> None:
    """Restores devices that a dead worker had limited, or that could not be restored."""
    folder = data_dir / FOLDER
    if not folder.is_dir():
        return
    with _locked(folder):
        for path in sorted(folder.glob("*.json")):
            note = _read(path)
            if note is not None and (note.is_left or worker_is_gone(note.worker)):
                logger.warning("restoring the power limit of %s, left by an earlier job", note.uuid)
                _restore(path, note)


def _restore(path: Path, note: LimitNote) -> None:
    try:
        set_limit(note.uuid, note.restore_mw)
        path.unlink(missing_ok=True)
    except (PowerLimitError, OSError) as error:  # the note stays: the next round tries again
        logger.error(
            "the power limit of %s (%.0f W) is not restored to %.0f W: %s",
            note.uuid,
            note.limit_mw / W,
            note.restore_mw / W,
            error,
        )
        with suppress(OSError):
            write_whole(path, json.dumps(asdict(replace(note, is_left=True))))


def _read(path: Path) -> LimitNote | None:
    try:
        return LimitNote(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        logger.error("the note of a power limit cannot be read: %s: %s", path, error)
        return None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process of the machine at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
