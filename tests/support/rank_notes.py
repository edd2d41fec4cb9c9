"""What each rank decides in its trainings: masks, draws, plug-ins' states, weights at the end."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook
from transformers import TrainerCallback

from workers.training.trainer import PluginTrainer

Notes = list[dict[str, Any]]


class _Decisions(TrainerCallback):
    """Notes the decisions of each step of one training."""

    def __init__(self, trainer: PluginTrainer, notes: Notes) -> None:
        self._trainer = trainer
        self._notes = notes
        model = trainer.model
        assert isinstance(model, nn.Module)
        self._model = model
        self._names = {id(module): name for name, module in model.named_modules()}
        self._ran: Counter[str] = Counter()

    def count(self, module: nn.Module, *of_the_pass: Any) -> None:
        """Count a module of the model that has computed.

        A teacher's are not counted: each rank caches the logits of its own examples.
        """
        if (name := self._names.get(id(module))) is not None:
            self._ran[name] += 1

    def on_step_end(self, args: Any, state: Any, control: Any, **further: Any) -> None:
        """Note the step."""
        masks = (p.detach() == 0 for p in self._model.parameters() if p.dim() > 1)
        states = (one.state() for one in self._trainer.parts.all)
        self._notes.append(
            {
                "step": state.global_step,
                "masks": digest(masks),
                "states": digest(value for one in states for _, value in sorted(one.items())),
                "density": self._trainer.parts.density(),
                "ran": sorted(self._ran.items()),
            }
        )
        self._ran.clear()

    def on_train_end(self, args: Any, state: Any, control: Any, **further: Any) -> None:
        """Note the weights."""
        self._notes.append({"weights": digest(p.detach() for p in self._model.parameters())})


def digest(tensors: Iterable[torch.Tensor]) -> str:
    """SHA-256 of tensors in their order."""
    whole = hashlib.sha256()
    for tensor in tensors:
        whole.update(tensor.contiguous().numpy().tobytes())
    return whole.hexdigest()


@contextmanager
def noting() -> Iterator[Notes]:
    """Within, every training's decisions are noted, step by step; yields the notes."""
    notes: Notes = []
    train = PluginTrainer.train

    def noted(trainer: PluginTrainer, *arguments: Any, **options: Any) -> Any:
        decisions = _Decisions(trainer, notes)
        trainer.add_callback(decisions)
        handle = register_module_forward_hook(decisions.count)
        try:
            return train(trainer, *arguments, **options)
        finally:
            handle.remove()

    with patch.object(PluginTrainer, "train", noted):
        yield notes
