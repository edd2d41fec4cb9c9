"""Ending background tasks for certain, also where a library loses their cancellation.

Before Python 3.12 ``asyncio.wait_for`` returns normally, in place of raising, when it is
cancelled in the very step in which what it waits for is done (CPython issue 86296). The task
then goes on for ever. Use ``asyncio.timeout`` instead; libraries may still do otherwise.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from typing import Any

logger = logging.getLogger(__name__)

AGAIN_S = 10.0
"""Longer than what a task does in its last moments, which a second cancellation cuts short."""

PATIENCE_S = 25.0


def heed_cancellation() -> None:
    """Call in a loop that runs until it is cancelled: a cancellation that was lost is raised now.

    Raises:
        asyncio.CancelledError: If the current task was asked to end.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def end_tasks(
    tasks: Iterable[asyncio.Task[Any]], *, again_s: float = AGAIN_S, patience_s: float = PATIENCE_S
) -> None:
    """Cancels tasks and waits for their end; never raises what they end with.

    Args:
        tasks: Those that have ended already are passed over.
        again_s: Seconds after which a task that goes on is cancelled again.
        patience_s: Seconds after which tasks that still go on are abandoned, with a log line.
    """
    deadline_s = time.monotonic() + patience_s
    pending = {task for task in tasks if not task.done()}
    while pending and (left_s := deadline_s - time.monotonic()) > 0:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=min(again_s, left_s))
    for task in pending:
        logger.error("task %s ignored its cancellation and is abandoned", task.get_name())
