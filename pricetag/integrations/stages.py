"""What callbacks of training frameworks share: stages whose edges wait for the accelerator."""

from __future__ import annotations

import math
import sys
from types import TracebackType
from typing import Any

from pricetag import script
from pricetag.local.tracking import Track, is_metered, track


class TrainingRun:
    """A training that is part of a metered run, or else a local run of its own.

    Args:
        name: Name of the run, if the training is a run of its own.
        project: Its project.
        experiment: Its experiment.
        tags: Its tags.

    Attributes:
        run: The local run of the training; None if it is part of another run. Its ``price_tag`` is
            there when the training has ended.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        project: str | None = None,
        experiment: str = "local",
        tags: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self._name = name
        self._options: dict[str, Any] = {"project": project, "experiment": experiment, "tags": tags}
        self.run: Track | None = None

    def _begin_run(self) -> None:
        if not is_metered():
            self.run = track(self._name, **self._options)
            self.run.__enter__()

    def _end_run(self, error: BaseException | None = None) -> None:
        if self.run is not None:
            traceback: TracebackType | None = None if error is None else error.__traceback__
            self.run.__exit__(None if error is None else type(error), error, traceback)


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
