"""Atomic writes: a file has either its old or its new content, never a part."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A temporary file next to ``path``, which replaces it when the block ends without an error.

    Readers see the old content or the new one, never a part, also after a power failure.

    Args:
        path: The file; missing parent folders are created.

    Raises:
        OSError: If it cannot be written; what was there stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield draft
        with draft.open("r+b") as written:
            os.fsync(written.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_whole(path: Path, text: str, mode: int = 0o666) -> None:
    """Write a text file atomically, in UTF-8.

    Args:
        path: The file.
        text: Its content.
        mode: Its permission bits, of which the umask removes some.

    Raises:
        OSError: If it cannot be written; what was there stays.
    """
    with replaced(path) as draft:
        draft.touch(mode)
        draft.write_text(text, encoding="utf-8")
