"""How a program ended, where its journal could not take it: on a full disk, for example.

Room for it is taken when the run begins, and the note is written in its place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NAME = "outcome.json"
ROOM_BYTES = 4096
MAX_MESSAGE = 500

Outcome = tuple[str, Mapping[str, Any]]
"""Status and reason of an attempt."""


def take_room(folder: Path) -> None:
    """Makes room for the note.

    Raises:
        OSError: If it cannot be written.
    """
    room = folder / NAME
    room.touch(0o600)
    room.write_bytes(b" " * ROOM_BYTES)


def note(folder: Path, status: str, reason: Mapping[str, Any]) -> None:
    """Writes the note into its room.

    Raises:
        OSError: If it cannot be written.
    """
    short = {name: str(text)[:MAX_MESSAGE] for name, text in reason.items()}
    text = json.dumps({"status": status, "reason": short}).encode()
    with (folder / NAME).open("r+b") as file:
        file.write(text.ljust(ROOM_BYTES))


def noted(folder: Path) -> Outcome | None:
    """The noted outcome; None if there is none."""
    try:
        content = json.loads((folder / NAME).read_bytes())
        return str(content["status"]), dict(content["reason"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def drop(folder: Path) -> None:
    """Removes the note, whose run is settled."""
    (folder / NAME).unlink(missing_ok=True)


def of_failed_meter(status: str, reason: Mapping[str, Any] | None, problem: str) -> Outcome:
    """The outcome of a program whose meter failed: its own, and what is missing.

    Args:
        status: How the program ended.
        reason: ``{code, message}`` of its end, or None.
        problem: Why the meter failed.
    """
    missing = f"the meter could not finish ({problem}): what it had recorded is counted"
    if reason is None:
        return status, {"code": "meter-failed", "message": missing}
    return status, {**reason, "message": f"{reason['message']}; {missing}"}
