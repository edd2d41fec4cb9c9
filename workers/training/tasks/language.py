"""Common parts of the two kinds of language models: texts, blocks, perplexity."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from torch.nn import functional
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from pricetag.recipes import Data
from workers.job.context import StageContext
from workers.job.request import JobError
from workers.training.data.cells import Cells
from workers.training.data.examples import Examples
from workers.training.data.plain_text import packed, read_lines
from workers.training.data.tables import Table
from workers.training.data.tokens import Batch, Encoded, TokenData, encode
from workers.training.forward_pass import ForwardPass
from workers.training.metrics import Metrics, Score
from workers.training.model.loaded import Loaded
from workers.training.prediction import Collate, Predictions, predict, require_finite
from workers.training.tasks.base import Task

IGNORED = -100
"""The label of a token that is not predicted."""


class LanguageModel(Task):
    """Texts without labels; the model predicts some of their tokens.

    Attributes:
        accuracy: Name of the share of tokens that are predicted right; None to report none.
    """

    accuracy: ClassVar[str | None] = None

    def columns(self, data: Data) -> list[str]:
        """See ``Task.columns``: the text alone."""
        return [data.text]

    def read(self, path: Path, data: Data, field: str) -> Table:
        """See ``Task.read``; a ``.txt`` file is plain text, every line a text."""
        if path.suffix.lower() == ".txt":
            return read_lines(path, data.text, data.encoding, field)
        return super().read(path, data, field)

    def examples(self, cells: Cells, data: Data, split: str) -> Examples:
        """See ``Task.examples``."""
        table = cells.table
        texts = cells.texts(data.text)
        if not any(text.strip() for text in texts):
            raise JobError("empty-data", f"the {split} data has no text", cells.field)
        return Examples(
            split=split, texts=texts, pairs=None, labels=[], unit=table.unit, places=table.places
        )

    def tokens(
        self, context: StageContext, examples: Examples, loaded: Loaded, limit: int
    ) -> TokenData:
        """See ``Task.tokens``; texts with nothing to predict are dropped.

        Raises:
            JobError: ``block-too-long``, or ``empty-data``.
        """
        assert context.recipe.data is not None
        block = context.recipe.data.block_size
        if block is None:
            ids = encode(context, examples, loaded.tokenizer, limit).input_ids
        elif block > limit:
            message = f"block_size {block}: the model has positions for {limit} tokens"
            raise JobError("block-too-long", message, "recipe.data.block_size")
        else:
            plain = loaded.tokenizer(
                examples.texts,
                add_special_tokens=False,
                return_attention_mask=False,
                return_token_type_ids=False,
                verbose=False,
            )
            ids = packed(plain["input_ids"], loaded.tokenizer, block)
        useful = [text for text in ids if self.has_targets(text, loaded.tokenizer)]
        if not useful:
            message = f"the {examples.split} data has no text with a token to predict"
            raise JobError("empty-data", message, f"recipe.data.{examples.split}")
        return TokenData(Encoded(useful, None), [0] * len(useful))

    @abstractmethod
    def has_targets(self, ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> bool:
        """Whether a text has a token to predict."""

    @abstractmethod
    def evaluation_collator(self, loaded: Loaded) -> Collate:
        """Makes batches whose targets are the same at every call."""

    @abstractmethod
    def selected(self, logits: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits ``[predicted, vocabulary]`` and targets ``[predicted]`` of a batch."""

    def choices(
        self, outputs: Any, forward: ForwardPass, *, every_token: bool = False
    ) -> list[torch.Tensor]:
        """See ``Task.choices``: a token of the vocabulary for each token that is predicted."""
        mask = forward.inputs["attention_mask"] == 1 if every_token else forward.labels != IGNORED
        return [chosen_rows(outputs.logits, mask)]

    def score(
        self,
        context: StageContext,
        loaded: Loaded,
        examples: Examples,
        data: TokenData,
        batch_size: int,
    ) -> tuple[Metrics, Predictions]:
        """See ``Task.score``: perplexity over all predicted tokens of the split."""
        predictions = Predictions()
        total = torch.zeros((), dtype=torch.float64)
        right = tokens = 0
        collate = self.evaluation_collator(loaded)
        for _, batch, outputs in predict(context, loaded, data, collate, batch_size, predictions):
            logits, targets = self.selected(outputs.logits.cpu(), batch)
            logits = logits.float()
            require_finite(logits)
            total += functional.cross_entropy(logits, targets, reduction="sum").double()
            right += int((logits.argmax(-1) == targets).sum())
            tokens += len(targets)
        metrics = {"perplexity": perplexity(float(total), tokens)}
        if self.accuracy is not None:
            metrics[self.accuracy] = Score(right / tokens)
        metrics["predicted_tokens"] = Score(float(tokens))
        return metrics, predictions


def perplexity(total_loss: float, tokens: int) -> Score:
    """exp of the mean loss over the predicted tokens; no value where it exceeds every float.

    Args:
        total_loss: Sum of the tokens' cross-entropies, in nats.
        tokens: Number of predicted tokens.
    """
    mean = total_loss / tokens
    try:
        return Score(math.exp(mean))
    except OverflowError:
        return Score(None, reason=f"exp of the mean loss {mean:.6g} is too large for a number")


def vocabulary_config(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase) -> None:
    """Set the tokenizer's beginning and end of a text in a new model's configuration."""
    first, last = tokenizer.bos_token_id, tokenizer.eos_token_id
    config.bos_token_id = tokenizer.cls_token_id if first is None else first
    config.eos_token_id = tokenizer.sep_token_id if last is None else last


class _ChosenRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(indices)
        ctx.rows = len(logits)
        return logits.index_select(0, indices)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        (indices,) = ctx.saved_tensors
        full_gradient = gradient.new_empty((ctx.rows, *gradient.shape[1:]))
        others = torch.ones(ctx.rows, dtype=torch.bool, device=gradient.device)
        others[indices] = False
        full_gradient[others] = 0
        return full_gradient.index_copy_(0, indices, gradient), None


def chosen_rows(logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The logits of chosen tokens ``[chosen, vocabulary]``, without copies if all are chosen.

    Args:
        logits: ``[batch, seq, vocabulary]``.
        mask: Boolean ``[batch, seq]``.
    """
    rows, indices = logits.flatten(0, 1), mask.flatten().nonzero().flatten()
    if len(indices) == len(rows):
        return rows
    return cast(torch.Tensor, _ChosenRows.apply(rows, indices))  # type: ignore[no-untyped-call]


def token_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of the predicted tokens; 0 where a batch has none.

    Args:
        logits: ``[predicted, vocabulary]``.
        targets: ``[predicted]``.
    """
    total: torch.Tensor = functional.cross_entropy(logits.float(), targets, reduction="sum")
    return total / max(len(targets), 1)


Items = Sequence[dict[str, Any]]
