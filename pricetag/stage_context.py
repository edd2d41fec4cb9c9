"""The current stage of a piece of code, for each thread, task and forked process.

A stage remembers the stage in which it was opened. Tasks of asyncio inherit the stage in which
they were created. A thread starts without a stage: until it opens one, it is in the stage of the
main thread. Ended stages are skipped, in whatever order stages end.
"""

from __future__ import annotations

import os
import threading
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(eq=False, slots=True)
class OpenedStage:
    """A stage opened by this process or by the process from which it was forked.

    Attributes:
        key: Key assigned by the supervisor.
        around: The stage in which it was opened.
        pid: The process that opened it; only this process may end it.
        is_open: Whether it has not ended.
    """

    key: str
    around: OpenedStage | None
    pid: int = field(default_factory=os.getpid)
    is_open: bool = True


_innermost: ContextVar[OpenedStage | None] = ContextVar("pricetag_stage", default=None)
_of_main_thread: list[OpenedStage] = []


def current() -> OpenedStage | None:
    """The innermost open stage around the caller."""
    stage = _nearest_open(_innermost.get())
    if stage is not None or _in_main_thread():
        return stage
    return next((candidate for candidate in reversed(_of_main_thread) if candidate.is_open), None)


def enter(key: str) -> OpenedStage:
    """Records that the caller has opened a stage."""
    stage = OpenedStage(key, current())
    _innermost.set(stage)
    if _in_main_thread():
        _of_main_thread.append(stage)
    return stage


def leave(stage: OpenedStage) -> None:
    """Records that a stage has ended, in any thread or task."""
    stage.is_open = False
    while _of_main_thread and not _of_main_thread[-1].is_open:
        _of_main_thread.pop()
    _innermost.set(_nearest_open(_innermost.get()))


def _nearest_open(stage: OpenedStage | None) -> OpenedStage | None:
    """The stage itself if it is open, or else its nearest open ancestor."""
    while stage is not None and not stage.is_open:
        stage = stage.around
    return stage


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
