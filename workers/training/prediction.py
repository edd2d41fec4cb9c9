"""A model's forward passes over a split, and their operations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from workers.job.context import StageContext
from workers.job.request import JobError
from workers.training.cost.flops import FlopProfile
from workers.training.data.tokens import Batch, TokenData
from workers.training.formats.exits import exits_of
from workers.training.forward_pass import accepted
from workers.training.model.loaded import Loaded

PROGRESS_EVERY = 20  # batches

Collate = Callable[[Sequence[dict[str, Any]]], Batch]


@dataclass(frozen=True)
class Predictions:
    """The padded batches that were computed, as rows and tokens of each.

    Attributes:
        batches: Batches that were computed to the last layer.
        left: Parts of batches of a model with exits: rows, tokens, and the exit of these rows.
        logits: Outputs ``[examples, classes]`` of a classification; None for other tasks.
        labels: Number of the right class of each of its examples.
    """

    batches: list[tuple[int, int]] = field(default_factory=list)
    left: list[tuple[int, int, int]] = field(default_factory=list)
    logits: torch.Tensor | None = None
    labels: Sequence[int] = ()

    def add(self, model: nn.Module, rows: int, width: int) -> None:
        """Record a batch ``[rows, width]`` that a model has just computed."""
        exits = exits_of(model)
        if exits is None or exits.left_at is None:
            self.batches.append((rows, width))
            return
        counts = torch.bincount(exits.left_at).tolist()
        self.left.extend((count, width, number) for number, count in enumerate(counts) if count)

    def forward_flops(
        self, profile: FlopProfile, density: float = 1.0, exits: Sequence[FlopProfile] = ()
    ) -> float:
        """Operations of all batches.

        Args:
            profile: Operations of the whole model.
            density: Share of the weights that are not zero.
            exits: Operations up to each exit, where the model has exits.
        """
        return self._total(profile, exits, lambda each, width: each.forward(width, density))

    def low_bit_flops(self, profile: FlopProfile, exits: Sequence[FlopProfile] = ()) -> float:
        """The part of the operations that an 8-bit model computes with 8-bit numbers."""
        return self._total(profile, exits, lambda each, width: each.low_bit(width))

    def _total(
        self,
        profile: FlopProfile,
        exits: Sequence[FlopProfile],
        of: Callable[[FlopProfile, int], float],
    ) -> float:
        full_flops = sum(rows * of(profile, width) for rows, width in self.batches)
        return full_flops + sum(
            rows * of(exits[number], width) for rows, width, number in self.left
        )


def predict(
    context: StageContext,
    loaded: Loaded,
    data: TokenData,
    collate: Collate,
    batch_size: int,
    predictions: Predictions,
) -> Iterator[tuple[list[int], Batch, Any]]:
    """Run the model over the data in fp32, batched by length.

    Args:
        context: The stage's context.
        loaded: The model.
        data: The split as tokens.
        collate: Makes batches.
        batch_size: Number of examples in a batch.
        predictions: Records every batch.

    Yields:
        Numbers of the batch's examples, the batch, and the model's outputs on its device.

    Raises:
        Interrupted: A stop was requested.
    """
    device = loaded.device(context.job.device)
    model: nn.Module = loaded.model
    model.to(device).train(False)
    order = sorted(range(len(data)), key=data.lengths.__getitem__)
    for number, start in enumerate(range(0, len(order), batch_size)):
        rows = order[start : start + batch_size]
        batch = collate([data[row] for row in rows])
        inputs = {k: v.to(device) for k, v in accepted(model, batch).items()}
        with torch.inference_mode():
            outputs = model(**inputs)
        yield rows, batch, outputs
        predictions.add(model, len(rows), inputs["input_ids"].shape[1])
        if number % PROGRESS_EVERY == 0:
            context.reporter.progress(start + len(rows), len(order), "examples")
            context.stop_if_asked()


def require_finite(values: torch.Tensor) -> None:
    """Reject outputs that are not finite.

    Raises:
        JobError: ``answer-not-finite``.
    """
    if not torch.isfinite(values).all():
        raise JobError("answer-not-finite", "the model's outputs are not finite numbers")
