"""Deletes states of trainings that ended studies have left in the node's folder or the store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from app.artifact_store.stores import Content, ObjectStore, StoreError
from app.cancellation import heed_cancellation
from app.services.attempts.releasing import StateFile
from workers.attempt.uploads import clear, file_of

logger = logging.getLogger(__name__)

INTERVAL_S = 300.0


class Records(Protocol):
    """The database operations of releases."""

    async def unneeded_states(self, *, with_store: bool) -> list[StateFile]: ...
    async def release_states(
        self, files: Sequence[StateFile], delete: Callable[[StateFile], bool]
    ) -> list[StateFile]: ...
    async def remove_objects(self, store: ObjectStore, contents: Sequence[Content]) -> None: ...


class Releases:
    """Deletes states of trainings of one node.

    Args:
        root: The node's artifact folder.
        records: Access to the database.
        store: The artifact store; None without one.
    """

    def __init__(self, root: Path, records: Records, store: ObjectStore | None) -> None:
        self._root = root
        self._records = records
        self._store = store

    async def run(self) -> None:
        """Deletes what is unneeded every few minutes until canceled, through outages."""
        while True:
            try:
                await self.one_round()
            except (StoreError, OSError) as error:
                logger.warning("states of ended studies stay for now: %s", error)
            except Exception as error:  # the database may be away, or busy
                fault = f"{type(error).__name__}: {error}".splitlines()[0]
                logger.warning("states of ended studies stay for now: %s", fault)
            heed_cancellation()
            await asyncio.sleep(INTERVAL_S)

    async def one_round(self) -> int:
        """Deletes all files that are unneeded; returns their number.

        Raises:
            StoreError: If the store cannot be used.
            OSError: If a file cannot be deleted.
        """
        number = size_bytes = 0
        while files := await self._records.unneeded_states(with_store=self._store is not None):
            released = await self._records.release_states(files, self._delete)
            contents = [file.content for file in released if file.is_stored]
            if self._store is not None and contents:
                await self._records.remove_objects(self._store, contents)
            if not released:
                break
            number += len(released)
            size_bytes += sum(file.content.size_bytes for file in released)
            heed_cancellation()
        if number:
            logger.info(
                "%d files (%d MB) of states of trainings were deleted: their studies have ended",
                number,
                size_bytes // 1_000_000,
            )
        return number

    def _delete(self, file: StateFile) -> bool:
        path = file_of(self._root, file.path, file.run_id, file.attempt)
        if path is None:
            return False
        path.unlink(missing_ok=True)
        clear(self._root, path)
        return True
