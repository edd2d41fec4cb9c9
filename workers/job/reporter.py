"""The interface through which a job reports its progress, metrics and stages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pricetag.events import stopped_status
from workers.job.request import Interrupted, Job, JobError

__all__ = [
    "Interrupted",
    "Job",
    "JobError",
    "Reporter",
    "SilentReporter",
    "StageHandle",
]


@dataclass
class StageHandle:
    """An open stage. Call ``reused()`` when its result comes from an earlier attempt."""

    key: str
    status: str = "succeeded"

    def reused(self) -> None:
        """Mark the stage as taken over from an earlier attempt: nothing was computed in it."""
        self.status = "reused"

    def left_by(self, error: BaseException) -> None:
        """Note why the stage was left before its end."""
        self.status = "failed"
        if isinstance(error, Interrupted):
            self.status = stopped_status(error.reason)


class Reporter(ABC):
    """Receives a job's progress, metrics and stage edges.

    All reports but ``stage`` and ``stop_requested`` belong to the innermost open stage. Each
    becomes one event; a subclass decides where events go.
    """

    @abstractmethod
    def _event(self, type_: str, **fields: Any) -> None:
        """Send an event."""

    @abstractmethod
    def stage(
        self, kind: str, name: str, recipe_index: int | None = None
    ) -> AbstractContextManager[StageHandle]:
        """Open a stage; entering and leaving are acknowledged energy edges.

        An exception leaves it as ``failed``, a stop as ``cancelled`` or ``interrupted``, and
        is raised again. Stages nest.
        """

    @abstractmethod
    def stop_requested(self) -> str | None:
        """The reason why the job should save a checkpoint and end; None if it need not."""

    def progress(self, done: float, total: float, unit: str, message: str | None = None) -> None:
        """Report the progress of the stage."""
        self._event("progress", done=done, total=total, unit=unit, message=message)

    def metric(
        self,
        name: str,
        value: float | None,
        unit: str | None = None,
        split: str | None = None,
        step: int | None = None,
        quality: bool = False,
        of_class: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Report a figure; ``quality`` puts it on the price tag.

        ``of_class`` is the class that a metric such as F1 refers to, ``reason`` why the value
        is missing.
        """
        self._event(
            "metric",
            name=name,
            value=value,
            unit=unit,
            split=split,
            step=step,
            quality=quality,
            of_class=of_class,
            reason=reason,
        )

    def flops(
        self,
        dense: float | None,
        effective: float | None,
        low_bit: float | None,
        method: str,
        uncounted: list[str] | None = None,
    ) -> None:
        """Report the stage's FLOPs: dense, without zero weights, and on low-bit numbers."""
        self._event(
            "flops",
            dense=dense,
            effective=effective,
            low_bit=low_bit,
            method=method,
            uncounted=uncounted or [],
        )

    def log(self, text: str, stream: str = "pricetag") -> None:
        """Add a line to the run's log (``stdout``, ``stderr`` or ``pricetag``)."""
        self._event("log", text=text, stream=stream)

    def artifact(
        self, name: str, path: Path, card: Mapping[str, Any] | None, stage_key: str | None = None
    ) -> None:
        """Report a file in the artifacts folder, for ``stage_key`` or else the open stage."""
        self._event("artifact", name=name, path=path, card=card, stage_key=stage_key)

    def environment(
        self,
        packages: Mapping[str, str],
        python: str,
        platform: str,
        git_commit: str | None,
        seeds: Mapping[str, int],
        code: Mapping[str, Any] | None = None,
    ) -> None:
        """Report the job's software environment."""
        self._event(
            "environment",
            packages=dict(packages),
            python=python,
            platform=platform,
            git_commit=git_commit,
            seeds=dict(seeds),
            **({} if code is None else {"code": dict(code)}),
        )

    def inputs(self, files: Sequence[Mapping[str, Any]]) -> None:
        """Report the data and model files that the job reads."""
        self._event("environment", inputs=[dict(file) for file in files])


class SilentReporter(Reporter):
    """Drops everything: for the ranks that do not report."""

    def _event(self, type_: str, **fields: Any) -> None:
        pass

    @contextmanager
    def stage(self, kind: str, name: str, recipe_index: int | None = None) -> Iterator[StageHandle]:
        """See ``Reporter.stage``."""
        yield StageHandle(key="")

    def stop_requested(self) -> str | None:
        """See ``Reporter.stop_requested``: rank 0 asks, and passes the reason on."""
        return None
