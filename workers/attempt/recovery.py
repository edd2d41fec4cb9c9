"""Finishes the journals of dead workers of this node, so that they can be shipped."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from pricetag.metering.journal import Journal, JournalError, JournalLockedError, find_orphans
from workers.attempt import leftovers
from workers.node.identity import process_start_ticks

logger = logging.getLogger(__name__)

SILENT_S = 5.0
"""Gap in s after which a meter, which reads every second, counts as stopped."""


def adopt_orphans(journal_dir: Path) -> Iterator[tuple[UUID, Journal]]:
    """Journals of dead workers, now locked by this process and ended.

    The child of the dead worker is killed first, since its run may start again as soon as the
    end of its attempt is recorded.
    """
    for path in find_orphans(journal_dir):
        try:
            attempt_id = UUID(path.name.partition(".")[0])
            journal = Journal.open_existing(path)
        except (JournalLockedError, FileNotFoundError):
            continue  # another worker of this node was faster
        except (OSError, ValueError) as error:
            logger.error("the journal %s cannot be taken over: %s", path, error)
            continue
        try:
            kill_child(journal_dir / f"{attempt_id}.child.json")
            end_if_open(journal)
        except (OSError, JournalError) as error:
            # Released for a retry in the next round: the disk may be full now.
            logger.error("the attempt %s cannot be ended yet: %s", attempt_id, error)
            with contextlib.suppress(JournalError):
                journal.close()
            continue
        yield attempt_id, journal


def end_if_open(journal: Journal) -> None:
    """Appends the end that the dead worker could not write, at the time of its last reading.

    If the meter had stopped long before the worker died, the end is at the last record of any
    type: that time was not metered, and the attempt must show it.
    """
    read_s, last_s, ended = 0.0, 0.0, False
    for record in every_record(journal):
        last_s = max(last_s, float(record["t_s"]))
        read_s = last_s if record["type"] == "reading" else read_s
        ended = ended or record["type"] == "end"
    if ended:
        return
    end_s = last_s if last_s - read_s > SILENT_S else read_s
    journal.append(
        {
            "type": "end",
            "t_s": end_s,
            "at": datetime.now(UTC).isoformat(),
            "status": "lost",
            "reason": {
                "code": "worker-lost",
                "message": "the worker process died; what was metered until then is booked",
            },
        }
    )


def every_record(journal: Journal, batch: int = 1000) -> Iterator[dict[str, Any]]:
    """All records of a journal in order."""
    seq = 0
    while records := journal.read_from(seq, batch):
        yield from records
        seq = records[-1]["seq"] + 1


def kill_child(note: Path) -> None:
    """Kills the process group in the note, if it is still the same process.

    Processes that the job started in other groups are killed too.
    """
    try:
        child = json.loads(note.read_text())
    except (OSError, ValueError):
        return
    if process_start_ticks(child["pid"]) == child["start_ticks"]:
        logger.warning("killing process group %s, left by a dead worker", child["pid"])
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child["pid"], signal.SIGKILL)
        _wait_until_gone(child["pid"], child["start_ticks"])
    if "events" in child and (killed := leftovers.kill(Path(child["events"]))):
        logger.warning("killed %d process(es) that a dead worker's job had left", killed)
    note.unlink(missing_ok=True)


def _wait_until_gone(pid: int, start_ticks: int, timeout_s: float = 10.0) -> None:
    """Waits until a killed process has ended, so that its run does not start beside it."""
    deadline_s = time.monotonic() + timeout_s
    while process_start_ticks(pid) == start_ticks and time.monotonic() < deadline_s:
        time.sleep(0.02)
