"""Limits on a job's events, so that a flood cannot fill the disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

RATE_PER_S = 1000.0
BURST = 20_000
"""Burst size, and sustained rate per second, of figures; the rest are dropped."""

MAX_BYTES = 256 * 1024 * 1024
"""Maximum total size of an attempt's figures, artifacts and descriptions, in bytes."""

MAX_REJECTED = 100
"""Rejected events of one attempt that are kept with their reason; the others are counted."""


class Bucket:
    """A rate with room for bursts.

    Args:
        now_s: Monotonic seconds.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._room = float(BURST)
        self._filled_s = now_s()

    def take(self) -> bool:
        """Whether one more event is within the rate."""
        now_s = self._now_s()
        gained = max(now_s - self._filled_s, 0.0) * RATE_PER_S
        self._room, self._filled_s = min(self._room + gained, BURST), now_s
        if self._room < 1.0:
            return False
        self._room -= 1.0
        return True


class EventFlow:
    """Counts the events of one attempt, and those that are dropped.

    Args:
        now_s: Monotonic seconds.
        note: Adds a line to the attempt's log.
    """

    def __init__(self, now_s: Callable[[], float], note: Callable[[str], None]) -> None:
        self._buckets = {kind: Bucket(now_s) for kind in ("figures", "quality figures")}
        self._note = note
        self._bytes = 0
        self._dropped: Counter[str] = Counter()
        self.rejected = 0

    def takes(self, kind: str, size_bytes: int) -> bool:
        """Whether an event is within the limits; quality figures have their own rate."""
        if not self._buckets[kind].take():
            self._drop(f"{kind} faster than {RATE_PER_S:g} a second")
            return False
        if self._bytes + size_bytes > MAX_BYTES:
            self._drop(f"figures beyond {MAX_BYTES >> 20} MB")
            return False
        self._bytes += size_bytes
        return True

    def keeps_rejected(self) -> bool:
        """Whether a rejected event is kept with its reason; counts it."""
        self.rejected += 1
        return self.rejected <= MAX_REJECTED

    @property
    def rejected_unkept(self) -> int:
        """How many rejected events were counted only."""
        return max(self.rejected - MAX_REJECTED, 0)

    def summary(self) -> list[str]:
        """Lines for the end of the log."""
        lines = [f"{count} {excess} were dropped" for excess, count in self._dropped.items()]
        if self.rejected_unkept:
            lines.append(f"{self.rejected} events were rejected; {MAX_REJECTED} of them are kept")
        return lines

    def _drop(self, excess: str) -> None:
        self._dropped[excess] += 1
        if self._dropped[excess] == 1:
            self._note(f"the job reports {excess}: such events are dropped, and counted")
