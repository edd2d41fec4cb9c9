"""SNIP, against the values of its authors' code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from pricetag.recipes import parse_recipe
from tests.support.training import CONFIG, TRAIN, carry_out, data_set, recipe
from workers.methods.snip import normalized, saliencies
from workers.training.pruning.masks import entry_masks, kept_rounded_down, kept_to_nearest

GOLDEN = json.loads((Path(__file__).parents[1] / "data/golden/snip.json").read_text())
CASES = GOLDEN["cases"]
INPUTS = CASES["inputs"]
ONE_BATCH = [name for name in CASES if name.startswith("single_batch")]
WITH_BIASES = [name for name in CASES if name.startswith("with_biases")]
WEIGHTS = {name: torch.tensor(INPUTS[name], dtype=torch.float64) for name in ("W1", "W2")}
SNIP = {"kind": "prune", "method": "snip", "sparsity": 0.5, "batch_size": 8, "precision": "fp32"}
SMALL = {**CONFIG, "num_hidden_layers": 2, "intermediate_size": 32}


def batch_saliencies(number: int, names: tuple[str, ...] = ("W1", "W2")) -> Any:
    """Saliencies of the network of the cases on one of its batches."""
    all_names = ("W1", "b1", "W2", "b2")
    own = {n: torch.tensor(INPUTS[n], dtype=torch.float64).requires_grad_() for n in all_names}
    batch = INPUTS["batches"][number]
    hidden = torch.tensor(batch["x"], dtype=torch.float64) @ own["W1"].t() + own["b1"]
    logits = torch.tanh(hidden) @ own["W2"].t() + own["b2"]
    loss = functional.cross_entropy(logits, torch.tensor(batch["y"]))
    gradients = dict(zip(own, torch.autograd.grad(loss, list(own.values())), strict=True))
    return saliencies({n: own[n] for n in names}, gradients)


def test_every_case_is_computed() -> None:
    assert {"inputs", *ONE_BATCH, *WITH_BIASES} == set(CASES)


@pytest.mark.parametrize("name", ONE_BATCH)
def test_masks_of_one_batch_are_those_of_a_later_code(name: str) -> None:
    """It rounds the kept connections down, the authors' own code to the nearest number."""
    case = CASES[name]
    score = normalized([batch_saliencies(0)])
    assert float(sum(values.sum() for values in score.values())) == pytest.approx(1)
    masks = entry_masks(score, 1 - case["keep_ratio"], "global", kept_rounded_down)
    assert sum(int(mask.sum()) for mask in masks.values()) == case["kept"]
    for matrix in ("W1", "W2"):
        assert masks[matrix].int().tolist() == case[f"mask_{matrix}"]


@pytest.mark.parametrize("name", WITH_BIASES)
def test_saliencies_with_biases_are_those_of_the_authors(name: str) -> None:
    case = CASES[name]
    keep = float(name.split("_keep")[1].split("_")[0])
    names = ("W1", "b1", "W2", "b2")
    score = normalized([batch_saliencies(0, names)])
    for part, expected in zip(names, case["saliency"], strict=True):
        wanted = torch.tensor(expected, dtype=torch.float64)
        torch.testing.assert_close(score[part], wanted, rtol=1e-9, atol=1e-12)
    masks = entry_masks(score, 1 - keep, "global", kept_to_nearest)
    assert [masks[part].int().tolist() for part in names] == case["mask"]
    assert sum(int(mask.sum()) for mask in masks.values()) == case["kept"]


def test_several_batches_have_the_mean_of_their_saliencies() -> None:
    one, other = batch_saliencies(0), batch_saliencies(1)
    both = normalized([one, other])
    total = sum(float((one[n] + other[n]).sum()) for n in one)
    for name in one:
        torch.testing.assert_close(both[name], (one[name] + other[name]) / total)
    nothing = normalized([{"w": torch.zeros(3)}])
    assert nothing["w"].tolist() == [0, 0, 0]


def zeros_of(root: Path) -> dict[str, torch.Tensor]:
    tensors = load_file(root / "work" / "stage-00" / "model" / "model.safetensors")
    return {n: t == 0 for n, t in tensors.items() if ".layer." in n and t.dim() == 2}


def test_a_new_model_is_pruned_before_training_and_its_mask_stays(tmp_path: Path) -> None:
    described = recipe({**SNIP, "batches": 2, "evaluate": False}, model={"config": SMALL})
    reporters = {}
    for name in ("one", "same"):
        root = data_set(tmp_path / name)
        reporters[name] = carry_out(root, described)
    one, same = zeros_of(tmp_path / "one"), zeros_of(tmp_path / "same")
    assert all(torch.equal(one[name], same[name]) for name in one)
    share = torch.cat([mask.flatten() for mask in one.values()]).double().mean()
    assert float(share) == pytest.approx(0.5, abs=1e-3)
    assert len({float(mask.double().mean()) for mask in one.values()}) > 1  # global
    unpruned = {**SNIP, "evaluate": False, "recovery_epochs": 0, "batches": 2}
    scored = carry_out(data_set(tmp_path / "scored"), recipe(unpruned, model={"config": SMALL}))
    alone = scored.of("flops")[-1]
    trained = reporters["one"].of("flops")[-1]
    # Two batches of scores, and the twelve of an epoch, padded to their longest text.
    assert 4 < trained["dense"] / alone["dense"] < 10
    assert alone["dense"] == pytest.approx(alone["effective"])
    assert trained["effective"] < trained["dense"]


def test_scores_of_rounds_are_new_before_each(tmp_path: Path) -> None:
    data_set(tmp_path)
    stage = {**SNIP, "mode": "iterative", "rounds": 2, "recovery_epochs": 0.5, "evaluate": False}
    reporter = carry_out(tmp_path, recipe(stage, model={"config": SMALL}))
    files = sorted(file.name for file in (tmp_path / "work" / "stage-00").glob("masks-*"))
    assert files == ["masks-round-00.safetensors", "masks-round-01.safetensors"]
    (reported,) = [e["value"] for e in reporter.of("metric", name="encoder_sparsity")]
    assert reported == pytest.approx(0.5, abs=1e-3)


def test_it_may_be_the_first_stage_of_a_new_model_or_follow_a_training() -> None:
    parse_recipe(recipe(SNIP, model={"config": SMALL}))
    parse_recipe(recipe(TRAIN, SNIP, model={"config": SMALL}))
