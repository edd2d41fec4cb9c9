"""Tasks with one label for each text or pair of texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from pricetag.recipes import Data
from workers.job.context import StageContext
from workers.training.data.examples import Examples
from workers.training.data.labels import encode_labels
from workers.training.data.tokens import Collator, TokenData, encode
from workers.training.forward_pass import ForwardPass
from workers.training.losses import TaskLoss
from workers.training.model.heads import CLASSIFIER
from workers.training.model.loaded import Loaded
from workers.training.prediction import Collate, Predictions, predict, require_finite
from workers.training.tasks.base import Task


class Labeled(Task):
    """Common parts of classification and regression."""

    head = CLASSIFIER

    def columns(self, data: Data) -> list[str]:
        """See ``Task.columns``: text, label, second text."""
        return [data.text, data.label] + ([data.text_pair] if data.text_pair else [])

    def pairs(self, data: Data) -> bool:
        """See ``Task.pairs``."""
        return data.text_pair is not None

    def check_head(self, examples: Examples, classes: Sequence[str] | None) -> None:
        """See ``Task.check_head``."""
        encode_labels(examples, classes)

    def tokens(
        self, context: StageContext, examples: Examples, loaded: Loaded, limit: int
    ) -> TokenData:
        """See ``Task.tokens``; longer texts are cut."""
        labels = encode_labels(examples, loaded.labels)
        return TokenData(encode(context, examples, loaded.tokenizer, limit), labels)

    def collator(self, loaded: Loaded, *, seed: int = 0, multiple: int = 1) -> Collate:
        """See ``Task.collator``."""
        return Collator(int(loaded.tokenizer.pad_token_id or 0), loaded.labels is None, multiple)

    def loss(self, weight: float = 1.0) -> TaskLoss:
        """See ``Task.loss``."""
        return TaskLoss(weight)

    def choices(
        self, outputs: Any, forward: ForwardPass, *, every_token: bool = False
    ) -> list[torch.Tensor]:
        """See ``Task.choices``: a class, or a score, for each example."""
        return [outputs.logits.float()]

    def logits(
        self, context: StageContext, loaded: Loaded, data: TokenData, batch_size: int
    ) -> tuple[torch.Tensor, Predictions]:
        """Logits ``[examples, outputs]`` in the data's order.

        Raises:
            JobError: ``answer-not-finite``.
            Interrupted: A stop was requested.
        """
        predictions = Predictions()
        logits = torch.empty((len(data), loaded.outputs))
        collate = self.collator(loaded)
        for rows, _, outputs in predict(context, loaded, data, collate, batch_size, predictions):
            logits[rows] = outputs.logits.float().cpu()
        require_finite(logits)
        return logits, predictions
