"""The input and the result of a stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pricetag.recipes import FromScratch, Recipe
from workers.job.reporter import Reporter
from workers.job.request import Interrupted, Job


@dataclass(frozen=True)
class ModelRef:
    """The model a stage starts from: the run's own, or the artifact of an earlier stage.

    Exactly one of ``folder``, ``hub`` and ``scratch`` is set.
    """

    folder: Path | None = None
    hub: str | None = None
    scratch: FromScratch | None = None
    produced: bool = False  # by an earlier stage of this run, so it is fit for its task


@dataclass(frozen=True)
class StageResult:
    """A finished stage: the folder of the model it made, if any, and facts for its card."""

    model_folder: Path | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class StageContext:
    """Everything a stage may use; ``folder`` belongs to it alone and outlives the attempt."""

    job: Job
    recipe: Recipe
    reporter: Reporter
    index: int  # among the recipe's stages
    folder: Path
    model: ModelRef | None
    cache: dict[Any, Any]  # shared by the stages of this process, for example tokenized data

    @property
    def field(self) -> str:
        """Path of the stage in the run description."""
        return f"recipe.stages.{self.index}"

    @property
    def model_folder(self) -> Path:
        """Folder in which the stage saves the model it makes."""
        return self.folder / "model"

    def cached(self, key: Any, make: Callable[[], Any]) -> Any:
        """The cached value of ``key``, made on first use."""
        if key not in self.cache:
            self.cache[key] = make()
        return self.cache[key]

    def stop_if_asked(self) -> None:
        """Leave the stage, at a point where it can be resumed, if a stop was requested.

        Raises:
            Interrupted: the supervisor requested a stop.
        """
        reason = self.reporter.stop_requested()
        if reason is not None:
            raise Interrupted(reason)
