"""Waiting for what happens soon, or late on a busy machine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

PATIENCE_S = 120.0
"""No test takes this long where all is well; a machine with many times too much work does."""


async def until(condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
    """Waits until a condition is true.

    Raises:
        AssertionError: If it does not become true in time.
    """
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, f"it did not come true within {timeout_s:g} s"
        await asyncio.sleep(0.01)
