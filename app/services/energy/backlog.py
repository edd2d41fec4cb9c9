"""Folds waiting hours into the roll-ups, in pieces and with progress."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from app.cancellation import heed_cancellation
from app.db import Database
from app.repositories.energy import folding
from app.services.energy.rollups import BATCH, fold_pending

LONG = 20_000
"""Minimum backlog for a notice, in node-hours: it adds seconds of work to each request."""

REPORT_EVERY_S = 10.0

SMALLEST, LARGEST = 50, 8_000
"""Node-hours in one piece."""

BRIEF_S, LENGTHY_S = 0.5, 2.0
"""Target duration of a piece: after a faster one, the next is larger; after a slower one,
smaller."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of folding a backlog into the roll-ups.

    Attributes:
        folded: Node-hours that were folded since the beginning.
        left: Node-hours that still wait.
        newest: The newest of these; None if there are none.
        took_s: Time since the beginning, in s.
    """

    folded: int
    left: int
    newest: datetime | None
    took_s: float

    @property
    def rest_s(self) -> float | None:
        """Expected time until nothing waits, in s; None before the first piece."""
        return self.left * self.took_s / self.folded if self.folded else None

    @property
    def text(self) -> str:
        """The progress in one sentence."""
        if self.newest is None:
            return "energy account: all hours are in the roll-ups"
        until = "" if self.rest_s is None else f", for about {_minutes(self.rest_s)}"
        return (
            f"energy account: {self.left} hours of nodes, up to {self.newest:%Y-%m}, wait to be"
            f" added to the roll-ups; requests for these months are slow until then{until}"
        )


class Backlog:
    """Hours that wait for the roll-ups. An interruption loses at most one piece.

    ``folded`` is the number of node-hours that it has folded in all rounds.

    Args:
        database: Engine and sessions; each piece is its own transaction.
        report: Called with the progress, first after one piece, then every ten seconds, and at the
            end.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        database: Database,
        report: Callable[[Progress], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limit = BATCH
        self.folded = 0
        self._database = database
        self._report = report
        self._clock = clock
        self._reported_s: float | None = None

    async def fold(self) -> bool:
        """Folds all waiting hours that no other process holds; False if another process is
        folding."""
        began_s, before = self._clock(), self.folded
        while True:
            folded = await self._piece()
            self.folded += folded or 0
            total = self.folded - before
            if self._is_due or (not folded and total):
                await self._tell(total, began_s)
            if not folded:
                return folded is not None
            heed_cancellation()

    async def _piece(self) -> int | None:
        """Folds some hours, and sizes the next piece to take about a second."""
        began_s, limit = self._clock(), self.limit
        self.limit = max(limit // 2, SMALLEST)  # if it fails: the next try has less to do
        async with self._database.session_scope() as session:
            folded = await fold_pending(session, limit=limit)
        took_s = self._clock() - began_s
        if took_s <= LENGTHY_S:
            grows = folded == limit and took_s < BRIEF_S
            self.limit = min(limit * 2, LARGEST) if grows else limit
        return folded

    @property
    def _is_due(self) -> bool:
        return self._reported_s is None or self._clock() - self._reported_s >= REPORT_EVERY_S

    async def _tell(self, folded: int, began_s: float) -> None:
        async with self._database.session_scope() as session:
            waiting = await folding.waiting(session)
        self._reported_s = self._clock()
        took_s = self._reported_s - began_s
        self._report(Progress(folded, waiting.number, waiting.newest, took_s))


def _minutes(duration_s: float) -> str:
    return "a minute" if duration_s < 90 else f"{duration_s / 60:.0f} min"
