"""Carries an attempt's journal to the database, in order, however long that takes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from pricetag.metering.journal import Journal

logger = logging.getLogger(__name__)

BATCH = 1000
INTERVAL_S = 0.5
MAX_BACKOFF_S = 10.0

Ingest = Callable[[UUID, list[dict[str, Any]]], Awaitable[int]]
"""Applies records in a transaction of its own and returns the new watermark."""


class Shipper:
    """Ships one journal. ``run`` goes on until ``finish`` was called and all is delivered.

    The database being away is no reason to stop: the journal waits on disk.
    """

    def __init__(self, journal: Journal, attempt_id: UUID, ingest: Ingest) -> None:
        self._journal = journal
        self._attempt_id = attempt_id
        self._ingest = ingest
        self._next_seq = 0
        self._finishing = asyncio.Event()
        self._wake = asyncio.Event()

    def finish(self) -> None:
        """No record follows: deliver the rest and end."""
        self._finishing.set()
        self._wake.set()

    def hurry(self) -> None:
        """Ship now rather than at the next interval."""
        self._wake.set()

    async def run(self) -> None:
        backoff_s = INTERVAL_S
        while True:
            last = self._finishing.is_set()
            try:
                shipped = await self._ship_batch()
                backoff_s = INTERVAL_S
            except Exception as error:  # whatever it is, the records stay on disk for later
                logger.warning(
                    "attempt %s: the database did not take the journal (%s: %s); again in %.1f s",
                    self._attempt_id,
                    type(error).__name__,
                    str(error).splitlines()[0] if str(error) else "",
                    backoff_s,
                )
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
            await asyncio.wait_for(self._wake.wait(), INTERVAL_S)
        except TimeoutError:
            return
        self._wake.clear()

    async def _ship_batch(self) -> int:
        records = self._journal.read_from(self._next_seq, BATCH)
        if records:
            await self._ingest(self._attempt_id, records)
            self._next_seq = records[-1]["seq"] + 1
        return len(records)
