"""Heads and neurons are numbered, scaled and cut out; a cut is the same as a gate of zero."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertForQuestionAnswering, PreTrainedModel

from workers.training.formats import registry
from workers.training.formats.sliced import slice_layer
from workers.training.model.recording import encoder_layers
from workers.training.structured.units import Units, cut, scale_units, units_of

HEADS, INNER, LAYERS = 4, 12, 3


def network(seed: int = 0) -> BertForQuestionAnswering:
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=60,
        hidden_size=16,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=INNER,
        max_position_embeddings=40,
        initializer_range=0.5,  # so that every unit matters
    )
    model = BertForQuestionAnswering(config)
    model.train(False)
    return model


def logits(model: PreTrainedModel) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randint(0, 60, (3, 9), generator=generator)
    with torch.no_grad():
        outputs = model(input_ids=inputs, attention_mask=torch.ones_like(inputs))
    return torch.stack([outputs.start_logits, outputs.end_logits])


SOME = Units([[0, 3], [1], [0, 1, 2, 3]], [[1, 5, 11], list(range(INNER)), [0]])


def test_cutting_units_out_is_the_same_as_a_factor_of_zero() -> None:
    cut_out, scaled = network(), network()
    every = units_of(cut_out)
    assert every.counts() == (HEADS * LAYERS, INNER * LAYERS)
    cut(cut_out, every, SOME)
    scale_units(
        scaled,
        [[float(head in kept) for head in range(HEADS)] for kept in SOME.heads],
        [[float(unit in kept) for unit in range(INNER)] for kept in SOME.neurons],
    )
    torch.testing.assert_close(logits(cut_out), logits(scaled), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(logits(cut_out), logits(network()), atol=1e-3)
    counts = [[len(each) for each in of] for of in (SOME.heads, SOME.neurons)]
    assert [[len(e) for e in of] for of in units_of(cut_out).as_json().values()] == counts


def test_a_second_cut_names_units_by_their_first_numbers() -> None:
    at_once, in_steps = network(), network()
    every = units_of(at_once)
    first = Units([[0, 2, 3], [0, 1, 2], [0, 1, 2, 3]], [list(range(1, INNER))] * 3)
    last = Units([[0, 3], [1], [2]], [[2, 7], [3], [11]])
    cut(at_once, every, last)
    cut(in_steps, every, first)
    cut(in_steps, first, last)
    assert torch.equal(logits(at_once), logits(in_steps))
    with pytest.raises(ValueError, match=r"units \[1\] are not in the layer"):
        cut(in_steps, last, Units([[1], [1], [2]], last.neurons))


def test_factors_change_what_a_unit_adds() -> None:
    half, by_hand = network(), network()
    scale_units(half, [[0.5] * HEADS] * LAYERS, [[1.0] * INNER] * LAYERS)
    with torch.no_grad():
        for layer in encoder_layers(by_hand):
            weight = layer.get_parameter("attention.output.dense.weight")
            weight.mul_(0.5)
    assert torch.equal(logits(half), logits(by_hand))


def test_a_cut_question_answering_model_is_reloaded_as_it_computes(tmp_path: Path) -> None:
    model = network()
    cut(model, units_of(model), SOME)
    registry.save(model, tmp_path / "model")
    assert torch.equal(logits(registry.load(tmp_path / "model")), logits(model))


def test_a_layer_keeps_one_of_each() -> None:
    model = network()
    every = units_of(model)
    with pytest.raises(ValueError, match="at least one head and one neuron"):
        cut(model, every, Units([[], *every.heads[1:]], every.neurons))
    with pytest.raises(ValueError, match="at least one head and one neuron"):
        slice_layer(model, 0, [0], [])
