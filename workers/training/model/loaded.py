"""A model in memory, with its tokenizer and its classes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from workers.training.formats import registry
from workers.training.model.positions import position_limit


@dataclass(frozen=True)
class Loaded:
    """A model with its tokenizer; ``labels`` are its classes, None for a task without classes."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    labels: list[str] | None

    @property
    def outputs(self) -> int:
        """Outputs of a classifier: one for each class, or one score."""
        return 1 if self.labels is None else len(self.labels)

    def device(self, wanted: str) -> torch.device:
        """The device that the model computes on: ``wanted``, but the CPU for 8-bit weights."""
        only_on_cpu = registry.only_on_cpu(registry.describe(self.model))
        return torch.device("cpu" if only_on_cpu else wanted)

    def token_limit(self, wanted: int) -> int:
        """``wanted`` tokens, or as many as the model and its tokenizer can take."""
        limit = position_limit(self.model)
        return min(wanted, wanted if limit is None else limit, self.tokenizer.model_max_length)


def encoder_of(loaded: Loaded) -> Loaded:
    """A model without its head, with the same weights."""
    return replace(loaded, model=cast(PreTrainedModel, loaded.model.base_model))
