"""Pruning by weights and activations: scores by hand, rows, padding, operations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from pricetag.recipes import parse_recipe
from pricetag.recipes.errors import RecipeError
from tests.support.training import CONFIG, TRAIN, carry_out, data_set, recipe
from workers.methods.activation import contributions, ranks_in_rows
from workers.training.pruning.activations import real_tokens
from workers.training.pruning.masks import entry_masks

SMALL = {**CONFIG, "num_hidden_layers": 2, "intermediate_size": 32}
ACTIVATION = {
    **{"kind": "prune", "method": "activation", "sparsity": 0.5, "batches": 2},
    **{"batch_size": 8, "precision": "fp32", "evaluate": False},
}


def test_a_weight_counts_as_much_as_its_input() -> None:
    """A small weight of a large input stays, a large weight of a small input goes."""
    weight = torch.tensor([[0.1, -2.0, 1.0], [3.0, 0.0, -1.0]])
    norms = torch.tensor([50.0, 1.0, 0.5], dtype=torch.float64)
    score = contributions(weight, norms)
    expected = torch.tensor([[5, 2, 0.5], [150, 0, 0.5]], dtype=torch.float64)
    torch.testing.assert_close(score, expected, rtol=1e-6, atol=0, check_dtype=False)
    masks = entry_masks({"w": ranks_in_rows(score)}, 1 / 3, "per_matrix")
    assert masks["w"].tolist() == [[True, True, False], [True, False, True]]
    whole = entry_masks({"w": score}, 1 / 3, "per_matrix")  # not by row: two of the first row
    assert whole["w"].tolist() == [[True, True, True], [True, False, False]]


@given(
    rows=st.integers(1, 6),
    columns=st.integers(1, 8),
    seed=st.integers(0, 999),
    data=st.data(),
)
@settings(max_examples=50, deadline=None)
def test_every_row_loses_the_same_share(
    rows: int, columns: int, seed: int, data: st.DataObject
) -> None:
    generator = torch.Generator().manual_seed(seed)
    score = torch.randint(0, 4, (rows, columns), generator=generator).double()  # with ties
    pruned = data.draw(st.integers(0, columns))
    mask = entry_masks({"w": ranks_in_rows(score)}, pruned / columns, "per_matrix")["w"]
    assert mask.sum(1).tolist() == [columns - pruned] * rows
    for row in range(rows):
        kept, gone = score[row][mask[row]], score[row][~mask[row]]
        assert not (len(kept) and len(gone)) or kept.min() >= gone.max()


def test_padding_is_not_an_input() -> None:
    states = torch.arange(12.0).view(2, 3, 2)
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]])
    assert real_tokens(states, mask).tolist() == [[0, 1], [2, 3], [6, 7]]
    assert real_tokens(states, None).shape == (6, 2)


def matrices(root: Path, stage: int) -> dict[str, torch.Tensor]:
    file = root / "work" / f"stage-0{stage}" / "model" / "model.safetensors"
    return {n: t for n, t in load_file(file).items() if ".layer." in n and t.dim() == 2}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = data_set(tmp_path_factory.mktemp("activation"), train=64, dev=16, test=8)
    carry_out(root, recipe({**TRAIN, "evaluate": False}, model={"config": SMALL}))
    (root / "work" / "stage-00" / "model").rename(root / "trained")
    return root


def pruned(trained: Path, tmp_path: Path, **changes: Any) -> Any:
    described = recipe({**ACTIVATION, **changes}, model="trained")
    return carry_out(tmp_path, described, data_roots=[trained])


def test_a_stage_prunes_each_row_and_counts_its_passes(trained: Path, tmp_path: Path) -> None:
    reporter = pruned(trained, tmp_path)
    source = load_file(trained / "trained" / "model.safetensors")
    by_magnitude = []
    for name, tensor in matrices(tmp_path, 0).items():
        shares = (tensor == 0).double().mean(1)
        assert float((shares - 0.5).abs().max()) < 1e-9, name
        kept = tensor != 0
        assert torch.equal(tensor[kept], source[name][kept])
        largest = source[name].abs().flatten().topk(int(kept.sum())).indices
        by_magnitude.append(float(kept.flatten()[largest].double().mean()))
    assert min(by_magnitude) < 0.99  # the inputs decide too
    flops = reporter.of("flops")[-1]
    twice = pruned(trained, tmp_path / "twice", batches=4).of("flops")[-1]
    assert twice["dense"] > 1.5 * flops["dense"]
    gradient = {"method": "snip", "recovery_epochs": 0}
    passes = pruned(trained, tmp_path / "snip", **gradient).of("flops")[-1]
    assert passes["dense"] / flops["dense"] == pytest.approx(3)  # forward and backward
    (reported,) = [e["value"] for e in reporter.of("metric", name="encoder_sparsity")]
    assert reported == pytest.approx(0.5)


def test_a_ranking_of_all_rows_and_rounds_end_at_the_sparsity(
    trained: Path, tmp_path: Path
) -> None:
    rounds = {"mode": "iterative", "rounds": 2, "recovery_epochs": 0.5, "per_row": False}
    pruned(trained, tmp_path, **rounds, sparsity=0.6)
    masks = [(tensor == 0).double() for tensor in matrices(tmp_path, 0).values()]
    assert float(torch.cat([m.flatten() for m in masks]).mean()) == pytest.approx(0.6, abs=1e-3)
    assert max(float(m.mean(1).max() - m.mean(1).min()) for m in masks) > 0.1


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"structure": "16x16"}, "per_row", "must be false"),
        ({"batches": 0}, "batches", "must be at least 1"),
    ],
)
def test_what_does_not_fit_is_rejected_with_its_field(
    changes: dict[str, Any], field: str, message: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(recipe(TRAIN, {**ACTIVATION, **changes}, model={"config": SMALL}))
    assert caught.value.field is not None
    assert caught.value.field.startswith(f"recipe.stages.1.{field}")
    assert message in caught.value.message
