"""Movement pruning, against the values of its authors' code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pricetag.recipes import parse_recipe
from pricetag.recipes.errors import RecipeError
from tests.support.sockets import fitted, prepared, weights
from tests.support.training import CONFIG, TRAIN, carry_out, data_set, recipe
from workers.methods.movement import (
    Movement,
    ScorePenalty,
    mean_sigmoid,
    score_gradient,
    threshold_mask,
    top_masks,
)
from workers.training.formats.sparse import prunable
from workers.training.losses import TaskLoss
from workers.training.plugin import Plugin, Step
from workers.training.pruning.schedule import Ramp

GOLDEN = json.loads((Path(__file__).parents[1] / "data/golden/movement_scores.json").read_text())
CASES = GOLDEN["cases"]
INPUTS = {
    name: torch.tensor(value, dtype=torch.float64)
    for name, value in CASES["inputs"].items()
    if name != "loss"
}
MOVEMENT = {**TRAIN, "kind": "prune", "method": "movement", "sparsity": 0.5, "precision": "fp32"}
SMALL = {**CONFIG, "num_hidden_layers": 2, "intermediate_size": 32}


def close(values: torch.Tensor, expected: Any) -> None:
    wanted = torch.tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(values.detach(), wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in CASES if name != "inputs"])
def test_masks_gradients_and_steps_are_those_of_the_authors(name: str) -> None:
    case = CASES[name]
    weight, score, bias = (INPUTS[name].clone() for name in ("weight", "scores", "bias"))
    for step in case["steps"]:
        if "lam" in case:
            mask = threshold_mask(score, case["threshold"])
        else:
            mask = top_masks({"w": score}, case["threshold"], "per_matrix")["w"]
        assert mask.double().tolist() == step["mask"]
        masked = (weight * mask).requires_grad_()
        own_bias = bias.clone().requires_grad_()
        output = INPUTS["x"] @ masked.t() + own_bias
        loss = (output - INPUTS["target"]).square().mean()
        gradient, of_bias = torch.autograd.grad(loss, (masked, own_bias))
        of_score = score_gradient(gradient, weight)
        total = loss
        if "lam" in case:
            learned = score.clone().requires_grad_()
            penalty = case["lam"] * mean_sigmoid([learned])
            of_score = of_score + torch.autograd.grad(penalty, learned)[0]
            total = loss + penalty.detach()
        assert float(loss.detach()) == pytest.approx(step["loss"], rel=1e-9)
        assert float(total.detach()) == pytest.approx(step["total"], rel=1e-9)
        close(gradient * mask, step["grad_weight"])
        close(of_score, step["grad_scores"])
        weight = weight - case["lr_weight"] * gradient * mask
        bias = bias - case["lr_weight"] * of_bias
        score = score - case["lr_scores"] * of_score
        close(weight, step["weight_after"])
        close(score, step["scores_after"])


def test_a_threshold_keeps_at_least_the_best_half_percent() -> None:
    score = torch.linspace(-30, -20, 1000)
    mask = threshold_mask(score, 0.5)
    assert mask.nonzero().flatten().tolist() == list(range(994, 1000))
    assert int(threshold_mask(torch.full((3,), -9.0), 0.5).sum()) == 1


@pytest.mark.parametrize(("count", "keep", "kept"), [(100, 0.1, 10), (10, 0.25, 2), (7, 0.5, 3)])
def test_the_number_of_kept_entries_is_rounded_down(count: int, keep: float, kept: int) -> None:
    masks = top_masks({"w": torch.arange(float(count))}, keep, "global")
    assert int(masks["w"].sum()) == kept
    masks = top_masks({"w": torch.arange(float(count))}, 1 - (1 - keep), "global")
    assert int(masks["w"].sum()) == kept


class Watcher(Plugin):
    """Sees what the model computes with, and what the optimizer steps."""

    def __init__(self, movement: Movement) -> None:
        self.movement = movement
        self.zeros: list[float] = []

    def attach(self, model: Any) -> None:
        self.matrices = prunable(model)

    def before_step(self, step: Step) -> None:
        values = torch.cat([m.weight.detach().flatten() for m in self.matrices.values()])
        self.zeros.append(float((values == 0).double().mean()))


def test_the_model_computes_with_masked_weights_along_the_ramp(tmp_path: Path) -> None:
    stage, loaded = prepared(tmp_path)
    ramp = Ramp(0.75, 0.2, 0.8)
    movement = Movement(ramp, 0.01)
    watcher = Watcher(movement)
    embeddings = weights(loaded)["bert.embeddings.word_embeddings.weight"]
    fitted(stage, loaded, steps=10, plugins=[movement, watcher])
    expected = [ramp.sparsity(done, 10) for done in range(10)]
    assert watcher.zeros == pytest.approx(expected, abs=0.01)
    assert movement.density() == pytest.approx(0.25, abs=1e-3)
    assert torch.equal(weights(loaded)["bert.embeddings.word_embeddings.weight"], embeddings)
    assert all(parameter.requires_grad for parameter in loaded.model.parameters())
    moved = torch.cat([score.flatten() for score in movement.scores.values()])
    # Scores of pruned entries are learned too.
    assert float((moved != 0).double().mean()) > 0.9


def test_the_penalty_of_soft_movement_rises_with_the_threshold(tmp_path: Path) -> None:
    stage, loaded = prepared(tmp_path)
    ramp = Ramp(0.4, 0.0, 0.5)
    movement = Movement(ramp, 0.5, soft=True)
    penalty = ScorePenalty(movement, 100.0, ramp)
    fitted(stage, loaded, steps=10, losses=[TaskLoss(), penalty], plugins=[movement])
    assert penalty.weight == 100
    assert movement.density() < 1
    step = Step(2, 10, 0.0)
    penalty.before_step(step)
    assert penalty.weight == pytest.approx(100 * (1 - 0.6**3))


def matrices(root: Path, stage: str = "stage-00") -> dict[str, torch.Tensor]:
    tensors = load_file(root / "work" / stage / "model" / "model.safetensors")
    return {n: t for n, t in tensors.items() if ".layer." in n and t.dim() == 2}


@pytest.mark.parametrize("scope", ["global", "per_matrix"])
def test_a_stage_ends_at_the_requested_sparsity(tmp_path: Path, scope: str) -> None:
    data_set(tmp_path)
    stage = {**MOVEMENT, "sparsity": 0.8, "max_steps": 10, "scope": scope, "evaluate": False}
    reporter = carry_out(tmp_path, recipe(stage, model={"config": SMALL}))
    shares = {n: float((t == 0).double().mean()) for n, t in matrices(tmp_path).items()}
    whole = torch.cat([(t == 0).flatten() for t in matrices(tmp_path).values()]).double().mean()
    assert float(whole) == pytest.approx(0.8, abs=2e-3)
    assert (max(shares.values()) - min(shares.values()) < 0.01) == (scope == "per_matrix")
    (reported,) = [e["value"] for e in reporter.of("metric", name="encoder_sparsity")]
    assert reported == pytest.approx(float(whole))
    flops = reporter.of("flops")[-1]
    assert 0.3 < flops["effective"] / flops["dense"] < 1
    assert "movement scores and masks" in flops["uncounted"]


def test_only_weights_after_the_ramp_are_kept_as_the_best(tmp_path: Path) -> None:
    data_set(tmp_path)
    middle = {"every_steps": 1, "patience": 2}
    stage = {**MOVEMENT, "max_steps": 10, "evaluate": False, "mid_evaluation": middle}
    reporter = carry_out(tmp_path, recipe({**stage, "ramp_end": 0.7}, model={"config": SMALL}))
    steps = [e["step"] for e in reporter.of("metric", name="accuracy")]
    assert steps[:7] == list(range(1, 8))  # patience is not tried before
    share = torch.cat([(t == 0).flatten() for t in matrices(tmp_path).values()]).double().mean()
    assert float(share) == pytest.approx(0.5, abs=2e-3)


@pytest.mark.parametrize("start", ["pretrained", "teacher"])
def test_a_pruned_model_learns_from_its_unpruned_teacher(tmp_path: Path, start: str) -> None:
    data_set(tmp_path, train=48, dev=16, test=8)
    train = {**TRAIN, "evaluate": False}
    carry_out(tmp_path, recipe(train, model={"config": SMALL}))
    (tmp_path / "work" / "stage-00" / "model").rename(tmp_path / "pretrained")
    rest = {"sparsity": 0.6, "max_steps": 4, "evaluate": False, "learning_rate": 1e-12}
    pruned = {**MOVEMENT, **rest, "distill": True, "start": start, "alpha": 0.25}
    reporter = carry_out(tmp_path, recipe(train, pruned, model="pretrained"))
    assert len(reporter.of("metric", name="loss_logits")) > 0
    own = matrices(tmp_path, "stage-01")
    share = torch.cat([(t == 0).flatten() for t in own.values()]).double().mean()
    assert float(share) == pytest.approx(0.6, abs=2e-3)
    # At a rate of almost 0, what is left of the weights is what they started from.
    sources = {
        "pretrained": load_file(tmp_path / "pretrained" / "model.safetensors"),
        "teacher": matrices(tmp_path),
    }
    name, left = next(iter(own.items()))
    kept = left != 0
    differences = {s: float((left - t[name])[kept].abs().max()) for s, t in sources.items()}
    assert differences[start] < 1e-6 < max(differences.values())


def test_operations_include_those_of_the_teacher(tmp_path: Path) -> None:
    data_set(tmp_path, train=48, dev=16, test=8)
    rest = {"sparsity": 0.6, "epochs": 2, "max_steps": None, "evaluate": False}
    own = {**MOVEMENT, **rest}
    plain, taught = (
        carry_out(
            tmp_path / name,
            recipe(TRAIN, stage, model={"config": SMALL}),
            data_roots=[tmp_path],
        ).of("flops")[-1]["dense"]
        for name, stage in (
            ("plain", own),
            ("taught", {**own, "distill": True, "start": "teacher"}),
        )
    )
    # The forward pass of the teacher, once for each example, beside two epochs of three passes.
    assert taught / plain == pytest.approx(1 + 1 / 6, rel=0.03)


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"alpha": 0.3}, "alpha", "belongs to distill"),
        ({"distill": True}, "start", "random weights"),
        ({"sparsity": None}, "sparsity", "required"),
        ({"threshold": 0.2}, "threshold", "soft"),
        ({"penalty": 3.0}, "penalty", "soft"),
        ({"variant": "soft"}, "sparsity", "hard"),
        ({"ramp_start": 0.8}, "ramp_start", "less than ramp_end"),
    ],
)
def test_options_that_contradict_each_other_are_rejected(
    changes: dict[str, Any], field: str, message: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(recipe(TRAIN, {**MOVEMENT, **changes}, model={"config": SMALL}))
    assert caught.value.field is not None
    assert caught.value.field.startswith(f"recipe.stages.1.{field}")
    assert message in caught.value.message
