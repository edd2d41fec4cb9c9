"""Which checkpoint of an interrupted training can be trusted."""

from __future__ import annotations

import json
from pathlib import Path

STATE = "trainer_state.json"  # written last, so its presence says that the rest is there


def newest(folder: Path) -> Path | None:
    """The checkpoint with the most steps that was written to its end."""
    found = [path for path in folder.glob("checkpoint-*") if _complete(path)]
    return max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def _complete(checkpoint: Path) -> bool:
    try:
        state = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(state, dict) and "global_step" in state
