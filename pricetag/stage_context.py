"""Which stage a piece of code is in: one answer for each thread, task and forked process.

A stage that is opened remembers the stage around it. Tasks of asyncio inherit the stage in
which they were created. A thread starts outside of every stage of its own: as long as it has
opened none, it is in the stage that the main thread is in. A stage that has ended is skipped,
in whatever order stages end.
"""

from __future__ import annotations

import os
import threading
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(eq=False, slots=True)
class OpenedStage:
    """A stage that this process, or the one it was forked from, has opened.

    Attributes:
        key: As the supervisor named it.
        around: The stage in which it was opened.
        pid: The process that opened it, and that alone may end it.
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
    return next((one for one in reversed(_of_main_thread) if one.is_open), None)


def enter(key: str) -> OpenedStage:
    """Notes that the caller has opened a stage."""
    stage = OpenedStage(key, current())
    _innermost.set(stage)
    if _in_main_thread():
        _of_main_thread.append(stage)
    return stage


def leave(stage: OpenedStage) -> None:
    """Notes that a stage has ended, in whichever thread or task that happens."""
    stage.is_open = False
    while _of_main_thread and not _of_main_thread[-1].is_open:
        _of_main_thread.pop()
    _innermost.set(_nearest_open(_innermost.get()))


def _nearest_open(stage: OpenedStage | None) -> OpenedStage | None:
    """The stage itself, or the nearest one around it, that is still open."""
    while stage is not None and not stage.is_open:
        stage = stage.around
    return stage


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
