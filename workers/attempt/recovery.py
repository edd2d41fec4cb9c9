"""Finishes the journals of dead workers of this node, so that they can be shipped."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from uuid import UUID

from pricetag.attempt.ending import end_if_open, every_record
from pricetag.attempt.last_moment import PROMPT_S, Trace
from pricetag.metering.journal import Journal, JournalError, JournalLockedError, find_orphans
from pricetag.metering.machine import process_start_ticks
from pricetag.metering.rapl_zones import powercap_root
from workers.attempt import leftovers

logger = logging.getLogger(__name__)


Orphan = tuple[UUID, Journal]
"""An attempt and its journal, whose writer is dead, locked by this process."""


def lock_orphans(journal_dir: Path) -> list[Orphan]:
    """The journals of dead workers, now locked by this process."""
    return list(_orphans(journal_dir))


def end_orphans(
    orphans: Iterable[Orphan],
    ingested: Mapping[UUID, int],
    root: Path | None = None,
) -> Iterator[Orphan]:
    """Ends the attempts of dead workers; those that cannot be ended now are released.

    The child of the dead worker is killed first, since its run may start again as soon as the
    end of its attempt is recorded. On a full disk the end waits in memory.

    Args:
        orphans: Their journals.
        ingested: Number of the last record that the database has of each attempt, read after the
            journals were locked. A journal with fewer records is not ended: the rest was shipped
            from the memory of the dead worker, whose disk was full, and only the database can
            show when it ended.
        root: Folder of the RAPL zones; this machine's by default.
    """
    for attempt_id, journal in orphans:
        try:
            was_alive = kill_child(journal.path.with_name(f"{attempt_id}.child.json"))
            if ingested.get(attempt_id, -1) < journal.count:
                end_if_open(journal, root or powercap_root(), saw_end=was_alive, keep=True)
        except (OSError, JournalError) as error:
            # Released for a retry in the next round.
            logger.error("the attempt %s cannot be ended yet: %s", attempt_id, error)
            let_go(journal)
            continue
        yield attempt_id, journal


def end_at_once(journal_dir: Path, root: Path) -> None:
    """End the attempts of a worker that has just died, with the present values of their counters.

    Called where its death is noticed at once, after its jobs were killed. Journals that were left
    earlier are not touched, nor are those that cannot be ended now or in which records are missing,
    which the database may have: the next worker ends them.
    """
    for attempt_id, journal in _orphans(journal_dir):
        if journal.is_incomplete:
            logger.error(
                "the attempt %s is left to the next worker: records are missing", attempt_id
            )
            let_go(journal)
            continue
        try:
            trace = Trace.of(every_record(journal))
            now_s = trace.now_s()
            if now_s is not None and now_s - trace.last_s <= PROMPT_S:
                kill_child(journal_dir / f"{attempt_id}.child.json")
                end_if_open(journal, root, saw_end=True)
        except (OSError, JournalError) as error:
            logger.error("the attempt %s cannot be ended yet: %s", attempt_id, error)
        finally:
            let_go(journal)


def _orphans(journal_dir: Path) -> Iterator[Orphan]:
    """Journals without a writer, locked by this process."""
    for path in find_orphans(journal_dir):
        try:
            yield UUID(path.name.partition(".")[0]), Journal.open_existing(path)
        except (JournalLockedError, FileNotFoundError):
            continue  # another worker of this node was faster
        except (OSError, ValueError) as error:
            logger.error("the journal %s cannot be taken over: %s", path, error)


def let_go(journal: Journal) -> None:
    """Release the lock, even if the journal cannot be synced."""
    with contextlib.suppress(JournalError):
        journal.close()


def kill_child(note: Path) -> bool:
    """Kills the process group in the note, if it is still the same process.

    Processes that the job started in other groups are killed too.

    Returns:
        Whether the job was still alive.
    """
    try:
        child = json.loads(note.read_text())
    except (OSError, ValueError):
        return False
    was_alive: bool = process_start_ticks(child["pid"]) == child["start_ticks"]
    if was_alive:
        logger.warning("killing process group %s, left by a dead worker", child["pid"])
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child["pid"], signal.SIGKILL)
        _wait_until_gone(child["pid"], child["start_ticks"])
    if "events" in child and (killed := leftovers.kill(Path(child["events"]))):
        logger.warning("killed processes of a dead worker's job: %d", killed)
    note.unlink(missing_ok=True)
    return was_alive


def _wait_until_gone(pid: int, start_ticks: int, timeout_s: float = 10.0) -> None:
    """Waits until a killed process has ended, so that its run does not start beside it."""
    deadline_s = time.monotonic() + timeout_s
    while process_start_ticks(pid) == start_ticks and time.monotonic() < deadline_s:
        time.sleep(0.02)
