"""Penalties that shrink weights before pruning: reweighted L1 (RPP) and blocks (E.T.)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from pricetag.recipes import parse_recipe
from pricetag.recipes.errors import RecipeError
from tests.support.training import CONFIG, TRAIN, carry_out, data_set, recipe
from workers.methods.et import BlockPenalty, block_masks, group_lasso
from workers.methods.rpp import ProximalStep, reweighted, soft_threshold
from workers.training.forward_pass import ForwardPass
from workers.training.plugin import Step

GOLDEN = json.loads((Path(__file__).parents[1] / "data/golden/rpp_prox.json").read_text())
CASES = GOLDEN["cases"]
UNIFORM = [name for name, case in CASES.items() if isinstance(case, list)]
REWEIGHTED = [name for name, case in CASES.items() if "trajectory" in case]
RPP = {**TRAIN, "kind": "prune", "method": "rpp", "precision": "fp32", "evaluate": False}
ET = {**RPP, "method": "et", "sparsity": 0.5}
SMALL = {**CONFIG, "num_hidden_layers": 2, "intermediate_size": 32}


def close(values: torch.Tensor, expected: Any) -> None:
    wanted = torch.tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(values, wanted, rtol=1e-9, atol=1e-15)


def encoder(weight: torch.Tensor) -> nn.Module:
    """A model with one prunable matrix."""
    inside, made, layers = nn.Module(), nn.Module(), nn.Module()
    inside.dense = nn.Linear(weight.shape[1], weight.shape[0], bias=False).to(weight.dtype)
    with torch.no_grad():
        inside.dense.weight.copy_(weight)
    layers.layer = nn.ModuleList([inside])
    made.encoder = layers
    return made


def weight_of(made: nn.Module) -> nn.Parameter:
    weight = made.get_parameter("encoder.layer.0.dense.weight")
    assert isinstance(weight, nn.Parameter)
    return weight


# ---- RPP ----


def test_every_case_is_computed() -> None:
    assert {"inputs", *UNIFORM, *REWEIGHTED} == set(CASES)


@pytest.mark.parametrize("name", UNIFORM)
def test_the_uniform_step_is_that_of_the_authors(name: str) -> None:
    inputs = CASES["inputs"]
    threshold = inputs["lr"] * inputs["gamma"]
    for step in CASES[name]:
        before = torch.tensor(step["before_prox"], dtype=torch.float64)
        close(soft_threshold(before, threshold), step["after_prox"])


@pytest.mark.parametrize("name", UNIFORM)
def test_the_step_follows_the_optimizer_of_the_authors(name: str) -> None:
    """From weights and gradients on: each step starts from what the proximal step has left."""
    inputs = CASES["inputs"]
    made = encoder(torch.tensor(inputs["w"], dtype=torch.float64))
    weight, rate, (first, second) = weight_of(made), inputs["lr"], inputs["betas"]
    optimizer = torch.optim.SGD([weight], lr=rate)  # for its learning rate alone
    penalty = ProximalStep(inputs["gamma"], 1e-3, refresh_every=100, penalty="uniform")
    penalty.attach(made)
    mean, square = torch.zeros_like(weight), torch.zeros_like(weight)
    for done, (values, expected) in enumerate(zip(inputs["grads"], CASES[name], strict=True), 1):
        gradient = torch.tensor(values, dtype=torch.float64)
        mean = first * mean + (1 - first) * gradient
        square = second * square + (1 - second) * gradient.square()
        step = rate * (1 - second**done) ** 0.5 / (1 - first**done)
        with torch.no_grad():  # AdamW as they have it: epsilon before the correction of the root
            weight.sub_(step * mean / (square.sqrt() + inputs["eps"]))
            weight.mul_(1 - rate * inputs["weight_decay"])
        close(weight.detach(), expected["before_prox"])
        penalty.after_step(Step(done, len(CASES[name]), 0.0, optimizer))
        close(weight.detach(), expected["after_prox"])


@pytest.mark.parametrize("name", REWEIGHTED)
def test_the_reweighted_step_and_its_refresh_have_the_papers_trajectory(name: str) -> None:
    case = CASES[name]
    refresh_every = int(name.rpartition("_")[2])
    made = encoder(torch.tensor(case["w"], dtype=torch.float64))
    optimizer = torch.optim.SGD(made.parameters(), lr=case["lr"])
    step = ProximalStep(case["gamma"], case["eps"], refresh_every=refresh_every)
    step.attach(made)
    for done, expected in enumerate(case["trajectory"], start=1):
        step.after_step(Step(done, len(case["trajectory"]), 0.0, optimizer))
        close(weight_of(made).detach(), expected)


def test_a_weight_at_the_threshold_becomes_zero() -> None:
    weight = torch.tensor([0.5, -0.5, 0.25, -1.0])
    assert soft_threshold(weight, 0.5).tolist() == [0, 0, 0, -0.5]
    assert reweighted(weight, 0.5).tolist() == pytest.approx([1, 1, 4 / 3, 2 / 3])


def matrices(root: Path) -> dict[str, torch.Tensor]:
    tensors = load_file(root / "work" / "stage-00" / "model" / "model.safetensors")
    return {n: t for n, t in tensors.items() if ".layer." in n and t.dim() == 2}


def sparsity(made: dict[str, torch.Tensor]) -> float:
    return float((torch.cat([t.flatten() for t in made.values()]) == 0).double().mean())


@pytest.mark.parametrize(("target", "gamma"), [(0.7, 0.03), (None, 0.3)])
def test_weights_shrink_and_stay_pruned_in_retraining(
    tmp_path: Path, target: float | None, gamma: float
) -> None:
    data_set(tmp_path)
    strong = {"gamma": gamma, "sparsity": target, "max_steps": 8, "recovery_epochs": 0.5}
    reporter = carry_out(tmp_path, recipe({**RPP, **strong}, model={"config": SMALL}))
    share = sparsity(matrices(tmp_path))
    if target is None:
        assert 0.02 < share < 0.98  # what the penalty alone has set to zero
    else:
        assert share == pytest.approx(target, abs=2e-3)
    (reported,) = [e["value"] for e in reporter.of("metric", name="encoder_sparsity")]
    assert reported == pytest.approx(share)
    assert "the proximal step" in reporter.of("flops")[-1]["uncounted"]


# ---- E.T. ----


NO_BATCH = ForwardPass(nn.Module(), None, {}, {})


def measured(penalty: BlockPenalty) -> float:
    return float(penalty.value(NO_BATCH).detach())


def test_the_penalty_is_the_sum_over_blocks_and_refreshes_by_epochs() -> None:
    torch.manual_seed(0)
    weight = torch.randn(20, 40, dtype=torch.float64)
    weight[:16, :16] = 0
    made = encoder(weight)
    penalty = BlockPenalty(1.0, 1e-3, refresh_epochs=2)
    penalty.attach(made)
    pieces = [
        weight[row : row + 16, column : column + 16].norm()
        for row in (0, 16)
        for column in (0, 16, 32)
    ]
    value = penalty.value(NO_BATCH)
    assert float(value.detach()) == pytest.approx(float(sum(p / (p + 1e-3) for p in pieces)))
    (gradient,) = torch.autograd.grad(value, weight_of(made))
    assert torch.isfinite(gradient).all()
    assert not gradient[:16, :16].any()
    with torch.no_grad():
        weight_of(made).mul_(3)
    tripled = measured(penalty)
    assert tripled == pytest.approx(3 * float(value.detach()))
    penalty.on_epoch(Step(10, 40, 1.0))
    assert measured(penalty) == tripled
    penalty.on_epoch(Step(20, 40, 2.0))
    refreshed = measured(penalty)
    assert refreshed == pytest.approx(5, abs=1e-3)
    later = BlockPenalty(1.0, 1e-3, refresh_epochs=2)
    later.attach(made)
    later.restore(penalty.state())
    with torch.no_grad():
        weight_of(made).mul_(2)
    later.on_epoch(Step(25, 40, 2.5))  # resumed in the same epoch: not due again
    assert measured(later) == pytest.approx(2 * refreshed)
    assert float(group_lasso(torch.ones(3), torch.ones(3), 0.0)) == 3


def test_blocks_go_whole_in_each_matrix_and_stay_away(tmp_path: Path) -> None:
    data_set(tmp_path)
    reporter = carry_out(tmp_path, recipe({**ET, "recovery_epochs": 0.5}, model={"config": SMALL}))
    made = matrices(tmp_path)
    assert sparsity(made) == pytest.approx(0.5, abs=1e-3)
    for weight in made.values():
        blocks = weight.view(2, 16, 2, 16).transpose(1, 2).reshape(4, 256) != 0
        assert sorted(blocks.double().mean(dim=1).round().tolist()) == [0, 0, 1, 1]
    losses = reporter.of("metric", name="loss_blocks")
    assert losses[-1]["value"] > 0
    assert "the penalty of the blocks" in reporter.of("flops")[-1]["uncounted"]


def test_masks_of_blocks_are_per_matrix() -> None:
    torch.manual_seed(0)
    made = {"small": nn.Linear(64, 32), "large": nn.Linear(48, 16)}
    with torch.no_grad():
        made["small"].weight.mul_(0.001)
    masks = block_masks(made, 0.5)
    assert float(masks["small"].double().mean()) == 0.5
    assert float(masks["large"].double().mean()) == pytest.approx(1 / 3)  # 1.0 of two prunes two


@pytest.mark.parametrize(
    ("stage", "changes", "field"),
    [
        (RPP, {"sparsity": 1.0}, "sparsity"),
        (RPP, {"recovery_epochs": 0.0}, "recovery_epochs"),
        (RPP, {"penalty": "l2"}, "penalty"),
        (ET, {"sparsity": None}, "sparsity"),
        (ET, {"refresh_epochs": 0}, "refresh_epochs"),
        (ET, {"scope": "global"}, "scope"),
    ],
)
def test_options_out_of_range_are_rejected(
    stage: dict[str, Any], changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(recipe({**stage, **changes}, model={"config": SMALL}))
    assert caught.value.field == f"recipe.stages.0.{field}"
