"""Decisions of a stage, made once by rank 0 and kept for all ranks and later attempts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pricetag.atomic_files import write_whole
from workers.job import ranks
from workers.job.context import StageContext


def decided(context: StageContext, name: str, decide: Callable[[], Any]) -> Any:
    """A decision of the stage as JSON, such as the ranks of its matrices or the heads to remove.

    Rank 0 makes it where no earlier attempt has; the other ranks wait for it. So all ranks and
    attempts change the model in the same way, despite differences in rounding.

    Args:
        context: The stage's context.
        name: Name of the decision, the same on all ranks and in all attempts.
        decide: Makes the decision; called on rank 0 at most once.
    """
    note = context.folder / f"{name}.json"
    if not note.exists():
        if ranks.rank() == 0:
            note.parent.mkdir(parents=True, exist_ok=True)
            write_whole(note, json.dumps(decide()))
        else:
            ranks.wait_for(note)
    return json.loads(note.read_text(encoding="utf-8"))
