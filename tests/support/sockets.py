"""A prepared stage to call ``fit`` in, and small plug-ins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from pricetag.recipes.methods.train import Train
from tests.support.recording import RecordingReporter
from tests.support.training import CONFIG, TRAIN, context, data_set, recipe
from workers.job.context import StageContext
from workers.job.reporter import Interrupted
from workers.training.cost.flops import FlopProfile
from workers.training.finetune import training_data, training_labels
from workers.training.fit import Horizon, Outcome, fit
from workers.training.forward_pass import ForwardPass
from workers.training.model.loaded import Loaded
from workers.training.model.models import for_training
from workers.training.model.recording import Needs
from workers.training.plugin import (
    BatchPlace,
    LossTerm,
    ParameterGroup,
    Plugin,
    Step,
)
from workers.training.teacher import Teacher

SHALLOW = {**CONFIG, "num_hidden_layers": 2, "hidden_size": 16, "intermediate_size": 24}
ONLY_TRAIN = {**TRAIN, "evaluate": False}
PROFILE = FlopProfile(square=0, linear=10, fixed=0, method="test")
IDS = torch.randint(5, 60, (3, 9), generator=torch.Generator().manual_seed(0))
MASK = (torch.arange(9) < torch.tensor([[9], [6], [4]])).long()


def prepared(root: Path, stop_after: int | None = None) -> tuple[StageContext, Loaded]:
    """A training stage over the generated data, and its model, the same at each call."""
    if not (root / "data").exists():
        data_set(root, train=48, dev=16, test=8)
    stage = context(root, recipe(ONLY_TRAIN, model={"config": SHALLOW}))
    stage.reporter = RecordingReporter(stop_after=stop_after)
    return stage, for_training(stage, training_labels(stage), 0)


def fitted(stage: StageContext, loaded: Loaded, steps: int = 4, **parts: Any) -> Outcome:
    """Train for some steps; ``options`` go to the stage's parameters, the rest to ``fit``."""
    options = Train(
        **{"batch_size": 8, "learning_rate": 1e-3, "precision": "fp32", **parts.pop("options", {})}
    )
    data = training_data(stage, loaded, options.max_length)
    return fit(stage, loaded, data, options, horizon=Horizon(1.0, steps), **parts)


def weights(loaded: Loaded) -> dict[str, torch.Tensor]:
    """A copy of a model's weights."""
    return {name: tensor.clone() for name, tensor in loaded.model.state_dict().items()}


def equal(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    """Whether two sets of weights are the same to the last bit."""
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def teacher(loaded: Loaded, **changes: Any) -> Teacher:
    """A model as a teacher, with made-up operations."""
    return Teacher(loaded.model, precision_="fp32", profile=PROFILE, **changes)


class Momentum(Plugin):
    """Pulls one matrix towards the mean of its past values: state that must outlive a kill."""

    def __init__(self) -> None:
        self.mean = torch.zeros(0)
        self.steps = torch.zeros(1)
        self._weight: nn.Parameter | None = None

    def attach(self, model: nn.Module) -> None:
        self._weight = next(p for n, p in model.named_parameters() if n.endswith("query.weight"))
        self.mean = self._weight.detach().clone()

    def after_step(self, step: Step) -> None:
        assert self._weight is not None
        with torch.no_grad():
            self.mean = 0.9 * self.mean + 0.1 * self._weight
            self._weight.mul_(0.5).add_(self.mean, alpha=0.5)
        self.steps += 1

    def state(self) -> dict[str, torch.Tensor]:
        return {"mean": self.mean, "steps": self.steps}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        self.mean, self.steps = state["mean"], state["steps"]


class Projection(LossTerm):
    """A term with a trained matrix of its own, outside the model."""

    name = "projection"

    def __init__(self, width: int, learning_rate: float = 0.01) -> None:
        torch.manual_seed(7)
        self.linear = nn.Linear(width, 1)
        self.learning_rate = learning_rate
        self.gradients: list[torch.Tensor] = []

    def parameter_groups(self, model: nn.Module) -> Sequence[ParameterGroup]:
        parameters = list(self.linear.parameters())
        return [ParameterGroup(parameters, self.learning_rate, 0.0, lambda done, total: 1.0)]

    def value(self, forward: ForwardPass) -> torch.Tensor:
        projected: torch.Tensor = self.linear(forward.logits.detach())
        return projected.square().mean()

    def after_backward(self, step: Step) -> None:
        assert self.linear.weight.grad is not None
        self.gradients.append(self.linear.weight.grad.clone())

    def state(self) -> dict[str, torch.Tensor]:
        return dict(self.linear.state_dict())

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        self.linear.load_state_dict(state)


class ReplacedTokens(LossTerm):
    """ELECTRA in small: a trained generator replaces tokens, a trained head looks for them.

    Generator and head are the term's own; how often it was called is its state as well.
    """

    name = "replaced"
    needs = Needs(hidden_states=True)

    def __init__(self, vocabulary: int, width: int) -> None:
        torch.manual_seed(3)
        self.generator = nn.Embedding(vocabulary, vocabulary)
        self.head = nn.Linear(width, 1)
        self.calls = torch.zeros(1)
        self.places: list[BatchPlace] = []
        self.batches: list[torch.Tensor] = []
        self.generator_loss = torch.zeros(())

    def own(self) -> nn.ModuleDict:
        return nn.ModuleDict({"generator": self.generator, "head": self.head})

    def parameter_groups(self, model: nn.Module) -> Sequence[ParameterGroup]:
        return [ParameterGroup(list(self.own().parameters()), 0.01)]

    def change_batch(
        self, batch: Mapping[str, torch.Tensor], place: BatchPlace
    ) -> Mapping[str, torch.Tensor]:
        draws = place.generator("replaced tokens")
        ids = batch["input_ids"]
        masked = (torch.rand(ids.shape, generator=draws) < 0.3) & batch["attention_mask"].bool()
        scores = self.generator(ids)
        self.generator_loss = functional.cross_entropy(scores[masked], ids[masked])
        spread = torch.softmax(scores.detach() + self.calls, dim=-1).flatten(0, 1)
        drawn = torch.multinomial(spread, 1, generator=draws).view_as(ids)
        replaced = torch.where(masked, drawn, ids)
        self.calls += 1
        self.places.append(place)
        self.batches.append(replaced)
        return {**batch, "input_ids": replaced, "replaced": (replaced != ids).float()}

    def value(self, forward: ForwardPass) -> torch.Tensor:
        logits = self.head(forward.hidden_states[-1]).squeeze(-1)
        wanted = forward.targets["replaced"]
        detection = functional.binary_cross_entropy_with_logits(logits, wanted)
        return detection + self.generator_loss

    def state(self) -> dict[str, torch.Tensor]:
        return {**self.own().state_dict(), "calls": self.calls}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        self.calls = state.pop("calls")
        self.own().load_state_dict(state)


class Reads(LossTerm):
    """Keeps what a term may read."""

    def __init__(self, needs: Needs) -> None:
        self.needs = needs
        self.passes: list[ForwardPass] = []

    def value(self, forward: ForwardPass) -> torch.Tensor:
        self.passes.append(forward)
        return forward.logits.square().mean()


def count_passes(model: nn.Module) -> list[int]:
    """A list that grows by one with each forward pass of a model."""
    calls: list[int] = []
    model.register_forward_pre_hook(lambda *_: calls.append(1))
    return calls


def interrupted(root: Path, steps: int, **parts: Any) -> None:
    """Train for nine steps, interrupted after some of them."""
    stage, loaded = prepared(root, stop_after=steps - 1)
    with pytest.raises(Interrupted):
        fitted(stage, loaded, steps=9, **parts)
