"""MorphNet: the authors' arithmetic, the budget, widened models that reload and are counted."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn
from transformers import BertConfig, BertForSequenceClassification

from pricetag.accounting.work.flops import EncoderShape, encoder_layer_flops
from pricetag.recipes import parse_recipe
from pricetag.recipes.errors import RecipeError
from tests.support.halves import assert_same_weights, in_halves, made_by
from tests.support.training import CONFIG, TRAIN, carry_out, counted_once, data_set, recipe
from workers.methods.morphnet import (
    MorphPenalty,
    Side,
    activation_norms,
    bilinear_cost,
    bilinear_regularization,
    cost_of,
    is_alive,
    morphed,
    norms_of,
    widened,
)
from workers.training.formats import registry
from workers.training.formats.profile import profile
from workers.training.formats.sliced import layer_sizes, slice_layer, widen_layer
from workers.training.forward_pass import ForwardPass
from workers.training.structured.units import Units

GOLDEN = Path(__file__).parents[1] / "data/golden/group_lasso_morphnet.json"
CASE = json.loads(GOLDEN.read_text())["cases"]["morphnet"]
SMALL = {**CONFIG, "num_hidden_layers": 2, "num_attention_heads": 4}
MORPH = {**TRAIN, "kind": "prune", "method": "morphnet", "precision": "fp32", "evaluate": False}
SIZES: dict[str, Any] = {**SMALL, "hidden_dropout_prob": 0.0}


def golden(values: Any) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def close(values: torch.Tensor, expected: Any) -> None:
    torch.testing.assert_close(values.detach(), golden(expected), rtol=1e-9, atol=1e-14)


# ---- the authors' arithmetic ----


def test_norms_and_those_alive_are_those_of_the_authors() -> None:
    weights = golden(CASE["A"]).movedim(CASE["out_axis"], 0)
    norms = activation_norms([weights])
    close(norms, CASE["l2_rms"])
    close(activation_norms([weights], l1_fraction=0.5), CASE["l1_fraction_half"])
    assert is_alive(norms, CASE["threshold"]).long().tolist() == CASE["alive"]
    close(activation_norms([golden(CASE["next_matrix"]).movedim(1, 0)]), CASE["next_rms"])


def test_cost_and_regularization_of_a_product_are_those_of_the_authors() -> None:
    inputs = Side.of(golden(CASE["l2_rms"]), CASE["threshold"])
    outputs = Side.of(golden(CASE["next_rms"]), CASE["threshold"])
    assert (inputs.alive, outputs.alive) == (CASE["alive_in"], CASE["alive_out"])
    assert float(bilinear_cost(2, inputs, outputs)) == CASE["flop_cost"]
    penalty = float(bilinear_regularization(2, inputs, outputs))
    assert penalty == pytest.approx(CASE["flop_regularisation"], rel=1e-12)


def test_norms_do_not_depend_on_the_width_and_mix_two_means() -> None:
    weights = torch.full((3, 7), -0.25, dtype=torch.float64)
    for fraction in (0.0, 0.3, 1.0):
        close(activation_norms([weights, weights[:, :2]], fraction), [0.25] * 3)


def test_the_gradient_goes_to_one_side_times_what_lives_on_the_other() -> None:
    own = torch.tensor([0.5, 0.01, 0.2], dtype=torch.float64, requires_grad=True)
    other = torch.tensor([0.3, 0.4], dtype=torch.float64, requires_grad=True)
    total = bilinear_regularization(3, Side.of(own, 0.1), Side.of(other, 0.35))
    assert isinstance(total, torch.Tensor)
    gradients = torch.autograd.grad(total, [own, other])
    assert [gradient.tolist() for gradient in gradients] == [[3.0] * 3, [6.0] * 2]


def test_costs_of_an_encoder_are_the_closed_forms() -> None:
    sizes = [(3, 40), (1, 7)]
    flops = sum(encoder_layer_flops(EncoderShape(1, 32, n, h * 8), 20) for h, n in sizes)
    assert cost_of(sizes, 8, 32, "flops", 20) == flops
    assert cost_of(sizes, 8, 32, "size", 20) == sum(4 * 32 * 8 * h + 2 * 32 * n for h, n in sizes)


# ---- widening ----


def cost(sizes: Any) -> float:
    """Operations of layers of width 32 with heads of 8 on 16 tokens."""
    return float(sum(32 * (4 * 32 * 8 * h + 2 * 32 * n) + 4 * 16**2 * 8 * h for h, n in sizes))


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(1, 6), st.integers(1, 40)), min_size=1, max_size=3),
    st.floats(0.2, 5),
)
def test_widths_grow_by_the_largest_common_factor_within_the_budget(
    sizes: list[tuple[int, int]], share: float
) -> None:
    budget = share * cost(sizes)
    if cost([(1, 1)] * len(sizes)) > budget:
        with pytest.raises(ValueError, match="more than the budget"):
            widened(sizes, cost, budget)
        return
    factor, wide = widened(sizes, cost, budget)
    assert cost(wide) <= budget

    def scaled(omega: Fraction) -> list[tuple[int, int]]:
        return [(max(int(omega * h), 1), max(int(omega * n), 1)) for h, n in sizes]

    assert wide == scaled(Fraction(factor).limit_denominator(10_000))
    # At the next factor at which a width changes, the cost is above the budget.
    ahead = min(
        Fraction(new + 1, old)
        for before, after in zip(sizes, wide, strict=True)
        for old, new in zip(before, after, strict=True)
    )
    assert cost(scaled(ahead)) > budget


def test_a_model_that_shrank_by_nothing_keeps_its_widths() -> None:
    sizes = [(12, 3072)] * 12
    full = cost_of(sizes, 64, 768, "flops", 128)
    _, same = widened(sizes, lambda made: cost_of(made, 64, 768, "flops", 128), full)
    assert same == sizes


def test_dead_ones_leave_and_then_the_smallest_where_the_budget_is_smaller_still() -> None:
    norms: Any = [
        {"heads": golden([0.3, 0.001, 0.2]), "neurons": golden([0.4, 0.1, 0.002, 0.3])},
        {"heads": golden([0.001, 0.002, 0.001]), "neurons": golden([0.2, 0.3, 0.4, 0.5])},
    ]
    kept, sizes, factor = morphed(norms, 0.01, cost, cost([(3, 4)] * 2))
    assert kept == Units([[0, 2], [1]], [[0, 1, 3], [0, 1, 2, 3]])
    assert factor > 1
    assert sizes[0][0] >= 2
    assert sizes[0][1] >= 3
    kept, sizes, factor = morphed(norms, 0.01, cost, cost([(1, 2), (1, 2)]))
    assert factor < 1
    assert sizes == [(1, 2), (1, 2)]
    assert kept == Units([[0], [1]], [[0, 3], [2, 3]])


def network() -> BertForSequenceClassification:
    torch.manual_seed(0)
    made = BertForSequenceClassification(BertConfig(**SIZES))
    made.train(False)
    return made


def test_a_wider_model_has_what_it_had_reloads_and_is_counted(tmp_path: Path) -> None:
    model = network()
    slice_layer(model, 0, [1, 2], range(10))
    before: Any = model.get_parameter("bert.encoder.layer.0.output.dense.weight").detach().clone()
    torch.manual_seed(1)
    widen_layer(model, 0, 6, 100)
    widen_layer(model, 1, 5, 64)
    after: Any = model.get_parameter("bert.encoder.layer.0.output.dense.weight").detach()
    assert torch.equal(after[:, :10], before)
    assert float(after[:, 10:].std()) == pytest.approx(0.02, rel=0.1)
    bias: Any = model.get_parameter("bert.encoder.layer.0.intermediate.dense.bias")
    assert not bias.detach()[10:].any()
    assert [layer_sizes(model, number) for number in range(2)] == [(6, 100), (5, 64)]
    registry.save(model, tmp_path)
    loaded = registry.load(tmp_path)
    ids = torch.arange(5, 25).view(2, 10)
    with torch.no_grad():
        assert torch.equal(loaded(input_ids=ids).logits, model(input_ids=ids).logits)
    counts = profile(loaded)
    layers = cost_of([(6, 100), (5, 64)], 8, 32, "flops", 20)
    assert counts.flops_per_sequence(20) == layers + 2 * 32 * 32 + 2 * 32 * 2
    added = [(48, 100), (40, 64)]
    plain = profile(network()).weights.parameters
    extra = sum((4 * 32 + 3) * (a - 32) + (2 * 32 + 1) * (n - 64) for a, n in added)
    assert counts.weights.parameters == plain + extra
    with pytest.raises(ValueError, match="already"):
        widen_layer(model, 0, 2, 100)


def test_new_heads_with_outputs_of_zero_change_nothing() -> None:
    model = network()
    ids = torch.arange(5, 25).view(2, 10)
    with torch.no_grad():
        before = model(input_ids=ids).logits
        widen_layer(model, 1, 7, 90)
        layer: Any = model.bert.encoder.layer[1]
        layer.output.dense.weight[:, 64:] = 0
        layer.attention.output.dense.weight[:, 32:] = 0
        torch.testing.assert_close(model(input_ids=ids).logits, before, rtol=1e-4, atol=1e-5)


def test_the_term_is_a_share_of_the_cost_at_first() -> None:
    model = network()
    for kind in ("flops", "size"):
        term = MorphPenalty(1.0, kind, 16, 0.0, 0.0)
        term.attach(model)
        value = float(term.value(ForwardPass(nn.Module(), None, {}, {})).detach())
        total = 0.0
        for layer in norms_of(model, 0.0):
            one: Any = {k: float(v.detach().sum()) for k, v in layer.items()}
            total += (4 * 32 * 8 * one["heads"] + 2 * 32 * one["neurons"]) * (
                2 * 16 if kind == "flops" else 1
            )
            total += 4 * 16**2 * 8 * one["heads"] if kind == "flops" else 0
        first = cost_of([(4, 64)] * 2, 8, 32, kind, 16)
        assert value == pytest.approx(total / first, rel=1e-6)


# ---- stages ----


def sizes_in(folder: Path) -> list[tuple[int, int]]:
    model = registry.load(made_by(folder))
    return [layer_sizes(model, number) for number in range(2)]


# Rows of a new model have norms of about 0.02: half of the neurons are below this threshold.
OPTIONS = {"threshold": 0.02, "length": 16, "max_steps": 3, "recovery_epochs": 0.1}


@pytest.mark.parametrize(
    ("start", "budget", "iterations"), [("scratch", 1.0, 2), ("shrunk", 0.7, 1)]
)
def test_layers_shrink_and_are_widened_to_the_budget(
    tmp_path: Path, start: str, budget: float, iterations: int
) -> None:
    data_set(tmp_path)
    options = {**OPTIONS, "start": start, "budget": budget, "iterations": iterations}
    with counted_once():
        reporter = carry_out(tmp_path, recipe({**MORPH, **options}, model={"config": SMALL}))
    sizes = sizes_in(tmp_path)
    assert sizes != [(4, 64)] * 2
    whole = profile(network()).flops_per_sequence(16)
    model = registry.load(made_by(tmp_path))
    now = profile(model).flops_per_sequence(16)
    step = max(cost([(h + 1, n + 1) for h, n in sizes]) - cost(sizes), 1)
    assert budget * whole - step < now <= budget * whole
    assert reporter.of("metric", name="heads_left")[-1]["value"] == sum(h for h, _ in sizes)
    assert reporter.of("metric", name="neurons_left")[-1]["value"] == sum(n for _, n in sizes)
    assert "the regularizer of MorphNet" in reporter.of("flops")[-1]["uncounted"]
    assert "loss_morphnet" in {event["name"] for event in reporter.of("metric")}


def test_a_stage_that_changes_no_size_says_how_to(tmp_path: Path) -> None:
    data_set(tmp_path)
    options = {**OPTIONS, "threshold": 0.0, "max_steps": 1}
    with counted_once():
        reporter = carry_out(tmp_path, recipe({**MORPH, **options}, model={"config": SMALL}))
    assert sizes_in(tmp_path) == [(4, 64)] * 2
    assert registry.read_notes(made_by(tmp_path)) == {}
    assert any("have not changed" in event["text"] for event in reporter.of("log"))


def test_retraining_begins_from_scratch_or_from_what_is_left(tmp_path: Path) -> None:
    data_set(tmp_path)
    options = {**OPTIONS, "learning_rate": 1e-9, "threshold": 0.0}
    with counted_once():
        for start in ("scratch", "shrunk"):
            described = recipe({**MORPH, **options, "start": start}, model={"config": SMALL})
            carry_out(tmp_path / start, described, data_roots=[tmp_path])
        train = {**TRAIN, "learning_rate": 1e-9, "precision": "fp32", "evaluate": False}
        described = recipe(train, model={"config": SMALL})
        carry_out(tmp_path / "plain", described, data_roots=[tmp_path])
    name = "bert.encoder.layer.0.output.dense.weight"
    weights = {
        folder: load_file(made_by(tmp_path / folder) / "model.safetensors")[name]
        for folder in ("scratch", "shrunk", "plain")
    }
    torch.testing.assert_close(weights["shrunk"], weights["plain"], rtol=0, atol=1e-6)
    assert float((weights["scratch"] - weights["plain"]).abs().max()) > 0.01
    assert float(weights["scratch"].std()) == pytest.approx(0.02, rel=0.2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root, and a stage of two shrinkings that nothing has interrupted."""
    root = data_set(tmp_path_factory.mktemp("morphnet"))
    with counted_once():
        carry_out(root, recipe(TWICE, model={"config": SMALL}))
    return root


TWICE = {
    **{**MORPH, **OPTIONS, "start": "shrunk", "iterations": 2, "recovery_epochs": 0.25},
    **{"checkpoint_after_s": 0, "checkpoint_every_s": 0},
}


@pytest.mark.parametrize(("questions", "finished"), [(2, 0), (4, 1), (6, 2)])
def test_an_interrupted_stage_ends_at_the_same_weights(
    whole: Path, tmp_path: Path, questions: int, finished: int
) -> None:
    described = recipe(TWICE, model={"config": SMALL})
    second = in_halves(tmp_path, described, questions, data_roots=[whole])
    again = [event["text"] for event in second.of("log") if "earlier attempt" in event["text"]]
    assert len(again) == finished
    assert_same_weights(whole, tmp_path)


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"strength": 0.0}, "strength", "greater than 0"),
        ({"cost": "latency"}, "cost", "must be one of"),
        ({"budget": 0.0}, "budget", "greater than 0"),
        ({"budget": 0.05}, "budget", "one head and one neuron per layer are"),
        ({"l1_fraction": 1.5}, "l1_fraction", "at most 1"),
        ({"iterations": 0}, "iterations", "at least 1"),
        ({"start": "zeros"}, "start", "must be one of"),
    ],
)
def test_options_out_of_range_are_rejected(
    changes: dict[str, Any], field: str, message: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(recipe({**MORPH, **changes}, model={"config": SMALL}))
    assert caught.value.field == f"recipe.stages.0.{field}"
    assert message in caught.value.message
