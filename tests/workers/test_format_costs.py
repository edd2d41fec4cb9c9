"""Operations, parameters and bytes of models in every format: against closed forms and by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from torch import nn
from transformers import (
    BertForSequenceClassification,
    GPT2Config,
)

from pricetag.accounting.work.flops import EncoderShape, encoder_flops
from tests.support.model_formats import (
    CLASSES,
    CONFIG,
    HEADS,
    HIDDEN,
    INNER,
    LAYERS,
    eight_bit,
    exiting,
    low_rank,
    network,
    pruned,
    shared,
    sliced,
    with_exits,
)
from workers.training.formats import registry
from workers.training.formats.profile import count_structure, profile


def layer_flops(length: int, heads: int, inner: int) -> int:
    """2L(4HA + 2HI) + 4L^2A."""
    width = heads * HIDDEN // HEADS
    return 2 * length * (4 * HIDDEN * width + 2 * HIDDEN * inner) + 4 * length**2 * width


HEAD_FLOPS = 2 * HIDDEN * HIDDEN + 2 * HIDDEN * CLASSES  # pooler and classifier


def test_a_plain_model_is_the_closed_form() -> None:
    shape = EncoderShape(layers=LAYERS, hidden=HIDDEN, intermediate=INNER, attention=HIDDEN)
    counted = profile(network())
    for length in (7, 64, 500):
        expected = encoder_flops(shape, length, classes=CLASSES)
        assert counted.flops_per_sequence(length) == pytest.approx(expected, rel=1e-12)
        assert counted.flops_per_token(length) == pytest.approx(expected / length, rel=1e-12)
    assert counted.formats == ("plain",)


def test_sliced_heads_and_neurons_are_counted_by_the_remaining_ones() -> None:
    model = network()
    whole = profile(model).weights.parameters
    sliced(model)
    counted = profile(model)
    sizes = [(2, 10), (HEADS, INNER), (HEADS, 3), (HEADS, INNER)]
    expected = sum(layer_flops(20, *size) for size in sizes) + HEAD_FLOPS
    assert counted.flops_per_sequence(20) == pytest.approx(expected, rel=1e-12)
    gone = 2 * (4 * 8 * HIDDEN + 3 * 8)  # two heads: four matrices, three biases
    gone += (INNER - 10 + INNER - 3) * (2 * HIDDEN + 1)
    assert counted.weights.parameters == whole - gone
    assert counted.formats == ("sliced",)


def test_factors_count_as_two_matrices() -> None:
    model = network()
    whole = profile(model)
    low_rank(model)
    counted = profile(model)
    saved = 2 * (HIDDEN * INNER - 6 * (HIDDEN + INNER))
    assert whole.weights.parameters - counted.weights.parameters == saved
    difference = whole.flops_per_sequence(20) - counted.flops_per_sequence(20)
    assert difference == pytest.approx(2 * 20 * saved, rel=1e-9)


def test_shared_layers_count_once_as_parameters_and_each_time_as_operations(
    tmp_path: Path,
) -> None:
    model = network()
    whole = profile(model)
    one_layer = sum(p.numel() for p in model.get_submodule("bert.encoder.layer.0").parameters())
    shared(model)
    counted = profile(model)
    assert whole.weights.parameters - counted.weights.parameters == 2 * one_layer
    assert counted.flops_per_sequence(20) == pytest.approx(whole.flops_per_sequence(20), rel=1e-12)
    network().save_pretrained(tmp_path / "whole")
    registry.save(model, tmp_path / "shared")
    sizes = [(tmp_path / n / "model.safetensors").stat().st_size for n in ("whole", "shared")]
    assert sizes[0] - sizes[1] == pytest.approx(4 * 2 * one_layer, abs=4000)


def test_exits_count_up_to_their_layer_with_the_classifiers_on_the_way() -> None:
    model = network()
    whole = profile(model)
    with_exits(model)
    counted = profile(model)
    one = layer_flops(20, HEADS, INNER) + 2 * HIDDEN * HIDDEN  # each layer is pooled
    classifier = 2 * HIDDEN * CLASSES
    assert [part.forward(20) for part in counted.exits] == pytest.approx(
        [one + classifier, 3 * one + 2 * classifier, 4 * one + 3 * classifier], rel=1e-12
    )
    assert counted.flops_per_sequence(20) == counted.exits[-1].forward(20)
    exiting(model, 0.5)
    assert profile(model) == counted
    added = 2 * (HIDDEN * CLASSES + CLASSES) + 1 + 3 + 4
    assert counted.weights.parameters == whole.weights.parameters + added


def test_zeros_and_bytes_are_counted() -> None:
    model = network()
    pruned(model)
    counted = profile(model)
    matrices = LAYERS * (4 * HIDDEN * HIDDEN + 2 * HIDDEN * INNER)
    assert counted.formats == ("sparse",)
    assert counted.density == 0.5
    assert counted.weights.parameters - counted.weights.non_zero >= matrices / 2
    dense = counted.flops.forward(20)
    effective = counted.flops.forward(20, counted.density)
    assert dense - effective == pytest.approx(2 * 20 * matrices / 2, rel=1e-12)
    small = network()
    eight_bit(small)
    assert profile(small).weights.dense_bytes < 0.32 * profile(network()).weights.dense_bytes
    assert profile(small).flops == profile(network()).flops


@pytest.mark.parametrize("padding", [0, None])
def test_an_uncountable_structure_is_named_as_unknown(padding: int | None) -> None:
    """Slices, factors and shared layers of any family, such as those that read values."""

    def reads_values(module: nn.Module, **inputs: Any) -> None:
        raise RuntimeError("Tensor.item() cannot be called on meta tensors")

    config = CONFIG.__class__.from_dict(CONFIG.to_dict() | {"pad_token_id": padding})
    plain, _ = count_structure(config, {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BertForSequenceClassification, "forward", reads_values)
        counted, exits = count_structure(config, {})
    assert math.isfinite(plain.forward(8))
    assert math.isnan(counted.forward(8))
    assert exits == ()
    assert "bert" in counted.uncounted[0]
    assert "Tensor.item()" in counted.uncounted[0]


def test_models_that_look_for_padding_by_value_are_counted_without_it() -> None:
    config = GPT2Config(
        vocab_size=100, n_embd=16, n_layer=1, n_head=2, n_positions=80, pad_token_id=0
    )
    counted, _ = count_structure(config, {})
    assert counted.forward(8) > 0
