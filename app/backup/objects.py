"""Contents of files, stored once under their SHA-256."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from app.backup.manifest import OBJECTS, Part

CHUNK_BYTES = 1 << 20
DRAFT_SUFFIX = ".part"


def object_path(folder: Path, sha256: str) -> Path:
    """The file with the content of a hash."""
    return folder / OBJECTS / sha256[:2] / sha256


def put(folder: Path, chunks: Iterable[bytes], expected: str | None = None) -> Part:
    """Stores a content; it gets its name only when it is whole and on the disk.

    Args:
        folder: Folder of the backup.
        chunks: The content.
        expected: Its registered hash; a content with another one is not stored.

    Returns:
        Size and hash of the content.
    """
    objects = folder / OBJECTS
    objects.mkdir(exist_ok=True)
    draft = objects / f".{os.getpid()}{DRAFT_SUFFIX}"
    hashed = hashlib.sha256()
    size_bytes = 0
    with draft.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)
            hashed.update(chunk)
            size_bytes += len(chunk)
        file.flush()
        os.fsync(file.fileno())
    part = Part(size_bytes, hashed.hexdigest())
    if expected not in (None, part.sha256):
        draft.unlink()
        return part
    path = object_path(folder, part.sha256)
    path.parent.mkdir(exist_ok=True)
    draft.replace(path)
    return part


def part_of(path: Path) -> Part:
    """Size and hash of a file."""
    hashed = hashlib.sha256()
    size_bytes = 0
    with path.open("rb") as file:
        for chunk in chunks_of(file):
            hashed.update(chunk)
            size_bytes += len(chunk)
    return Part(size_bytes, hashed.hexdigest())


def chunks_of(file: BinaryIO) -> Iterator[bytes]:
    """The content of a file in pieces."""
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


def whole_lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file that is written to, without one that is not complete yet."""
    for line in file:
        if not line.endswith(b"\n"):
            return
        yield line
