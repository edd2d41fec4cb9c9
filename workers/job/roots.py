"""Finds files under the data roots, and rejects paths outside them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from workers.job.request import JobError


def find(place: str, roots: Sequence[Path], field: str) -> Path:
    """The file or folder named in a run description, resolved, inside a data root.

    Raises:
        JobError: ``path-outside-roots`` if it (or the target of its links) is outside every root,
            ``missing-file`` if it does not exist.
    """
    path = find_optional(place, roots, field)
    if path is None:
        message = f"'{place}' is not under the data roots ({named(roots)})"
        raise JobError("missing-file", message, field)
    return path


def named(roots: Sequence[Path]) -> str:
    """The data roots as a list for messages."""
    return ", ".join(str(root) for root in roots) or "none are configured"


def find_optional(place: str, roots: Sequence[Path], field: str) -> Path | None:
    """Like ``find``, but returns None for a path that does not exist.

    Raises:
        JobError: ``path-outside-roots``.
    """
    resolved_roots = [root.resolve() for root in roots]
    outside = False
    for root in resolved_roots:
        candidate = Path(os.path.abspath(root / place))  # an absolute place replaces the root
        target = candidate.resolve()
        if not any(target.is_relative_to(allowed) for allowed in resolved_roots):
            outside = True
            continue
        if target.exists():
            return target
    if outside:
        raise JobError("path-outside-roots", f"'{place}' is outside the data roots", field)
    return None


def check_links(folder: Path, roots: Sequence[Path], field: str) -> None:
    """Reject a model or tokenizer folder whose files are links out of the data roots.

    Raises:
        JobError: ``path-outside-roots``; ``bad-model`` if it is not a folder.
    """
    if not folder.is_dir():
        raise JobError("bad-model", f"{folder.name} is a file; a model is a folder", field)
    resolved_roots = [root.resolve() for root in roots]
    for file in folder.iterdir():
        if not any(file.resolve().is_relative_to(root) for root in resolved_roots):
            raise JobError(
                "path-outside-roots",
                f"'{folder.name}/{file.name}' is a link out of the data roots",
                field,
            )
