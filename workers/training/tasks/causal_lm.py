"""Causal language modeling: the model predicts each token from those before it.

Source: Radford et al. 2019, Language Models are Unsupervised Multitask Learners, section 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from workers.training.data.tokens import Batch, padded
from workers.training.forward_pass import ForwardPass
from workers.training.model.heads import CAUSAL_LM
from workers.training.model.loaded import Loaded
from workers.training.plugin import LossTerm
from workers.training.tasks.language import (
    IGNORED,
    Items,
    LanguageModel,
    token_loss,
    vocabulary_config,
)


@dataclass(frozen=True)
class NextTokenCollator:
    """Pads texts; ``labels[:, i]`` is the token after ``input_ids[:, i]``.

    At a text's last token and at padding nothing is predicted.
    """

    pad_token_id: int
    multiple: int = 1

    def __call__(self, items: Items) -> Batch:
        batch = padded(items, self.pad_token_id, self.multiple)
        labels = torch.full_like(batch["input_ids"], IGNORED)
        for row, item in enumerate(items):
            ids = item["input_ids"]
            labels[row, : len(ids) - 1] = torch.tensor(ids[1:], dtype=torch.long)
        return {**batch, "labels": labels}


class NextTokenLoss(LossTerm):
    """Mean cross-entropy of the next tokens."""

    name = "task"

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight

    def value(self, forward: ForwardPass) -> torch.Tensor:
        """See ``LossTerm.value``."""
        predicted = forward.labels != IGNORED
        return token_loss(forward.outputs.logits[predicted], forward.labels[predicted])


class CausalLm(LanguageModel):
    """Perplexity of each token after those before it."""

    name = "causal_lm"
    head = CAUSAL_LM

    def has_targets(self, ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> bool:
        """See ``LanguageModel.has_targets``: the first token is not predicted."""
        return len(ids) > 1

    def configure(
        self,
        config: PreTrainedConfig,
        tokenizer: PreTrainedTokenizerBase,
        classes: Sequence[str] | None,
    ) -> None:
        """See ``Task.configure``."""
        vocabulary_config(config, tokenizer)

    def collator(self, loaded: Loaded, *, seed: int = 0, multiple: int = 1) -> NextTokenCollator:
        """See ``Task.collator``."""
        return NextTokenCollator(int(loaded.tokenizer.pad_token_id or 0), multiple)

    def evaluation_collator(self, loaded: Loaded) -> NextTokenCollator:
        """See ``LanguageModel.evaluation_collator``."""
        return self.collator(loaded)

    def selected(self, logits: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """See ``LanguageModel.selected``."""
        predicted = batch["labels"] != IGNORED
        return logits[predicted], batch["labels"][predicted]

    def loss(self, weight: float = 1.0) -> NextTokenLoss:
        """See ``Task.loss``."""
        return NextTokenLoss(weight)


TASK = CausalLm()
