"""Copies of objects on this machine, each fetched once, and verified whenever it is used."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.artifact_store.stores import (
    Content,
    ContentDiffersError,
    ObjectStore,
    Stop,
    StoppedError,
    checked,
    verify,
)

LOCK_POLL_S = 0.05


class Cache:
    """The copies of one machine, shared by its processes.

    Args:
        folder: Where they are.
        limit_bytes: Total size above which those unused for longest are removed.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes

    def place(
        self, store: ObjectStore, content: Content, target: Path, is_stopped: Stop | None = None
    ) -> bool:
        """Puts a copy of an object at a path, which must not exist.

        The copy is a link where possible: removing it from the cache leaves it in place.

        Returns:
            Whether it had to be fetched.

        Raises:
            StoreError: If the store cannot be read.
            ContentDiffersError: If the object in the store is damaged.
            StoppedError: If the caller stopped it.
            OSError: If the copy cannot be written.
        """
        with self._locked(content.sha256[:2], is_stopped):
            path, is_fetched = self._get(store, content, is_stopped)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, target)
            except OSError:
                shutil.copyfile(path, target)
        if is_fetched:
            self._evict()
        return is_fetched

    def get(self, store: ObjectStore, content: Content) -> Path:
        """The copy of an object; it may be removed once other objects are fetched.

        Raises:
            StoreError: If the store cannot be read.
            ContentDiffersError: If the object in the store is damaged.
            OSError: If the copy cannot be written.
        """
        with self._locked(content.sha256[:2], None):
            path, is_fetched = self._get(store, content, None)
        if is_fetched:
            self._evict()
        return path

    def _get(
        self, store: ObjectStore, content: Content, is_stopped: Stop | None
    ) -> tuple[Path, bool]:
        path = self._folder / content.sha256[:2] / content.sha256
        try:
            verify(path, content, is_stopped)
            os.utime(path)
        except (FileNotFoundError, ContentDiffersError):
            self._fetch(store, content, path, is_stopped)
            return path, True
        return path, False

    def _fetch(
        self, store: ObjectStore, content: Content, path: Path, is_stopped: Stop | None
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.part")  # of this process alone, by the lock
        try:
            with draft.open("wb") as file:
                for chunk in checked(store.chunks(content.sha256), content, is_stopped):
                    file.write(chunk)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)

    @contextmanager
    def _locked(self, prefix: str, is_stopped: Stop | None) -> Iterator[None]:
        """Makes other threads and processes wait that need the same object."""
        folder = self._folder / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / prefix, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            while not _lock(handle):
                if is_stopped is not None and is_stopped():
                    raise StoppedError
                time.sleep(LOCK_POLL_S)
            yield
        finally:
            os.close(handle)

    def _evict(self) -> None:
        """Removes the copies unused for longest, except the newest."""
        copies: list[tuple[float, int, Path]] = []
        for path in self._folder.glob("??/*"):
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                copies.append((status.st_mtime, status.st_size, path))
        excess = sum(size for _, size, _ in copies) - self._limit_bytes
        for _, size, path in sorted(copies)[:-1]:
            if excess <= 0:
                return
            handle = os.open(self._folder / "locks" / path.parent.name, os.O_RDWR | os.O_CREAT)
            try:
                if _lock(handle):  # nobody uses it at this moment
                    path.unlink(missing_ok=True)
                    excess -= size
            finally:
                os.close(handle)


def _lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
