"""A task: rows to examples, examples to tokens and batches, a head, a loss, metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from pricetag.recipes import Data
from workers.job.context import StageContext
from workers.training.data.cells import Cells
from workers.training.data.examples import Examples
from workers.training.data.tables import Reading, Table, read_table
from workers.training.data.tokens import TokenData
from workers.training.forward_pass import ForwardPass
from workers.training.metrics import Metrics
from workers.training.model.heads import Head
from workers.training.model.loaded import Loaded
from workers.training.plugin import LossTerm
from workers.training.prediction import Collate, Predictions


class Batches(Protocol):
    """Makes a collator, as ``Task.collator`` does."""

    def __call__(self, loaded: Loaded, *, seed: int, multiple: int = 1) -> Collate:
        """See ``Task.collator``."""


class Task(ABC):
    """A task. ``fit``, evaluation and measurement use this interface and no task's name.

    Attributes:
        name: Name in a recipe.
        head: Head that a model needs for it.
    """

    name: ClassVar[str]
    head: ClassVar[Head]

    # ---- data ----

    @abstractmethod
    def columns(self, data: Data) -> list[str]:
        """The columns that a table must have."""

    def pairs(self, data: Data) -> bool:
        """Whether examples are pairs of texts."""
        return False

    def read(self, path: Path, data: Data, field: str) -> Table:
        """The rows of a local file.

        Raises:
            JobError: The file cannot be read, or does not have the columns.
        """
        return read_table(path, self.columns(data), field, _reading(data))

    @abstractmethod
    def examples(self, cells: Cells, data: Data, split: str) -> Examples:
        """The rows of a table as examples.

        Raises:
            JobError: A cell is not valid for the task.
        """

    def check(self, splits: Mapping[str, Examples], *, trains: bool) -> None:  # noqa: B027
        """Compare the splits of a run with one another, before any stage.

        Raises:
            JobError: The splits do not fit together.
        """

    def check_head(  # noqa: B027
        self, examples: Examples, classes: Sequence[str] | None
    ) -> None:
        """Compare a split with the classes of a model that is not trained before it.

        Raises:
            JobError: ``unknown-label``.
        """

    @abstractmethod
    def tokens(
        self, context: StageContext, examples: Examples, loaded: Loaded, limit: int
    ) -> TokenData:
        """Examples as the model's tokens, at most ``limit`` each, with their targets.

        Raises:
            JobError: The examples do not fit the model.
        """

    @abstractmethod
    def collator(self, loaded: Loaded, *, seed: int, multiple: int = 1) -> Collate:
        """Makes batches for training, padded to a multiple of ``multiple`` tokens.

        A method ``set_epoch``, if it has one, gets each epoch's number.
        """

    # ---- model ----

    def classes(self, context: StageContext) -> list[str] | None:
        """The classes of the run, from its training data; None for a task without classes."""
        return None

    def accepts(self, config: PreTrainedConfig) -> bool:
        """Whether a model has a trained head for the task."""
        return self.head.is_in(config)

    def head_classes(self, config: PreTrainedConfig) -> list[str] | None:
        """The classes of a model's head; None for a task without classes."""
        return None

    def settle_head(
        self, context: StageContext, config: PreTrainedConfig, classes: Sequence[str] | None
    ) -> tuple[list[str] | None, bool]:
        """Change a model's configuration to one with a head for the run.

        Args:
            context: The stage's context.
            config: The model's configuration, changed in place.
            classes: The run's classes.

        Returns:
            The head's classes, and whether the head is a new one.
        """
        is_new = not self.head.is_in(config)
        if is_new:
            context.reporter.log(f"the model has no head for {self.name}: a new one is trained")
        return None, is_new

    def configure(  # noqa: B027
        self,
        config: PreTrainedConfig,
        tokenizer: PreTrainedTokenizerBase,
        classes: Sequence[str] | None,
    ) -> None:
        """Complete the configuration of a model from scratch."""

    # ---- training and evaluation ----

    @abstractmethod
    def loss(self, weight: float = 1.0) -> LossTerm:
        """The task's own loss, as a term of the training loss."""

    @abstractmethod
    def choices(
        self, outputs: Any, forward: ForwardPass, *, every_token: bool = False
    ) -> list[torch.Tensor]:
        """Logits of a model's choices on a batch: classes, tokens, places in the text.

        A student learns from those of its teacher.

        Args:
            outputs: Outputs of the model, or of a teacher on the same batch.
            forward: The batch.
            every_token: For a language model: every token that is not padding instead of the
                predicted ones.

        Returns:
            For each kind of choice ``[choices, options]``; -inf for an option that cannot
            be chosen.
        """

    @abstractmethod
    def score(
        self,
        context: StageContext,
        loaded: Loaded,
        examples: Examples,
        data: TokenData,
        batch_size: int,
    ) -> tuple[Metrics, Predictions]:
        """The model's quality on examples and their tokens; the main metric comes first.

        Raises:
            JobError: ``answer-not-finite``.
            Interrupted: A stop was requested.
        """


def _reading(data: Data) -> Reading:
    """The file format of the data set, from the job's options."""
    return Reading(
        columns=data.columns,
        encoding=data.encoding,
        separator=data.separator,
        header=data.header is None,
        quotes=data.quote is None,
        label_separator=data.label_separator,
        records=data.records,
        label=data.label,
    )
