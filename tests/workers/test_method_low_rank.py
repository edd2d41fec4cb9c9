"""Low-rank factors: the closest matrices of a rank, stored beside the model, counted right."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertConfig, BertForSequenceClassification, GPT2Config
from transformers import GPT2ForSequenceClassification as Gpt2

from pricetag.accounting.work.flops import EncoderShape, encoder_flops, linear_flops
from pricetag.accounting.work.low_rank import largest_rank
from pricetag.recipes import parse_recipe
from pricetag.recipes.errors import RecipeError
from tests.support.training import CONFIG, TRAIN, carry_out, counted_once, data_set, recipe
from workers.job.reporter import JobError
from workers.methods.low_rank import (
    apply_low_rank,
    rank_for_energy,
    rank_for_ratio,
    ranks_for_budget,
    replaceable,
)
from workers.training.factors.svd import factors
from workers.training.formats import registry
from workers.training.formats.profile import profile

CASES = json.loads((Path(__file__).parents[1] / "data/golden/svd.json").read_text())["cases"]
MATRIX = CASES["matrix"]
A = torch.tensor(MATRIX["A"], dtype=torch.float64)
FACTORIZE = {"kind": "factorize", "method": "low_rank", "recovery_epochs": 0}


@pytest.mark.parametrize("case", CASES["rank_rule"], ids=lambda case: f"{case['m']}x{case['n']}")
def test_the_largest_rank_that_saves_weights(case: dict[str, Any]) -> None:
    rank = largest_rank(case["m"], case["n"])
    assert rank == case["largest_rank_that_saves"]
    assert case["saves"] == (rank > 0)
    assert rank < case["break_even"] <= rank + 1
    assert rank * (case["m"] + case["n"]) == case["params_at_that_rank"] < case["params_dense"]


@pytest.mark.parametrize(
    "name", [name for name in MATRIX if name.startswith("rank") and "_" not in name]
)
def test_factors_are_the_closest_matrix_of_their_rank(name: str) -> None:
    rank, case = int(name.removeprefix("rank")), MATRIX[name]
    first, second = factors(A, rank)
    assert (first.shape, second.shape) == ((rank, 4), (6, rank))
    torch.testing.assert_close(
        second @ first,
        torch.tensor(case["reconstruction"], dtype=torch.float64),
        rtol=1e-9,
        atol=1e-9,
    )
    error = A - second @ first
    assert float(torch.linalg.norm(error)) == pytest.approx(case["frobenius_error"], rel=1e-9)
    assert float(torch.linalg.norm(error, 2)) == pytest.approx(case["spectral_error"], rel=1e-9)
    kept = float((second @ first).square().sum() / A.square().sum())
    assert kept == pytest.approx(case["energy_kept"], rel=1e-9)


def test_the_rank_for_a_share_of_the_energy() -> None:
    values = torch.tensor(MATRIX["singular_values"], dtype=torch.float64)
    torch.testing.assert_close(torch.linalg.svdvals(A), values)
    expected = {float(share): rank for share, rank in MATRIX["rank_for_energy"].items()}
    assert {share: rank_for_energy(values, share) for share in expected} == expected
    assert rank_for_energy(torch.zeros(3), 0.9) == 1


@given(st.integers(1, 200), st.integers(1, 200), st.floats(0.01, 0.99))
def test_a_ratio_is_the_largest_rank_within_it(inputs: int, outputs: int, ratio: float) -> None:
    rank = rank_for_ratio(inputs, outputs, ratio)
    weights = ratio * inputs * outputs
    assert rank == 1 or rank * (inputs + outputs) <= weights * (1 + 1e-9)
    assert (rank + 1) * (inputs + outputs) > weights * (1 - 1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.3, 0.95))
def test_a_budget_is_spent_and_never_exceeded(seed: int, budget: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"a": (12, 12), "b": (24, 12), "c": (12, 24)}
    values = {
        name: torch.rand(min(shape), generator=generator).sort(descending=True).values
        for name, shape in shapes.items()
    }
    ranks = ranks_for_budget(values, shapes, budget)
    weights = sum(ranks[name] * sum(shape) for name, shape in shapes.items())
    allowed = budget * sum(math.prod(shape) for shape in shapes.values())
    assert weights <= allowed * (1 + 1e-9)  # 0.7 of 720 is 504
    limits = {name: largest_rank(*shape) for name, shape in shapes.items()}
    assert all(1 <= ranks[name] <= limits[name] for name in shapes)
    over = weights + max(map(sum, shapes.values())) > allowed * (1 - 1e-9)
    assert over or ranks == limits


def test_a_budget_goes_where_a_weight_keeps_most_energy() -> None:
    values = {
        "flat": torch.tensor([3.0, 3.0, 3.0, 3.0]),
        "steep": torch.tensor([9.0, 1.0, 0.1, 0.0]),
    }
    ranks = ranks_for_budget(values, {"flat": (12, 12), "steep": (12, 12)}, 0.34)
    assert ranks == {"flat": 3, "steep": 1}


HIDDEN, INNER, LAYERS = 32, 48, 2


def network() -> BertForSequenceClassification:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=60,
        hidden_size=HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        intermediate_size=INNER,
        max_position_embeddings=80,
    )
    model = BertForSequenceClassification(config)
    model.train(False)
    return model


def test_parameters_and_operations_are_those_of_the_factors(tmp_path: Path) -> None:
    model, rank = network(), 5
    before = profile(model)
    apply_low_rank(model, dict.fromkeys(replaceable(model, "attention"), rank))
    after = profile(model)
    saved = LAYERS * 4 * (HIDDEN * HIDDEN - rank * 2 * HIDDEN)
    assert after.weights.parameters == before.weights.parameters - saved
    length = 20
    shape = EncoderShape(layers=LAYERS, hidden=HIDDEN, intermediate=INNER, attention=HIDDEN)
    one = linear_flops(length, HIDDEN, HIDDEN)
    factored = linear_flops(length, HIDDEN, rank) + linear_flops(length, rank, HIDDEN)
    assert after.flops_per_sequence(length) == pytest.approx(
        encoder_flops(shape, length, classes=2) - LAYERS * 4 * (one - factored), rel=1e-12
    )
    registry.save(model, tmp_path)
    again = registry.load(tmp_path)
    ids = torch.arange(1, 13)[None]
    assert torch.equal(model(input_ids=ids).logits, again(input_ids=ids).logits)
    assert profile(again) == after


def test_at_full_rank_the_outputs_are_the_same_also_of_transposed_matrices(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = GPT2Config(
        n_embd=16, n_layer=2, n_head=2, vocab_size=40, n_positions=32, pad_token_id=0
    )
    model = Gpt2(config)
    model.train(False)
    ids = torch.arange(1, 13)[None]
    before = model(input_ids=ids).logits
    ranks = {
        name: min(module.weight.shape)
        for name, module in replaceable(model, "feed_forward").items()
    }
    assert len(ranks) == 4
    assert apply_low_rank(model, ranks) == pytest.approx(1.0, rel=1e-6)
    torch.testing.assert_close(model(input_ids=ids).logits, before, rtol=1e-4, atol=1e-5)
    registry.save(model, tmp_path)
    assert torch.equal(registry.load(tmp_path)(input_ids=ids).logits, model(input_ids=ids).logits)


@pytest.mark.parametrize(
    ("options", "field", "message"),
    [
        ({}, "rank", "state one of rank, ratio, energy and budget"),
        ({"rank": 4, "budget": 0.5}, "budget", "not several"),
        ({"rank": 16}, "rank", "16 is above the limit"),
        ({"rank": 16, "matrices": "attention"}, "rank", "use at most 15"),
        ({"rank": 22, "matrices": "feed_forward"}, "rank", "use at most 21"),
        ({"ratio": 1.0}, "ratio", "less than 1"),
        ({"method": "lowrank", "ratio": 0.5}, "method", "must be one of: low_rank"),
        ({"method": None, "ratio": 0.5}, "method", "must be one of: low_rank"),
    ],
)
def test_what_does_not_fit_is_rejected_with_its_field(
    options: dict[str, Any], field: str, message: str
) -> None:
    described = recipe(TRAIN, {**FACTORIZE, **options}, model={"config": CONFIG})
    with pytest.raises(RecipeError) as caught:
        parse_recipe(described)
    assert caught.value.field == f"recipe.stages.1.{field}"
    assert message in caught.value.message


def test_a_kind_whose_method_must_be_named_says_so() -> None:
    described = recipe(TRAIN, {"kind": "factorize", "ratio": 0.5})
    with pytest.raises(RecipeError, match=r"stages\.1\.method: is missing: one of low_rank"):
        parse_recipe(described)


def test_ranks_at_the_limit_are_accepted() -> None:
    for options in ({"rank": 15}, {"rank": 21, "matrices": "feed_forward"}):
        parse_recipe(recipe(TRAIN, {**FACTORIZE, **options}, model={"config": CONFIG}))


def test_a_stored_model_of_another_shape_is_checked_before_its_matrices_change(
    tmp_path: Path,
) -> None:
    data_set(tmp_path)
    carry_out(tmp_path, recipe({**TRAIN, "evaluate": False, "max_steps": 1}))
    (tmp_path / "work/stage-00/model").rename(tmp_path / "trained")
    for options, code in (
        ({"rank": 20}, "rank-above-limit"),
        ({"budget": 0.01}, "budget-too-small"),
        ({"energy": 0.9999}, "nothing-to-factorize"),
    ):
        described = recipe({**FACTORIZE, **options}, model="trained")
        with pytest.raises(JobError) as caught:
            carry_out(tmp_path / code, described, data_roots=[tmp_path])
        assert caught.value.code == code


def test_a_factorized_model_recovers_and_is_stored_smaller(tmp_path: Path) -> None:
    data_set(tmp_path, train=160, dev=40, hard_share=0.0)
    train = {**TRAIN, "max_steps": 45, "learning_rate": 5e-3, "batch_size": 16, "evaluate": False}
    factorized = {**FACTORIZE, "energy": 0.6, "batch_size": 16, "learning_rate": 2e-3}
    factorized["recovery_epochs"] = 1
    model = {"config": {**CONFIG, "num_hidden_layers": 2}}
    with counted_once():
        reporter = carry_out(tmp_path, recipe(train, factorized, model=model))
    assert reporter.of("metric", name="accuracy")[-1]["value"] > 0.7
    made = tmp_path / "work/stage-01/model"
    assert set(registry.read_notes(made)) == {"low_rank"}
    uncounted = [set(event["uncounted"]) for event in reporter.of("flops")]
    assert any("singular value decompositions" in names for names in uncounted)
    made.rename(tmp_path / "factors")
    with pytest.raises(
        JobError, match="of this stage is low rank: factorize the model that it was made from"
    ):
        carry_out(tmp_path / "twice", recipe(factorized, model="factors"), data_roots=[tmp_path])
