"""SparseBERT: losses, the ramp, and the student that it prunes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch.nn import functional

from pricetag.recipes import parse_recipe
from pricetag.recipes.errors import RecipeError
from tests.support.training import CONFIG, TRAIN, carry_out, data_set, recipe
from workers.methods.sparsebert import scores_loss
from workers.training.imitation import soft_cross_entropy, states_loss
from workers.training.pruning.schedule import Ramp

SMALL = {**CONFIG, "num_hidden_layers": 2, "intermediate_size": 32}
SPARSE = {
    **{**TRAIN, "kind": "prune", "method": "sparsebert", "sparsity": 0.8, "max_steps": 10},
    **{"precision": "fp32", "evaluate": False, "start": "teacher"},
}


def test_losses_are_means_within_a_layer_and_sums_over_layers() -> None:
    torch.manual_seed(0)
    own, theirs = (torch.randn(3, 2, 4, 5, dtype=torch.float64) for _ in range(2))
    by_hand = sum(float(((own[n] - theirs[n]) ** 2).mean()) for n in range(3))
    assert float(states_loss(list(own), list(theirs))) == pytest.approx(by_hand, rel=1e-12)
    assert float(scores_loss(list(own), list(theirs))) == pytest.approx(by_hand, rel=1e-12)


def test_scores_of_padding_count_as_zero_and_stay_in_the_mean() -> None:
    own, theirs = torch.tensor([[2.0, -1e9]]), torch.tensor([[1.0, -1e4]])
    assert float(scores_loss([own], [theirs])) == 0.5


def test_the_prediction_is_cross_entropy_with_the_teachers_classes() -> None:
    student, teacher = torch.tensor([[1.0, -1.0], [0.5, 2.0]]), torch.tensor([[50.0, 0], [0, 50.0]])
    hard = functional.cross_entropy(student, torch.tensor([0, 1]))
    assert float(soft_cross_entropy(student, teacher)) == pytest.approx(float(hard))
    one, other = torch.tensor([[1.0], [2.0]]), torch.tensor([[0.0], [4.0]])
    assert float(soft_cross_entropy(one, other)) == 2.5


@given(total=st.integers(1, 400), updates=st.integers(1, 150))
@settings(max_examples=100, deadline=None)
def test_a_ramp_has_as_many_prunings_as_asked_for_if_it_is_long_enough(
    total: int, updates: int
) -> None:
    ramp = Ramp(0.95, 0.0, 1.0, updates=updates)
    due = [done for done in range(1, total + 1) if ramp.due(done, total)]
    assert len(due) == min(updates, total)
    assert due[-1] == total


def matrices(root: Path, stage: str) -> dict[str, torch.Tensor]:
    tensors = load_file(root / "work" / stage / "model" / "model.safetensors")
    return {n: t for n, t in tensors.items() if ".layer." in n and t.dim() == 2}


def test_every_matrix_of_the_student_is_pruned_and_it_learns_from_its_teacher(
    tmp_path: Path,
) -> None:
    data_set(tmp_path)
    train = {**TRAIN, "evaluate": False}
    reporter = carry_out(tmp_path, recipe(train, SPARSE, model={"config": SMALL}))
    for name, weight in matrices(tmp_path, "stage-01").items():
        assert float((weight == 0).double().mean()) == pytest.approx(0.8, abs=1e-3), name
    assert {e["name"] for e in reporter.of("metric") if e["name"].startswith("loss_")} == {
        *("loss_hidden", "loss_attention", "loss_prediction"),
    }
    flops = reporter.of("flops")[-1]
    # The teacher's forward pass is dense: a quarter of all operations.
    assert flops["effective"] > flops["dense"] / 4
    assert flops["effective"] < flops["dense"]


def test_the_student_starts_from_the_pretrained_model_of_the_run(tmp_path: Path) -> None:
    data_set(tmp_path)
    train = {**TRAIN, "evaluate": False}
    carry_out(tmp_path, recipe(train, model={"config": SMALL}))
    (tmp_path / "work" / "stage-00" / "model").rename(tmp_path / "pretrained")
    before = load_file(tmp_path / "pretrained" / "model.safetensors")
    long = {**train, "learning_rate": 0.05}
    gentle = {**SPARSE, "learning_rate": 1e-9, "start": "pretrained", "sparsity": 0.1}
    carry_out(tmp_path, recipe(long, gentle, model="pretrained"))
    for name, weight in matrices(tmp_path, "stage-01").items():
        kept = weight != 0
        torch.testing.assert_close(weight[kept], before[name][kept], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"start": "pretrained"}, "start", "random weights"),
        ({"sparsity": 1.0}, "sparsity", "less than 1"),
        ({"updates": 0}, "updates", "1"),
        ({"ramp_start": 0.7, "ramp_end": 0.5}, "ramp_start", "less than ramp_end"),
        ({"alpha": 0.5}, "alpha", "not a known field"),
    ],
)
def test_what_does_not_fit_is_rejected(changes: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(recipe(TRAIN, {**SPARSE, **changes}, model={"config": SMALL}))
    assert caught.value.field == f"recipe.stages.1.{field}"
    assert message in caught.value.message
