"""Reformer attention in models from scratch: operations, padding, and whole runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification

from pricetag.recipes import parse_recipe
from pricetag.recipes.errors import RecipeError
from tests.support.new_architectures import PRETRAIN, kept_tensors, pretrained_then_tuned, tokens
from tests.support.texts import SHALLOW, text_recipe
from workers.training.formats import registry
from workers.training.formats.exits import exits_of
from workers.training.formats.profile import profile
from workers.training.formats.reformer import layers_of

NOTE = {"format": 1, "rounds": 3, "buckets": 4, "chunk": 4}
REFORMER = {"name": "reformer", "rounds": 2, "buckets": 4, "chunk": 4}
MODEL = {"config": SHALLOW, "architecture": REFORMER}
STAGE = PRETRAIN


def reformer() -> BertForMaskedLM:
    torch.manual_seed(0)
    model = BertForMaskedLM(BertConfig(**{**SHALLOW, "vocab_size": 60}))
    model.config.architectures = ["BertForMaskedLM"]
    registry.rebuild(model, {"reformer": NOTE})
    return model


def test_queries_are_the_keys_and_rotations_are_stored_not_trained() -> None:
    model = reformer()
    assert not any(".self.key." in name for name, _ in model.named_parameters())
    assert [name for name, _ in model.named_buffers() if "rotations" in name]
    assert [tuple(layer.rotations.shape) for layer in layers_of(model)] == [(2, 3, 8, 2)] * 2


def test_padding_changes_nothing() -> None:
    model = reformer().train(False)
    ids, mask = tokens(3, 11), torch.ones(3, 11, dtype=torch.long)
    mask[1, 6:] = 0
    padded = model(ids, attention_mask=mask).logits[1, :6]
    torch.testing.assert_close(padded, model(ids[1:2, :6]).logits[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("length", [1, 4, 8, 10, 17, 33])
def test_operations_are_the_closed_form_and_grow_with_the_length(length: int) -> None:
    wide, inner, vocabulary, rounds, chunk, halves = 16, 24, 60, 3, 4, 2
    chunks = -(-length // chunk)
    attention = chunks * rounds * (8 * chunk**2 * wide + 2 * chunk * wide * halves)
    weights = 2 * length * (3 * wide**2 + 2 * wide * inner)
    head = 2 * length * (wide**2 + wide * vocabulary)
    counted = profile(reformer()).flops
    assert counted.square == 0
    assert counted.forward(length) == 2 * (weights + attention) + head


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("length", [8, 10])
def test_an_exit_counts_the_attention_of_the_layers_before_it(length: int, number: int) -> None:
    model = BertForSequenceClassification(BertConfig(**{**SHALLOW, "vocab_size": 60}))
    exits = {"format": 1, "layers": [0, 1], "temperatures": [1.0, 1.0], "threshold": None}
    registry.rebuild(model, {"reformer": NOTE, "exits": exits})
    counted = profile(model.train(False)).exits[number]
    of_model = exits_of(model)
    assert of_model is not None
    of_model.stop_at = number
    counter = FlopCounterMode(display=False)
    with counter:
        model(tokens(1, length))
    assert counted.forward(length) == counter.get_total_flops()


@pytest.mark.parametrize("length", [8, 10])
def test_operations_of_training_are_those_that_torch_counts(length: int) -> None:
    model = reformer().train(False)
    counter = FlopCounterMode(display=False)
    with counter:
        torch.autograd.backward(model(tokens(3, length)).logits.sum())
    counted = profile(model).flops
    extra = registry.further_flops(model, {"reformer": NOTE}, counted, length)
    assert 3 * (counted.training(length) + extra) == counter.get_total_flops()


def test_a_model_is_pretrained_reloaded_measured_and_fine_tuned_on_classes(tmp_path: Path) -> None:
    shared = kept_tensors(*pretrained_then_tuned(tmp_path, MODEL))
    assert [name for name in shared if name.endswith("rotations")]


@pytest.mark.parametrize(
    ("changes", "option"),
    [({"buckets": 5}, "buckets"), ({"rounds": 0}, "rounds"), ({"solver": "broyden"}, "solver")],
)
def test_what_does_not_fit_is_rejected(changes: dict[str, Any], option: str) -> None:
    model = {**MODEL, "architecture": {**REFORMER, **changes}}
    with pytest.raises(RecipeError) as rejected:
        parse_recipe(text_recipe("masked_lm", STAGE, model=model))
    assert rejected.value.errors[0].field == f"recipe.model.architecture.{option}"
