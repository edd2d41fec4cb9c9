"""The note of a program that was started, until its journal begins.

The meters open after the program was started. If the meter is killed before it has written
anything, the note is what is left of the run.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pricetag.local.request import Request
from pricetag.local.settings import LocalSettings
from pricetag.metering.machine import node_name

NAME = "begun.json"
WORKER = "local"
LOST: Mapping[str, Any] = {
    "code": "meter-lost",
    "message": "the meter's process was killed before it had measured anything: energy and "
    "duration are unknown",
}


class Begun:
    """The note of this process, locked for as long as the process lives.

    Args:
        folder: Folder of the run.
        request: What was started.
        settings: The site's factors, and the project of runs that name none.

    Raises:
        OSError: If it cannot be written.
    """

    def __init__(self, folder: Path, request: Request, settings: LocalSettings) -> None:
        self._folder = folder
        unnamed = folder / f"{NAME}.new"
        self._file = open(unnamed, "x", encoding="utf-8", opener=_for_the_owner)  # noqa: SIM115
        fcntl.flock(self._file, fcntl.LOCK_EX)
        start = {
            "type": "start",
            "t_s": 0.0,
            "at": datetime.now(UTC).isoformat(),
            "run_id": request.run_id,
            "attempt_id": request.attempt_id,
            "attempt_number": 1,
            "worker": WORKER,
            "node_name": node_name(),
            "devices": [],
            "components": [],
            "shares_overlaps": True,
            "clock": None,
            "run": request.as_record(settings.project),
            "factors": settings.site.as_record(),
        }
        self._file.write(json.dumps(start))
        self._file.flush()
        unnamed.rename(folder / NAME)  # it gets its name once it is locked and whole

    def drop(self) -> None:
        """Removes the note: the journal has begun, or there is nothing to meter."""
        drop(self._folder)
        self._file.close()


def drop(folder: Path) -> None:
    """Removes the note of a run, if there is one."""
    with suppress(OSError):
        (folder / NAME).unlink(missing_ok=True)


def start_of_killed(folder: Path) -> dict[str, Any] | None:
    """The ``start`` record of a program whose meter was killed at once.

    Args:
        folder: Folder of the run.

    Returns:
        The record; None if there is no note, or the meter is alive.
    """
    with suppress(OSError, ValueError), (folder / NAME).open(encoding="utf-8") as note:
        fcntl.flock(note, fcntl.LOCK_EX | fcntl.LOCK_NB)
        start: dict[str, Any] = json.load(note)
        return start
    return None


def _for_the_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
