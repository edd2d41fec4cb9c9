"""Moves artifacts of ended attempts from the node's folder to the artifact store.

A file stays in the folder until its content is in the store and the database says so. What is to
be moved is read from the database, so that a worker may die at any moment: the next one moves the
rest, and what was stored before is found there by its hash.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Protocol
from uuid import UUID

from app.artifact_store.stores import (
    ContentDiffersError,
    ObjectStore,
    StoppedError,
    StoreError,
    chunks_of,
)
from app.cancellation import heed_cancellation
from app.services.attempts.storing import GoneAgainError, WaitingArtifact

logger = logging.getLogger(__name__)

INTERVAL_S = 60.0


def file_of(root: Path, artifact_path: str, run_id: UUID, attempt: int) -> Path | None:
    """The file of an artifact in a node's folder; None if it is not in that of its attempt.

    Args:
        root: The artifact folder.
        artifact_path: The registered path below it.
        run_id: The artifact's run.
        attempt: Number of its attempt.
    """
    path, own = PurePosixPath(artifact_path), PurePosixPath(str(run_id), str(attempt))
    if ".." in path.parts or not path.is_relative_to(own) or path == own:
        return None
    file = root / path
    # A link could lead to any file that the worker may read.
    return file if file.parent.resolve() == root.resolve() / path.parent else None


def clear(root: Path, path: Path) -> None:
    """Removes a file, and the folders of its run that are empty then."""
    with suppress(OSError):
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == root:
                return
            folder.rmdir()


class Records(Protocol):
    """The database operations of uploads."""

    async def waiting_artifacts(self, after: UUID | None) -> list[WaitingArtifact]: ...
    async def note_stored(self, artifact: WaitingArtifact, store: ObjectStore) -> bool: ...
    async def note_not_stored(self, artifact: WaitingArtifact, reason: str) -> None: ...


class Uploads:
    """Moves the artifacts of one node; its workers take turns.

    Args:
        root: The node's artifact folder.
        lock: File that the uploading worker of the node locks.
        store: The artifact store.
        records: Access to the database.
    """

    def __init__(self, root: Path, lock: Path, store: ObjectStore, records: Records) -> None:
        self._root = root
        self._lock = lock
        self._store = store
        self._records = records
        self._wake = asyncio.Event()
        self._is_stopped = threading.Event()
        self._fault: str | None = None  # as logged

    def wake(self) -> None:
        """Looks for artifacts at once, since an attempt has ended."""
        self._wake.set()

    async def run(self) -> None:
        """Moves artifacts until canceled, through outages of the store and the database."""
        try:
            while True:
                self._wake.clear()
                try:
                    await self.one_round()
                    self._fault = None
                except (StoreError, OSError) as error:
                    self._report(str(error))
                except Exception as error:  # the database may be away
                    self._report(f"{type(error).__name__}: {error}".splitlines()[0])
                heed_cancellation()
                with suppress(TimeoutError):
                    async with asyncio.timeout(INTERVAL_S):
                        await self._wake.wait()
        finally:
            self._is_stopped.set()

    def _report(self, fault: str) -> None:
        if fault != self._fault:
            self._fault = fault
            logger.warning("artifacts stay in %s for now: %s", self._root, fault)

    async def one_round(self) -> int:
        """Moves all artifacts that wait; returns the number of stored ones.

        Raises:
            StoreError: If the store cannot be used.
            OSError: If a file cannot be read.
        """
        number = 0
        with self._turn() as is_ours:
            after: UUID | None = None
            while is_ours and (waiting := await self._records.waiting_artifacts(after)):
                for artifact in waiting:
                    number += await self._move(artifact)
                    heed_cancellation()
                after = waiting[-1].id
        return number

    async def _move(self, artifact: WaitingArtifact) -> bool:
        path = file_of(self._root, artifact.path, artifact.run_id, artifact.attempt)
        try:
            reason = await asyncio.to_thread(self._upload, artifact, path)
        except StoppedError:
            return False
        if reason is not None:
            logger.warning(
                "run %s: the artifact %s is not stored: %s", artifact.run_id, artifact.path, reason
            )
            await self._records.note_not_stored(artifact, reason)
            return False
        try:
            is_noted = await self._records.note_stored(artifact, self._store)
        except GoneAgainError:
            return False  # removed in between: it is stored in the next round
        if is_noted and path is not None:
            await asyncio.to_thread(clear, self._root, path)
        return is_noted

    def _upload(self, artifact: WaitingArtifact, path: Path | None) -> str | None:
        """Makes sure that the store has a content; returns the reason if that is impossible."""
        if self._store.has(artifact.content):
            return None
        if path is None:
            return "its path is not in the folder of its attempt"
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            if not any(self._root.iterdir()):
                raise StoreError(f"the artifact folder {self._root} is empty") from None
            return f"its file is not in the artifact folder {self._root}"
        except OSError as error:
            return f"its file cannot be read: {error.strerror}"
        with open(handle, "rb") as file:
            try:
                self._store.put(self._until_stopped(chunks_of(file)), artifact.content)
            except ContentDiffersError as error:
                return f"its file was changed after it was registered: {error}"
        return None

    def _until_stopped(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            if self._is_stopped.is_set():
                raise StoppedError
            yield chunk

    @contextmanager
    def _turn(self) -> Iterator[bool]:
        """Whether no other worker of the node moves artifacts now."""
        self._lock.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield True
        except BlockingIOError:
            yield False
        finally:
            os.close(handle)
