"""Ends the journal of an attempt whose meter died."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pricetag.attempt.last_moment import Trace, last_moment
from pricetag.metering.journal import Journal

WORKER_LOST: Mapping[str, Any] = {
    "code": "worker-lost",
    "message": "the worker process died; the energy metered until then is booked",
}


def end_if_open(
    journal: Journal,
    root: Path,
    *,
    saw_end: bool,
    keep: bool = False,
    status: str = "lost",
    reason: Mapping[str, Any] = WORKER_LOST,
) -> None:
    """Appends the end that the dead worker could not write.

    It is at the present time if the job ended just now, with a last reading of every counter.
    Otherwise it is at the last reading, with a bound on the energy used after it. If the
    meter had stopped long before the worker died, the end is at the last record of any type: that
    time was not metered, and the attempt must show it. If records are missing after the last one,
    the bound runs until now.

    Args:
        journal: Locked by this process.
        root: Folder of the RAPL zones.
        saw_end: Whether the job ended just now.
        keep: Whether the end may wait in memory if the disk is full.
        status: How the attempt ended.
        reason: Reason of the end.

    Raises:
        JournalError: If the end cannot be written, and is not to be kept.
    """
    trace = Trace.of(every_record(journal))
    if trace.is_ended:
        return
    last = last_moment(trace, root, saw_end=saw_end, is_incomplete=journal.is_incomplete)
    at = datetime.now(UTC).isoformat()
    readings = [{"type": "reading", "at": at, **reading.as_record()} for reading in last.readings]
    end = {
        "type": "end",
        "t_s": last.end_s,
        "at": at,
        "status": status,
        "reason": dict(reason),
        "unread_j": last.unread_j or None,
    }
    journal.append_all([*readings, end], keep=keep)


def every_record(journal: Journal, batch: int = 1000) -> Iterator[dict[str, Any]]:
    """All records of a journal in order."""
    seq = 0
    while records := journal.read_from(seq, batch):
        yield from records
        seq = records[-1]["seq"] + 1
