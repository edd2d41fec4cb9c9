"""Forward passes for measuring a model: on random tokens, or on texts that determine its work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import nn

from workers.job.context import StageContext
from workers.training.cost import benchmark
from workers.training.cost.flops import FlopProfile
from workers.training.data.texts import load_split
from workers.training.data.tokens import Batch
from workers.training.formats.exits import exits_of
from workers.training.formats.profile import ModelProfile
from workers.training.forward_pass import accepted
from workers.training.model.loaded import Loaded
from workers.training.tasks.registry import task_of


class Use:
    """A model in use on examples of ``length`` tokens, of random numbers: values do not matter."""

    def __init__(self, loaded: Loaded, length: int, device: torch.device) -> None:
        self.loaded = loaded
        self.length = length
        self.device = device

    def call(self, batch_size: int) -> Callable[[], object]:
        """A forward pass that returns when the device has finished."""
        return benchmark.inference_call(self.loaded, batch_size, self.length, self.device)

    def profile(self, full_profile: ModelProfile) -> ModelProfile:
        """The model's profile with the mean operations of the last call's examples.

        Args:
            full_profile: The profile of the whole model.
        """
        return full_profile

    def shares(self) -> dict[int, float]:
        """Share of the last call's examples that left after each layer; empty without exits."""
        return {}


class UseOnTexts(Use):
    """A model with exits in use on texts, which determine the exits.

    Texts are cut or padded to ``length`` tokens, so that other models can be compared, and come in
    an order drawn once. The calls cycle through them.

    Args:
        context: The stage's context.
        loaded: The model.
        split: Split of the texts.
        length: Tokens of each text.
        device: Device that computes.

    Raises:
        JobError: The split cannot be read, or does not fit the model.
    """

    def __init__(
        self, context: StageContext, loaded: Loaded, split: str, length: int, device: torch.device
    ) -> None:
        super().__init__(loaded, length, device)
        task = task_of(context)
        self._data = task.tokens(context, load_split(context, split), loaded, length)
        self._collate = task.collator(loaded, seed=0, multiple=length)
        self._calls: Counter[int] = Counter()
        self._left: dict[int, torch.Tensor] = {}

    def call(self, batch_size: int) -> Callable[[], object]:
        """See ``Use.call``; each call computes the next batch."""
        model: nn.Module = self.loaded.model
        model.to(self.device).train(False)
        batches = self._batches(batch_size)
        exits = exits_of(model)
        assert exits is not None
        calls: Counter[int] = Counter()
        left: dict[int, torch.Tensor] = {}
        self._calls, self._left = calls, left

        def call() -> object:
            number = calls.total() % len(batches)
            with torch.inference_mode():
                outputs = model(**batches[number])
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            calls[number] += 1
            if exits.left_at is not None:
                left[number] = exits.left_at
            return outputs

        return call

    def profile(self, full_profile: ModelProfile) -> ModelProfile:
        """See ``Use.profile``: each exit's operations, by its share of the examples."""
        shares = self._shares()
        return (
            replace(full_profile, flops=mean_of(full_profile.exits, shares))
            if shares
            else full_profile
        )

    def shares(self) -> dict[int, float]:
        """See ``Use.shares``."""
        exits = exits_of(self.loaded.model)
        assert exits is not None
        return dict(zip(exits.layers, self._shares(), strict=False))

    def _shares(self) -> list[float]:
        exits = exits_of(self.loaded.model)
        assert exits is not None
        counts = torch.zeros(len(exits.layers), dtype=torch.float64)
        for number, left_at in self._left.items():
            times = self._calls[number]
            counts += times * torch.bincount(left_at.cpu(), minlength=len(counts))
        return (counts / counts.sum()).tolist() if self._left else []

    def _batches(self, batch_size: int) -> list[Batch]:
        order = torch.randperm(len(self._data), generator=torch.Generator().manual_seed(0)).tolist()
        order = order * -(-batch_size // len(order))  # a short split fills one batch
        starts = range(0, len(order) - batch_size + 1, batch_size)
        rows = [order[start : start + batch_size] for start in starts]
        batches = [self._collate([self._data[row] for row in each]) for each in rows]
        return [
            {k: v.to(self.device) for k, v in accepted(self.loaded.model, batch).items()}
            for batch in batches
        ]


def mean_of(exits: tuple[FlopProfile, ...], shares: list[float]) -> FlopProfile:
    """The mean operations of examples that leave at the exits.

    Args:
        exits: Operations of an example that leaves at each exit.
        shares: Share of the examples that leave there.
    """

    def mean(part: str) -> float:
        return sum(
            share * float(getattr(each, part)) for share, each in zip(shares, exits, strict=True)
        )

    return replace(
        exits[-1],
        square=mean("square"),
        linear=mean("linear"),
        fixed=mean("fixed"),
        head=mean("head"),
        per_chunk=mean("per_chunk"),
    )
