"""Ends background tasks reliably, even if a library loses their cancellation.

Before Python 3.12, ``asyncio.wait_for`` returns normally instead of raising if it is canceled in
the same step in which its awaitable completes (CPython issue 86296). The task then never ends.
Use ``asyncio.timeout`` instead; libraries may still use ``wait_for``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from typing import Any

logger = logging.getLogger(__name__)

AGAIN_S = 10.0
"""Longer than the clean-up of a task, which a second cancellation would interrupt."""

PATIENCE_S = 25.0


def heed_cancellation() -> None:
    """Raises a lost cancellation; call it in every loop that runs until it is canceled.

    Raises:
        asyncio.CancelledError: If the current task was canceled.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def end_tasks(
    tasks: Iterable[asyncio.Task[Any]], *, again_s: float = AGAIN_S, patience_s: float = PATIENCE_S
) -> None:
    """Cancels tasks and waits for them to end; does not raise their exceptions.

    Args:
        tasks: The tasks; those that have already ended are skipped.
        again_s: Seconds after which a task that is still running is canceled again.
        patience_s: Seconds after which running tasks are abandoned, with a log line.
    """
    deadline_s = time.monotonic() + patience_s
    pending = {task for task in tasks if not task.done()}
    while pending and (left_s := deadline_s - time.monotonic()) > 0:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=min(again_s, left_s))
    for task in pending:
        logger.error("task %s ignored its cancellation and is abandoned", task.get_name())
