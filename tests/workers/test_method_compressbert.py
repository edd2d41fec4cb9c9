"""Pruning during pre-training, and the fine-tuning after it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from pricetag.recipes import parse_recipe
from pricetag.recipes.errors import RecipeError
from tests.support.halves import assert_same_weights, in_halves
from tests.support.tasks import task_files, task_recipe
from tests.support.training import CONFIG, TRAIN, carry_out, data_set, recipe
from workers.methods.compressbert import choice, random_masks

SMALL = {**CONFIG, "num_hidden_layers": 2, "intermediate_size": 32}
COMPRESS = {
    **{"kind": "prune", "method": "compressbert", "sparsity": 0.4, "mask_every": 2},
    **{"max_steps": 8, "batch_size": 8, "precision": "fp32", "evaluate": False},
    **{"max_length": 32, "learning_rate": 1e-3},
}
EMBEDDINGS = "bert.embeddings.word_embeddings.weight"
POOLER = "bert.pooler.dense.weight"
Tensors = dict[str, torch.Tensor]


def saved(root: Path, stage: str = "stage-00") -> Tensors:
    return load_file(root / "work" / stage / "model" / "model.safetensors")


def share(tensor: torch.Tensor) -> float:
    return float((tensor == 0).double().mean())


def layers(tensors: Tensors) -> Tensors:
    return {n: t for n, t in tensors.items() if ".layer." in n and t.dim() == 2}


def test_a_language_model_is_pruned_while_it_is_trained_and_fine_tuned_with_its_zeros(
    tmp_path: Path,
) -> None:
    task_files(tmp_path, "masked_lm")
    reporter = carry_out(tmp_path, task_recipe("masked_lm", COMPRESS, model={"config": SMALL}))
    tensors = saved(tmp_path)
    for name, weight in layers(tensors).items():
        assert share(weight) == pytest.approx(0.4, abs=1e-3), name
    assert share(tensors[EMBEDDINGS]) == pytest.approx(0.4, abs=1e-3)
    (reported,) = [e["value"] for e in reporter.of("metric", name="encoder_sparsity")]
    assert reported == pytest.approx(0.4, abs=1e-3)
    (tmp_path / "work" / "stage-00" / "model").rename(tmp_path / "pretrained")
    data_set(tmp_path)
    train = {**TRAIN, "evaluate": False, "max_steps": 3}
    for name, keep, zeros in (("kept", None, 0.4), ("filled", False, 0.0)):
        work = tmp_path / name
        described = recipe({**train, "keep_sparsity": keep}, model="pretrained")
        carry_out(tmp_path, described, work_dir=work / "work")
        fine_tuned = saved(work)
        for matrix, weight in layers(fine_tuned).items():
            assert share(weight) == pytest.approx(zeros, abs=0.05), (name, matrix)
        kept_places = (tensors[EMBEDDINGS] == 0) & (fine_tuned[EMBEDDINGS] != 0)
        assert bool(kept_places.any()) == (keep is False)


def test_the_pooler_is_pruned_too_unless_it_is_omitted(tmp_path: Path) -> None:
    data_set(tmp_path)
    for name, changes, pooler, embeddings in (
        ("both", {}, 0.4, 0.4),
        ("neither", {"embeddings": False, "pooler": False}, 0.0, 0.0),
    ):
        work = tmp_path / name / "work"
        carry_out(tmp_path, recipe({**COMPRESS, **changes}, model={"config": SMALL}), work_dir=work)
        tensors = load_file(work / "stage-00" / "model" / "model.safetensors")
        assert share(tensors[POOLER]) == pytest.approx(pooler, abs=1e-3)
        assert share(tensors[EMBEDDINGS]) == pytest.approx(embeddings, abs=5e-3)
        for weight in layers(tensors).values():
            assert share(weight) == pytest.approx(0.4, abs=1e-3)


def test_a_stage_that_is_stopped_ends_at_the_same_weights(tmp_path: Path) -> None:
    described = recipe(COMPRESS, model={"config": SMALL})
    whole, halves = data_set(tmp_path / "whole"), data_set(tmp_path / "halves")
    carry_out(whole, described)
    in_halves(halves, described, 4)
    assert_same_weights(whole, halves)


def test_masks_of_the_control_are_random_nested_and_of_each_matrix() -> None:
    torch.manual_seed(0)
    made = {"a": nn.Linear(20, 10), "b": nn.Linear(8, 30)}
    few, many = random_masks(made, 0.2, 5), random_masks(made, 0.5, 5)
    for name, matrix in made.items():
        assert int((~few[name]).sum()) == matrix.weight.numel() // 5
        assert bool((many[name] <= few[name]).all())
    assert torch.equal(choice("random_mask", 5)(made, 0.5)["a"], many["a"])
    assert not torch.equal(choice("random_mask", 6)(made, 0.5)["a"], many["a"])
    largest = choice(None, 5)(made, 0.5)["a"]
    sizes = made["a"].weight.detach().abs()
    assert float(sizes[largest].min()) >= float(sizes[~largest].max())


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"sparsity": None}, "sparsity"),
        ({"sparsity": 1.0}, "sparsity"),
        ({"ramp_start": 0.5}, "ramp_start"),
        ({"control": "information_deletion"}, "control"),
        ({"scope": "global"}, "scope"),
    ],
)
def test_what_does_not_fit_is_rejected(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(recipe({**COMPRESS, **changes}, model={"config": SMALL}))
    assert caught.value.field == f"recipe.stages.0.{field}"
