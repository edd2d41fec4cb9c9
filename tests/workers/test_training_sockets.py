"""What ``fit`` offers a plug-in: parameters, state, density over time, an early end, hooks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.support.sockets import (
    Momentum,
    Projection,
    Reads,
    equal,
    fitted,
    interrupted,
    prepared,
    teacher,
    weights,
)
from workers.methods.logits import SoftLabels
from workers.training.losses import TaskLoss
from workers.training.model.recording import Needs
from workers.training.plugin import LossTerm, ParameterGroup, Plugin, Step, overriding


class Own(Plugin):
    """Trains the classifier ten times as fast, without decay, on its own schedule."""

    def __init__(self) -> None:
        self.rates: list[list[float]] = []
        self.decays: list[float] = []

    def parameter_groups(self, model: nn.Module) -> Sequence[ParameterGroup]:
        parameters = [p for n, p in model.named_parameters() if n.startswith("classifier")]
        return [ParameterGroup(parameters, 0.1, 0.0, lambda done, total: 1.0 / (1 + done))]

    def before_step(self, step: Step) -> None:
        assert step.optimizer is not None
        self.rates.append([group["lr"] for group in step.optimizer.param_groups])
        self.decays = [group["weight_decay"] for group in step.optimizer.param_groups]
        assert step.learning_rate == self.rates[-1][0]


def test_parameter_groups_have_their_own_rate_decay_and_schedule(tmp_path: Path) -> None:
    stage, loaded = prepared(tmp_path)
    own = Own()
    fitted(stage, loaded, plugins=[own], options={"weight_decay": 0.2})
    assert own.decays == [0.2, 0.0, 0.0]
    assert [rates[0] for rates in own.rates] == pytest.approx([1e-3, 7.5e-4, 5e-4, 2.5e-4])
    assert [rates[2] for rates in own.rates] == pytest.approx([0.1, 0.05, 0.1 / 3, 0.025])


def test_parameters_of_a_plugin_are_trained_and_clipped_with_the_models(tmp_path: Path) -> None:
    stage, loaded = prepared(tmp_path)
    projection = Projection(2, learning_rate=0.05)
    start = projection.linear.weight.detach().clone()
    seen: list[float] = []

    class Norm(Plugin):
        def after_step(self, step: Step) -> None:
            assert step.optimizer is not None
            gradients = [
                p.grad
                for g in step.optimizer.param_groups
                for p in g["params"]
                if p.grad is not None
            ]
            seen.append(float(torch.stack([g.norm() for g in gradients]).norm()))

    losses = [TaskLoss(), projection]
    # The hook of the optimizer zeroes the plug-in's gradients, so only the model's are seen.
    fitted(stage, loaded, losses=losses, plugins=[Norm()], options={"max_grad_norm": 0.01})
    assert not torch.equal(projection.linear.weight, start)
    assert max(seen) <= 0.01 + 1e-6
    # Zeroed between steps: the gradient of a step does not contain the one before.
    assert len(projection.gradients) == 4
    assert projection.linear.weight.grad is None


@pytest.mark.parametrize("at", [1, 4, 7])
def test_plugin_state_resumes_to_the_same_bits(tmp_path: Path, at: int) -> None:
    _, other = prepared(tmp_path / "teacher")

    def parts() -> dict[str, Any]:
        asked = teacher(other)
        terms: list[LossTerm] = [TaskLoss(), Projection(2)]
        terms.append(SoftLabels(asked, weight=1.0, temperature=2.0))
        return {"losses": terms, "plugins": [Momentum()], "options": {"weight_decay": 0.1}}

    stage, whole = prepared(tmp_path / "whole")
    together = parts()
    fitted(stage, whole, steps=9, **together)
    interrupted(tmp_path / "halves", at, **parts())
    stage, halves = prepared(tmp_path / "halves")
    resumed = parts()
    outcome = fitted(stage, halves, steps=9, **resumed)
    assert (outcome.resumed_from_step, outcome.steps) == (at, 9)
    assert equal(weights(whole), weights(halves))
    one, two = together["plugins"][0], resumed["plugins"][0]
    assert int(two.steps) == 9
    assert torch.equal(one.mean, two.mean)
    own, theirs = together["losses"][1].linear.weight, resumed["losses"][1].linear.weight
    assert torch.equal(own, theirs)


class Rising(Plugin):
    """Sparsity that rises with the steps, and a batch that saves operations."""

    def __init__(self) -> None:
        self.now = 1.0

    def before_step(self, step: Step) -> None:
        self.now = 1 - step.done / step.total

    def density(self) -> float:
        return self.now

    def extra_flops(self, rows: int, width: int) -> float:
        return -float(rows)


def test_operations_follow_the_density_over_time(tmp_path: Path) -> None:
    stage, loaded = prepared(tmp_path)
    reads = Reads(Needs())
    fitted(stage, loaded, losses=[reads], plugins=[Rising()])
    from workers.training.finetune import model_profile

    profile = model_profile(stage, loaded)
    shapes = [one.inputs["input_ids"].shape for one in reads.passes]
    dense = sum(rows * (profile.training(width) - 1) for rows, width in shapes)
    effective = sum(
        rows * (profile.training(width, 1 - number / 4) - 1)
        for number, (rows, width) in enumerate(shapes)
    )
    reported = stage.reporter.of("flops")[-1]  # type: ignore[attr-defined]
    assert reported["dense"] == pytest.approx(dense, rel=1e-12)
    assert reported["effective"] == pytest.approx(effective, rel=1e-12)


class Quits(Plugin):
    def after_step(self, step: Step) -> None:
        if step.done == 2:
            step.stop("enough")


def test_a_plugin_ends_training(tmp_path: Path) -> None:
    stage, loaded = prepared(tmp_path)
    outcome = fitted(stage, loaded, plugins=[Quits()])
    assert (outcome.steps, outcome.stopped) == (2, "enough")


def test_stopping_before_the_horizon_and_continuing_equals_training_through(tmp_path: Path) -> None:
    stage, whole = prepared(tmp_path / "whole")
    fitted(stage, whole, steps=9)
    stage, parts = prepared(tmp_path / "parts")
    assert fitted(stage, parts, steps=9, stop_at=3).steps == 3
    three = weights(parts)
    stage, again = prepared(tmp_path / "parts")
    outcome = fitted(stage, again, steps=9, stop_at=3)  # done already: nothing is trained
    assert (outcome.steps, outcome.loss) == (3, None)
    assert equal(weights(again), three)
    assert stage.reporter.of("flops") == []  # type: ignore[attr-defined]
    stage, rest = prepared(tmp_path / "parts")
    assert fitted(stage, rest, steps=9).steps == 9
    assert equal(weights(rest), weights(whole))


class Stops(Plugin):
    def after_step(self, step: Step) -> None:
        if step.done == 3:
            step.stop("enough")


def test_only_the_hooks_that_a_plug_in_overrides_are_called(tmp_path: Path) -> None:
    parts: list[Plugin] = [TaskLoss(), Stops(), Momentum()]
    assert overriding(parts, "after_step") == parts[1:]
    assert overriding(parts, "after_backward") == overriding(parts, "on_epoch") == []
    stage, loaded = prepared(tmp_path)
    outcome = fitted(stage, loaded, steps=9, plugins=parts[1:])
    assert (outcome.steps, outcome.stopped) == (3, "enough")


def test_a_single_term_of_weight_1_trains_as_its_weighted_sum(tmp_path: Path) -> None:
    stage, alone = prepared(tmp_path / "alone")
    fitted(stage, alone, losses=[TaskLoss()])
    stage, halves = prepared(tmp_path / "halves")
    fitted(stage, halves, losses=[TaskLoss(0.5), TaskLoss(0.5)])
    assert equal(weights(alone), weights(halves))  # halves of a float are exact
