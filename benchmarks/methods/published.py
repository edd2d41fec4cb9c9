"""The published models of the runs, loaded in this process as the worker loads them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.methods.catalog import Catalog
from benchmarks.methods.inputs import MODEL
from benchmarks.methods.plan import Budget, budget_on, described_run
from benchmarks.methods.state import Record
from pricetag.recipes import parse_recipe
from tests.support.recording import RecordingReporter
from workers.job.context import ModelRef, StageContext
from workers.job.reporter import Job

SCORED_AT_ONCE = 64
"""Sentences of a batch of ``measure`` when it scores."""


@dataclass(frozen=True)
class Published:
    """The published models of a service.

    Attributes:
        catalog: All entries.
        budget: What the runs have in common.
        inputs: Data root of the service.
        artifacts: Folder of the artifacts of the service.
        scratch: Folder for what stages write.
    """

    catalog: Catalog
    budget: Budget
    inputs: Path
    artifacts: Path
    scratch: Path

    def folder(self, record: Record) -> Path | None:
        """Folder of the model that a run published last; None if it was deleted."""
        attempts = self.artifacts / str(record.run_id)
        folders = [path.parent for path in attempts.glob("*/stage-*/config.json")]
        return max(folders, key=lambda path: (int(path.parent.name), path.name), default=None)

    def opened(self, record: Record, folder: Path) -> Opened:
        """A published model in memory."""
        from workers.training.model.models import for_use

        context = self._context(record, folder)
        return Opened(self, context, for_use(context))

    def _context(self, record: Record, folder: Path) -> StageContext:
        entry = self.catalog.runs[record.trial.name]
        budget = budget_on(self.catalog, self.budget, record.trial.data)
        described = described_run(entry, budget, record.trial, None)["recipe"]
        described["model"] = MODEL
        job = Job(
            run_id=str(record.run_id),
            attempt_number=1,
            recipe=described,
            data_roots=[self.inputs],
            work_dir=self.scratch,
            artifacts_dir=self.scratch,
        )
        return StageContext(
            job=job,
            recipe=parse_recipe(described),
            reporter=RecordingReporter(),
            index=len(described["stages"]) - 1,
            folder=self.scratch,
            model=ModelRef(folder=folder, produced=True),
            cache={},
        )


@dataclass(frozen=True)
class Opened:
    """A model in memory, and what is needed to use it."""

    of: Published
    context: StageContext
    loaded: Any

    def predicted(self) -> tuple[list[int], list[int]]:
        """Predicted and true class numbers of the validation split, in its order."""
        from workers.training.data.texts import load_split
        from workers.training.tasks.classification import TASK

        examples = load_split(self.context, "validation")
        limit = self.loaded.token_limit(self.of.budget.max_length)
        data = TASK.tokens(self.context, examples, self.loaded, limit)
        logits, _ = TASK.logits(self.context, self.loaded, data, SCORED_AT_ONCE)
        return logits.argmax(-1).tolist(), [int(number) for number in data.labels]

    def inference(self) -> Callable[[], object]:
        """A forward pass at batch 1, as ``measure`` times it."""
        from workers.training.cost.in_use import Use, UseOnTexts
        from workers.training.formats.exits import exits_of

        device = self.loaded.device("cpu")
        length = self.loaded.token_limit(self.of.budget.measured_tokens)
        exits = exits_of(self.loaded.model)
        if exits is None or exits.threshold is None:
            return Use(self.loaded, length, device).call(1)
        return UseOnTexts(self.context, self.loaded, "validation", length, device).call(1)
