"""Deletes local runs of a stated age; nothing does so by itself."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pricetag.local.pushing import is_pushed, pushes_of
from pricetag.local.runs import LocalRun, LocalRuns

ASIDE = "local.deleted"
"""Folder beside the local runs; a run is moved there in one step, and then deleted."""


@dataclass(frozen=True, slots=True)
class Old:
    """A local run that ended before a time.

    Attributes:
        run: The run.
        is_pushed: Whether its whole journal is on a server.
        size_bytes: Size of its files.
    """

    run: LocalRun
    is_pushed: bool
    size_bytes: int


def ended_before(runs: LocalRuns, limit: datetime) -> Iterator[Old]:
    """The runs that ended before a time, newest first.

    Those that have not ended, or cannot be read, are not among them.

    Args:
        runs: All local runs.
        limit: The time, with time zone.
    """
    for run in runs.all():
        finished_at = run.run.get("finished_at")
        if run.price_tag is None or finished_at is None:
            continue
        if datetime.fromisoformat(str(finished_at)) < limit:
            pushed = any(is_pushed(run, url) for url in pushes_of(run.folder))
            size_bytes = sum(_size_bytes(part.folder) for part in run.each)
            yield Old(run, pushed, size_bytes)


def delete(run: LocalRun) -> None:
    """Deletes a run. Interrupted, each of its parts is either whole or gone from the list.

    Raises:
        OSError: If it cannot be deleted.
    """
    aside = run.folder.parent.with_name(ASIDE)
    aside.mkdir(exist_ok=True)
    for part in run.each:
        moved = aside / part.folder.name
        shutil.rmtree(moved, ignore_errors=True)
        part.folder.rename(moved)
        shutil.rmtree(moved)


def clear(runs: LocalRuns) -> None:
    """Deletes what an interrupted deletion has left."""
    shutil.rmtree(runs.folder.with_name(ASIDE), ignore_errors=True)


def _size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
