"""Puts the model of an earlier run into a run's work folder, from wherever it is.

It happens within the attempt, whose meter is open: its energy and time are the run's.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.artifact_store.cache import Cache
from app.artifact_store.stores import (
    Content,
    ContentDiffersError,
    ObjectMissingError,
    ObjectStore,
    Stop,
    StoppedError,
    StoreError,
)
from workers.job.published import FIELD
from workers.job.steps import link_or_copy

PAUSES_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Pauses in s before further attempts to reach the store."""

POLL_S = 0.2
FOLDER = "upstream"
"""Name in the work folder of the run."""

StoredSizes = Callable[[Sequence[str]], Awaitable[dict[str, int]]]
"""Sizes of those contents that the database says are in the store, by hash."""


class FetchError(Exception):
    """The model cannot be provided.

    Args:
        code: Stable code of the run's reason.
        message: The reason, for people.
        field: The field to correct; None if the job is not the cause.
    """

    def __init__(self, code: str, message: str, field: str | None = FIELD) -> None:
        super().__init__(message)
        self.reason = {"code": code, "message": message}
        if field is not None:
            self.reason["field"] = field


@dataclass(slots=True)
class Fetched:
    """What was put into the work folder.

    Attributes:
        folder: Where the files are.
        files: Their number.
        fetched_bytes: Size of those that came from the store; others were on this machine.
        duration_s: How long it took.
    """

    folder: Path
    files: int = 0
    fetched_bytes: int = 0
    duration_s: float = 0.0


class Fetcher:
    """Provides models of earlier runs on this node.

    Args:
        root: The node's artifact folder.
        store: The artifact store.
        cache: Copies of its objects on this machine.
        stored_sizes: Asks the database what is in the store.
    """

    def __init__(
        self, root: Path, store: ObjectStore, cache: Cache, stored_sizes: StoredSizes
    ) -> None:
        self._root = root
        self._store = store
        self._cache = cache
        self._stored_sizes = stored_sizes

    async def fetch(
        self, upstream: Mapping[str, Any], work_dir: Path, is_stopped: Stop
    ) -> Fetched | None:
        """Puts the files of a model into a run's work folder; None if it was stopped.

        Raises:
            FetchError: If a file is missing or damaged, or the store cannot be reached.
        """
        started_s = time.monotonic()
        done = Fetched(work_dir / FOLDER)
        await asyncio.to_thread(shutil.rmtree, done.folder, ignore_errors=True)
        missing = {str(name): str(sha256) for name, sha256 in upstream["files"].items()}
        try:
            # A file that is in neither place at first was moved between the two looks.
            for _ in range(2):
                sizes = await self._stored_sizes(list(missing.values()))
                for name, sha256 in list(missing.items()):
                    if await self._place(upstream, name, sha256, sizes, done, is_stopped):
                        del missing[name]
                if not missing:
                    break
        except StoppedError:
            return None
        if missing:
            raise FetchError(
                "missing-artifact",
                f"{_named(upstream, next(iter(missing)))} is neither in the artifact store "
                f"{self._store.address} nor in the artifact folder of this worker: it was "
                "removed, or waits on the machine that wrote it",
            )
        done.files = len(upstream["files"])
        done.duration_s = time.monotonic() - started_s
        return done

    async def _place(
        self,
        upstream: Mapping[str, Any],
        name: str,
        sha256: str,
        sizes: Mapping[str, int],
        done: Fetched,
        is_stopped: Stop,
    ) -> bool:
        if Path(name).name != name:
            raise FetchError("missing-artifact", f"{name!r} is not the name of a file")
        if sha256 in sizes:
            content = Content(sha256, sizes[sha256])
            if await self._from_store(upstream, name, content, done.folder / name, is_stopped):
                done.fetched_bytes += content.size_bytes
            return True
        folder = (self._root / str(upstream["folder"])).resolve()
        file = folder / name
        if not folder.is_relative_to(self._root.resolve()) or not file.is_file():
            return False
        try:
            await asyncio.to_thread(link_or_copy, [file], done.folder)
        except FileNotFoundError:  # moved to the store at this moment
            return False
        return True

    async def _from_store(
        self,
        upstream: Mapping[str, Any],
        name: str,
        content: Content,
        target: Path,
        is_stopped: Stop,
    ) -> bool:
        for pause_s in (*PAUSES_S, None):
            try:
                return await asyncio.to_thread(
                    self._cache.place, self._store, content, target, is_stopped
                )
            except ObjectMissingError as error:
                message = f"{_named(upstream, name)} is registered as stored, but {error}"
                raise FetchError("missing-artifact", message) from error
            except ContentDiffersError as error:
                message = f"{_named(upstream, name)} is damaged in the artifact store: it has"
                raise FetchError("artifact-changed", f"{message} {error}") from error
            except StoreError as error:
                if pause_s is None:
                    raise FetchError("artifact-store-unreachable", str(error), None) from error
                await _pause(pause_s, is_stopped)
        raise AssertionError("unreachable")


async def _pause(seconds: float, is_stopped: Stop) -> None:
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        if is_stopped():
            raise StoppedError
        await asyncio.sleep(POLL_S)


def _named(upstream: Mapping[str, Any], name: str) -> str:
    return f"'{name}' of stage '{upstream['stage']}' of run {upstream['run_id']}"
