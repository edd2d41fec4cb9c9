"""Q-BERT: eigenvalues against those of PyHessian, bits by layer, and the stored model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from pricetag.recipes import parse_recipe
from pricetag.recipes.errors import RecipeError
from pricetag.recipes.methods.quantize_qbert import QuantizeQbert
from tests.support.sockets import prepared
from tests.support.training import CONFIG, TRAIN, carry_out, data_set, recipe
from workers.methods.qbert import assigned_bits, roundings, sensitivity, top_eigenvalue
from workers.training.finetune import new_tally
from workers.training.formats import registry
from workers.training.quantization.hessian import (
    Product,
    Sample,
    hessian_product,
    layer_eigenvalues,
    matrices_by_layer,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "data/golden/qbert.json").read_text())["cases"]
HESSIANS = [name for name in GOLDEN if name.startswith("hessian")]
SMALL = {**CONFIG, "num_hidden_layers": 2, "intermediate_size": 32}
QBERT = {
    **{**TRAIN, "kind": "quantize", "method": "qbert", "bits": "auto", "bit_budget": 3},
    **{"precision": "fp32", "hessian_examples": 16, "hessian_batch_size": 8, "max_steps": 3},
    "hessian_iterations": 4,
}


def params(**changes: Any) -> QuantizeQbert:
    return QuantizeQbert(method="qbert", **changes)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", HESSIANS)
@pytest.mark.parametrize("seed", range(3))
def test_the_top_eigenvalue_is_that_of_the_hessian(name: str, seed: int) -> None:
    case = GOLDEN[name]
    weight = torch.tensor(case["W"], dtype=torch.float64, requires_grad=True)
    inputs = torch.tensor(case["X"], dtype=torch.float64)
    loss = functional.cross_entropy(inputs @ weight.t(), torch.tensor(case["y"]))
    product = hessian_product(loss, [weight])
    start = [torch.randn(weight.shape, dtype=torch.float64, generator=seeded(seed))]
    close = top_eigenvalue(product, start, tolerance=1e-10, iterations=10_000)
    assert close == pytest.approx(case["top_eigenvalue"], rel=1e-5)
    usual = top_eigenvalue(product, start)
    assert usual == pytest.approx(case["pyhessian"], rel=2e-2)


@given(
    eigenvalues=st.lists(st.integers(-9, 9), min_size=1, max_size=6).filter(
        lambda values: max(values) != -min(values)
    ),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_the_eigenvalue_of_largest_magnitude_keeps_its_sign(
    eigenvalues: list[int], seed: int
) -> None:
    """A quadratic loss of two tensors, whose Hessian is Q diag(eigenvalues) Q^T."""
    size = len(eigenvalues)
    q, _ = torch.linalg.qr(torch.randn(size, size, dtype=torch.float64, generator=seeded(seed)))
    hessian = q @ torch.diag(torch.tensor(eigenvalues, dtype=torch.float64)) @ q.t()
    weights = [
        torch.zeros(part, dtype=torch.float64, requires_grad=True)
        for part in (size // 2, size - size // 2)
    ]
    whole = torch.cat(weights)
    loss = 0.5 * whole @ hessian @ whole
    start = [torch.randn(len(w), dtype=torch.float64, generator=seeded(seed)) for w in weights]
    value = top_eigenvalue(hessian_product(loss, weights), start, tolerance=1e-13, iterations=3000)
    assert value == pytest.approx(max(eigenvalues, key=abs), abs=1e-3)


def test_the_sensitivity_is_the_mean_and_the_deviation() -> None:
    assert sensitivity([1.0, 3.0]) == 3.0
    assert sensitivity([-2.0, -4.0]) == 4.0
    assert sensitivity([5.0]) == 5.0


def test_sensitive_layers_get_more_bits() -> None:
    assert assigned_bits([1.0, 9.0, 5.0, 2.0], [10] * 4, [2, 4], 3) == [2, 4, 4, 2]
    assert assigned_bits([1.0, 9.0, 5.0, 2.0], [10] * 4, [4, 3, 2], 3.25) == [3, 4, 3, 3]
    assert assigned_bits([1.0, 1.0], [10, 10], [2, 8], 5) == [8, 2]
    assert assigned_bits([1.0, 2.0], [10, 10], [2, 8], 2) == [2, 2]
    assert assigned_bits([1.0, 2.0], [10, 10], [2, 8], 8) == [8, 8]


@given(
    layers=st.lists(st.tuples(st.floats(0, 100), st.integers(1, 500)), min_size=1, max_size=24),
    choices=st.sets(st.integers(2, 8), min_size=2).map(list),
    share=st.floats(0, 1),
)
@settings(max_examples=100, deadline=None)
def test_bits_keep_the_budget_and_rise_with_the_sensitivity(
    layers: list[tuple[float, int]], choices: list[int], share: float
) -> None:
    scores, sizes = [one[0] for one in layers], [one[1] for one in layers]
    low, high = min(choices), max(choices)
    budget = low + share * (high - low)
    bits = assigned_bits(scores, sizes, choices, budget)
    assert set(bits) <= set(choices)
    spent = sum(b * size for b, size in zip(bits, sizes, strict=True))
    assert spent <= budget * sum(sizes) * (1 + 1e-9)
    ranked = sorted(range(len(bits)), key=lambda layer: -scores[layer])
    for one, other in pairwise(ranked):
        assert scores[one] == scores[other] or bits[one] >= bits[other]


def test_a_loss_that_is_linear_in_its_weights_has_no_curvature() -> None:
    weights = [torch.ones(3, requires_grad=True), torch.ones(2, requires_grad=True)]
    product = hessian_product(weights[0].sum() + 2 * weights[1].sum(), weights)
    assert top_eigenvalue(product, [torch.ones(3), torch.ones(2)]) == 0


def test_hessians_are_of_the_layers_matrices_and_all_operations_are_counted(
    tmp_path: Path,
) -> None:
    stage, loaded = prepared(tmp_path)
    shapes: list[list[tuple[int, ...]]] = []

    def power(product: Product, start: Sequence[torch.Tensor]) -> float:
        shapes.append([tuple(part.shape) for part in start])
        return top_eigenvalue(product, start, tolerance=1e-9, iterations=3)

    tally = new_tally(stage, loaded)
    sample = Sample(examples=12, batch_size=8, max_length=16, seed=0)
    with FlopCounterMode(display=False) as counter:
        values = layer_eigenvalues(stage, loaded, sample, tally, power)
    assert [len(of_layer) for of_layer in values] == [2, 2]
    assert shapes == [[(16, 16)] * 4 + [(24, 16), (16, 24)]] * 4
    assert tally.dense == counter.get_total_flops()
    assert tally.effective == pytest.approx(tally.dense)


def test_the_hessian_of_a_batch_is_the_mean_of_those_of_its_halves(tmp_path: Path) -> None:
    stage, loaded = prepared(tmp_path)

    def form(product: Product, start: Sequence[torch.Tensor]) -> float:
        return float(sum((one * v).sum() for one, v in zip(product(start), start, strict=True)))

    whole, halves = (
        layer_eigenvalues(
            stage, loaded, Sample(24, size, 16, seed=0), new_tally(stage, loaded), form
        )
        for size in (24, 12)
    )
    for one, two in zip(whole, halves, strict=True):
        assert one == [pytest.approx(sum(two) / 2, rel=1e-3, abs=1e-5)]


def test_each_part_of_a_model_has_its_own_bits(tmp_path: Path) -> None:
    _, loaded = prepared(tmp_path)
    options = params(embedding_bits=4, position_bits=8, head_bits=6, groups=20)
    plan = roundings(loaded.model, options, [2, 3])
    layers = matrices_by_layer(loaded.model)
    assert [{plan[name].bits for name in names} for names in layers] == [{2}, {3}]
    bits = {name: rounding.bits for name, rounding in plan.items() if "encoder" not in name}
    assert bits == {
        "bert.embeddings.word_embeddings": 4,
        "bert.embeddings.position_embeddings": 8,
        "bert.embeddings.token_type_embeddings": 4,
        "bert.pooler.dense": 6,
        "classifier": 6,
    }
    assert plan["classifier"].blocks.row_groups == 2
    assert plan["bert.embeddings.word_embeddings"].blocks.row_groups == 20
    assert plan[layers[0][0]].blocks.row_groups == 16
    assert plan[layers[0][0]].inputs == "asymmetric"
    assert plan["bert.embeddings.word_embeddings"].inputs is None


def test_a_model_keeps_its_bits_and_its_budget(tmp_path: Path) -> None:
    data_set(tmp_path, train=48, dev=16, test=8)
    train = {**TRAIN, "evaluate": False}
    reporter = carry_out(tmp_path, recipe(train, QBERT, model={"config": SMALL}))
    facts = [e["card"] for e in reporter.of("artifact") if e["card"] is not None][-1]["facts"]
    assert sorted(facts["bits_by_layer"]) == [2, 4]
    assert facts["mean_bits"] == 3
    more, less = (facts["bits_by_layer"].index(bits) for bits in (4, 2))
    assert facts["sensitivity_by_layer"][more] > facts["sensitivity_by_layer"][less]
    assert "numerics only" in facts["speed"]
    stored = registry.load(tmp_path / "work" / "stage-01" / "model")
    modules = registry.describe(stored)["integers"]["modules"]
    by_layer = [
        {modules[name]["bits"] for name in names} for names in _integer_names(stored, modules)
    ]
    assert by_layer == [{bits} for bits in facts["bits_by_layer"]]


def _integer_names(model: Any, modules: dict[str, Any]) -> list[list[str]]:
    return [[name for name in modules if f".layer.{number}." in name] for number in range(2)]


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"bit_budget": None}, "bit_budget", "bits: auto needs it, from 2 to 4"),
        ({"bit_budget": 5}, "bit_budget", "from 2 to 4"),
        ({"bits": 4}, "bit_budget", "belongs to bits: auto"),
        ({"bit_choices": [3, 3]}, "bit_choices", "different"),
        ({"bit_choices": [4, 8]}, "bit_budget", "from 4 to 8"),
        ({"bit_choices": [1, 4]}, "bit_choices.0", "2"),
        ({"bits": 9, "bit_budget": None}, "bits", "8"),
        ({"embedding_bits": 1}, "embedding_bits", "2"),
        ({"groups": 0}, "groups", "1"),
    ],
)
def test_what_does_not_fit_is_rejected(changes: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(recipe(TRAIN, {**QBERT, **changes}, model={"config": SMALL}))
    assert caught.value.field.startswith(f"recipe.stages.1.{field}")
    assert message in caught.value.message


def test_a_quantized_model_is_final() -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(recipe(TRAIN, QBERT, {**TRAIN}, model={"config": SMALL}))
    assert "final" in caught.value.message
