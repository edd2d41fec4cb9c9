"""What an artifact store can do, and a store in a folder of a local or shared file system.

An object is whole or absent, and named by the SHA-256 of its content::

    <address>/objects/<first two digits>/<sha256>

A folder also has `drafts/`, with what is being written.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

OBJECTS = "objects"
DRAFTS = "drafts"
CHUNK_BYTES = 1 << 20
READ_ONLY = 0o444
PREFIXES = tuple(f"{number:02x}" for number in range(256))
"""First two digits of all hashes: a store is listed in these parts."""

_HASH = re.compile(r"[0-9a-f]{64}")


class StoreError(Exception):
    """The store cannot be used now: it is unreachable, full, or rejects the request."""


class ObjectMissingError(StoreError):
    """The store does not have the object."""


class ContentDiffersError(Exception):
    """A content does not have the registered hash and size.

    Args:
        content: What was registered.
        sha256: The actual hash.
        size_bytes: The actual size.
    """

    def __init__(self, content: Content, sha256: str, size_bytes: int) -> None:
        super().__init__(
            f"SHA-256 {sha256} ({size_bytes:,} bytes), not {content.sha256} "
            f"({content.size_bytes:,} bytes)"
        )
        self.sha256 = sha256


class StoppedError(Exception):
    """The transfer was stopped by its caller."""


Stop = Callable[[], bool]
"""Whether a transfer should stop."""


@dataclass(frozen=True, slots=True)
class Content:
    """The content of an artifact.

    Attributes:
        sha256: Its hash, in hexadecimal.
        size_bytes: Its size.
    """

    sha256: str
    size_bytes: int


class ObjectStore(ABC):
    """A store of objects.

    Attributes:
        address: Where it is, as in the settings.
    """

    address: str

    @abstractmethod
    def has(self, content: Content) -> bool:
        """Whether the store has an object of this name and size.

        Raises:
            StoreError: If it cannot be reached.
        """

    @abstractmethod
    def put(self, chunks: Iterable[bytes], content: Content) -> None:
        """Stores a content; when this returns, it is durable.

        Raises:
            ContentDiffersError: If the chunks are not the content; nothing is stored.
            StoreError: If it cannot be written; nothing is stored.
        """

    @abstractmethod
    def chunks(self, sha256: str) -> Iterator[bytes]:
        """The content of an object, not compared with its hash (see ``checked``).

        Raises:
            ObjectMissingError: If there is none.
            StoreError: If it cannot be read.
        """

    @abstractmethod
    def listed(self, prefix: str) -> list[Content]:
        """The objects whose hash begins with two digits."""

    @abstractmethod
    def written_at(self, sha256: str) -> datetime | None:
        """When an object was written; None if there is none."""

    @abstractmethod
    def remove(self, sha256: str) -> None:
        """Removes an object, if it is there."""

    def local_path(self, sha256: str) -> Path | None:
        """The object's file, if the store is a folder."""
        return None

    def clear_drafts(self, older_than_s: float) -> int:
        """Removes what killed processes left; returns the number."""
        return 0


def checked(
    chunks: Iterable[bytes], content: Content, is_stopped: Stop | None = None
) -> Iterator[bytes]:
    """Passes a content on, and compares it with its hash at the end.

    Raises:
        ContentDiffersError: After the last chunk, if it differs.
        StoppedError: If the caller stopped it.
    """
    hashed = hashlib.sha256()
    size_bytes = 0
    for chunk in chunks:
        if is_stopped is not None and is_stopped():
            raise StoppedError
        hashed.update(chunk)
        size_bytes += len(chunk)
        yield chunk
    if (hashed.hexdigest(), size_bytes) != (content.sha256, content.size_bytes):
        raise ContentDiffersError(content, hashed.hexdigest(), size_bytes)


def verify(path: Path, content: Content, is_stopped: Stop | None = None) -> None:
    """Compares a file with a content.

    Raises:
        ContentDiffersError: If it differs.
        OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        for _ in checked(chunks_of(file), content, is_stopped):
            pass


def chunks_of(file: BinaryIO) -> Iterator[bytes]:
    """The content of a file in pieces."""
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


class FolderStore(ObjectStore):
    """A store in a folder, which must exist: a file system that is not mounted is an error.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self.address = str(root)
        self.root = root

    def has(self, content: Content) -> bool:
        # A network file system may still know the name of an object that was removed elsewhere;
        # it has to ask when the object is opened.
        with self._faults():
            try:
                with self._path(content.sha256).open("rb") as file:
                    return os.fstat(file.fileno()).st_size == content.size_bytes
            except FileNotFoundError:
                return False

    def put(self, chunks: Iterable[bytes], content: Content) -> None:
        with self._faults():
            drafts = self.root / DRAFTS
            drafts.mkdir(exist_ok=True)
            draft = drafts / f"{content.sha256}.{uuid.uuid4().hex}"
            try:
                with draft.open("xb") as file:
                    for chunk in checked(chunks, content):
                        file.write(chunk)
                    file.flush()
                    os.fchmod(file.fileno(), READ_ONLY)
                    os.fsync(file.fileno())
                path = self._path(content.sha256)
                self._make_folder(path.parent)
                draft.replace(path)
                _sync(path.parent)
            finally:
                draft.unlink(missing_ok=True)

    def chunks(self, sha256: str) -> Iterator[bytes]:
        with self._faults():
            try:
                with self._path(sha256).open("rb") as file:
                    yield from chunks_of(file)
            except FileNotFoundError:
                raise self._missing(sha256) from None

    def listed(self, prefix: str) -> list[Content]:
        with self._faults():
            folder = self.root / OBJECTS / prefix
            if not folder.is_dir():
                return []
            with os.scandir(folder) as entries:
                return [
                    Content(entry.name, entry.stat().st_size)
                    for entry in entries
                    if _HASH.fullmatch(entry.name)
                ]

    def written_at(self, sha256: str) -> datetime | None:
        with self._faults():
            try:
                return datetime.fromtimestamp(self._path(sha256).stat().st_mtime, UTC)
            except FileNotFoundError:
                return None

    def remove(self, sha256: str) -> None:
        with self._faults():
            self._path(sha256).unlink(missing_ok=True)

    def local_path(self, sha256: str) -> Path | None:
        return self._path(sha256)

    def clear_drafts(self, older_than_s: float) -> int:
        with self._faults():
            drafts = self.root / DRAFTS
            if not drafts.is_dir():
                return 0
            limit = time.time() - older_than_s
            old = [path for path in drafts.iterdir() if path.stat().st_mtime < limit]
            for path in old:
                path.unlink(missing_ok=True)
            return len(old)

    def _path(self, sha256: str) -> Path:
        if not _HASH.fullmatch(sha256):
            raise ValueError(f"{sha256!r} is not a SHA-256")
        return self.root / OBJECTS / sha256[:2] / sha256

    def _missing(self, sha256: str) -> ObjectMissingError:
        return ObjectMissingError(f"the artifact store {self.address} has no object {sha256}")

    def _make_folder(self, folder: Path) -> None:
        if folder.is_dir():
            return
        folder.parent.mkdir(exist_ok=True)
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)
        _sync(self.root)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            if not self.root.is_dir():
                raise StoreError(
                    f"the artifact store {self.address} is not a folder: mount its file system, "
                    "or create the folder"
                )
            yield
        except OSError as error:
            reason = error.strerror or str(error)
            raise StoreError(f"the artifact store {self.address}: {reason}") from error


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # some network file systems cannot sync folders
            os.fsync(handle)
    finally:
        os.close(handle)
