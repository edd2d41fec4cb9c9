"""What callbacks of training frameworks share: stages whose edges wait for the accelerator."""

from __future__ import annotations

import math
import sys
from typing import Any

from pricetag import script


def begun(name: str, kind: str) -> script.Stage:
    """A stage that begins now."""
    synchronize()
    stage = script.stage(name, kind=kind)
    stage.__enter__()
    return stage


def end(stage: script.Stage) -> None:
    """Ends a stage."""
    synchronize()
    stage.__exit__(None, None, None)


def break_off(stage: script.Stage, error: BaseException) -> None:
    """Ends a stage in which an exception was raised."""
    stage.__exit__(type(error), error, None)


def is_number(value: Any) -> bool:
    """Whether a value is a finite number that can be a figure."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def synchronize() -> None:
    """Waits for queued work of the accelerator, which belongs to the stage before."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.synchronize()
