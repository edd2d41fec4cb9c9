"""Ships an attempt's journal to the database, in order, with retries until it succeeds."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from app.cancellation import heed_cancellation
from app.services.attempts.poisoned import apply_apart
from pricetag.metering.journal import Journal, JournalError

logger = logging.getLogger(__name__)

BATCH = 1000
INTERVAL_S = 0.5
MAX_BACKOFF_S = 10.0

Record = dict[str, Any]

Ingest = Callable[[UUID, list[dict[str, Any]]], Awaitable[int]]
"""Applies records in its own transaction and returns the new watermark."""


class Shipper:
    """Ships one journal; ``run`` returns once ``finish`` was called and all is delivered.

    While the database is unavailable, records wait in the journal on disk; those in memory, since
    the disk was full, are written there as soon as possible.
    """

    def __init__(self, journal: Journal, attempt_id: UUID, ingest: Ingest) -> None:
        self._journal = journal
        self._attempt_id = attempt_id
        self._ingest = ingest
        self._next_seq = 0
        self._finishing = asyncio.Event()
        self._wake = asyncio.Event()

    def finish(self) -> None:
        """Deliver the remaining records and end; called after the last record."""
        self._finishing.set()
        self._wake.set()

    async def run(self) -> None:
        backoff_s = INTERVAL_S
        while True:
            last = self._finishing.is_set()
            try:
                shipped = await self._ship_batch()
                heed_cancellation()
                backoff_s = INTERVAL_S
            except Exception as error:  # after any error, the records stay on disk for later
                logger.warning(
                    "attempt %s: the database rejected the journal (%s: %s); retrying in %.1f s",
                    self._attempt_id,
                    type(error).__name__,
                    str(error).splitlines()[0] if str(error) else "",
                    backoff_s,
                )
                with contextlib.suppress(JournalError):  # logged when they began to wait
                    await asyncio.to_thread(self._journal.sync)
                await asyncio.sleep(backoff_s)
                backoff_s = min(2 * backoff_s, MAX_BACKOFF_S)
                continue
            if shipped == BATCH:
                continue
            if last:
                return
            await self._pause()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(INTERVAL_S):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    async def _ship_batch(self) -> int:
        records = self._journal.read_from(self._next_seq, BATCH)
        if records:
            await self._ship(records)
        return len(records)

    async def _ship(self, records: list[Record]) -> None:
        """Ships records in order; one that cannot be stored is set aside."""
        await apply_apart(
            lambda part: self._ingest(self._attempt_id, part), records, self._note_applied
        )

    def _note_applied(self, last: Record) -> None:
        self._next_seq = last["seq"] + 1
        self._journal.note_shipped(self._next_seq)
