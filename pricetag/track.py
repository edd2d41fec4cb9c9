"""Reporting from inside a script that Pricetag runs: stages and figures.

In a ``command`` run the worker sets ``PRICETAG_EVENTS``; ``stage`` and ``log`` then reach
the supervisor, which meters every stage by itself. Outside a metered run both do nothing
but say so once, so that the same script runs anywhere.
"""

from __future__ import annotations

import atexit
import math
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pricetag.events import EventChannel

_lock = threading.Lock()
_channel: EventChannel | None = None
_opened = False


def _current() -> EventChannel | None:
    global _channel, _opened
    with _lock:
        if not _opened:
            _opened = True
            _channel = EventChannel.from_environment()
            if _channel is None:
                sys.stderr.write(
                    "pricetag: not inside a metered run (PRICETAG_EVENTS is not set); "
                    "stages and figures are not recorded\n"
                )
            else:
                atexit.register(_channel.close)
        return _channel


def log(
    *, step: int | None = None, split: str | None = None, quality: bool = False, **metrics: float
) -> None:
    """Reports figures of the running job: ``pricetag.log(loss=0.31, step=200)``.

    Args:
        step: Training step or epoch the figures belong to.
        split: Data split they were computed on, for example ``validation``.
        quality: Whether they belong on the price tag (accuracy, F1, ...).
        **metrics: The figures by name.

    Raises:
        ValueError: If a figure is not a finite number; the message names it.
        EventPipeError: If the supervisor is gone.
    """
    for name, value in metrics.items():
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            raise ValueError(f"{name}: {value!r} is not a finite number")
    channel = _current()
    if channel is None:
        return
    for name, value in metrics.items():
        channel.send(
            "metric", name=name, value=float(value), step=step, split=split, quality=quality
        )


def progress(done: float, total: float | None = None, unit: str = "step") -> None:
    """Reports how far the running stage is: ``pricetag.progress(3, 10, "epoch")``.

    Raises:
        EventPipeError: If the supervisor is gone.
    """
    channel = _current()
    if channel is not None:
        channel.send("progress", done=done, total=total, unit=unit, message=None)


@contextmanager
def stage(name: str, kind: str = "stage") -> Iterator[None]:
    """Meters the block as a stage of its own: ``with pricetag.stage("epoch 1"): ...``.

    Synchronise your device before the block ends: work still queued on a GPU would be
    charged to what follows.

    Args:
        name: What the stage is called on the price tag.
        kind: What sort of work it is.

    Raises:
        EventPipeError: If the supervisor is gone.
    """
    channel = _current()
    if channel is None:
        yield
        return
    key = channel.edge("stage_start", kind=kind, name=name)["key"]
    status = "failed"
    try:
        yield
        status = "succeeded"
    finally:
        channel.edge("stage_end", key=key, status=status)
