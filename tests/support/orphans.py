"""The journals of dead workers, as the next worker of their node takes them over."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

from workers.attempt.recovery import Orphan, end_orphans, lock_orphans


def adopt_orphans(
    journal_dir: Path, root: Path | None = None, *, ingested: Mapping[UUID, int] | None = None
) -> list[Orphan]:
    """The journals, locked and ended."""
    return list(end_orphans(lock_orphans(journal_dir), ingested or {}, root))
