"""Early exits: examples leave at the first one that is sure; what is not needed is not computed."""

from __future__ import annotations

import copy
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from transformers import (
    DistilBertConfig,
    DistilBertForSequenceClassification,
    PreTrainedModel,
)

from tests.support.model_formats import (
    CLASSES,
    IDS,
    LAYERS,
    MASK,
    answers,
    exiting,
    made,
    network,
    with_exits,
)
from workers.training.formats import registry
from workers.training.formats.exits import add_exits, exits_of


def of_all_exits(model: PreTrainedModel) -> torch.Tensor:
    """Logits of all classifiers ``[exits, batch, classes]``."""
    with torch.no_grad():
        return torch.stack(model(input_ids=IDS, attention_mask=MASK).exit_logits)


@pytest.mark.parametrize("names", [("exits",), ("shared", "exits")], ids="+".join)
@pytest.mark.parametrize("temperatures", [[1.0, 1.0, 1.0], [0.1, 2.0, 1.0]])
def test_examples_leave_at_the_first_exit_that_is_sure(
    names: tuple[str, ...], temperatures: list[float]
) -> None:
    """The rows of those that leave are removed; the others compute what they would alone."""
    model = made(names)
    exits = exiting(model, None)
    exits.temperatures = temperatures
    every = of_all_exits(model)
    assert every.shape == (3, len(IDS), CLASSES)
    sure = [torch.softmax(z / t, -1).amax(-1) for z, t in zip(every, temperatures, strict=True)]
    for threshold in (0.0, float(sure[0].median()), float(sure[1].median()), 1.1):
        exits.threshold = threshold
        with torch.no_grad():
            mixed = model(input_ids=IDS, attention_mask=MASK).logits
            left_at = exits.left_at
            alone = [
                model(input_ids=IDS[n : n + 1], attention_mask=MASK[n : n + 1]) for n in range(5)
            ]
        assert left_at is not None
        for row in range(len(IDS)):
            left = next((n for n in (0, 1) if sure[n][row] >= threshold), 2)
            assert int(left_at[row]) == left
            assert torch.allclose(mixed[row], every[left][row], atol=1e-6)
            assert torch.allclose(mixed[row], alone[row].logits[0], atol=1e-6)


def test_rows_that_left_and_unneeded_layers_are_not_computed() -> None:
    model = network()
    with_exits(model)
    exits = exiting(model, None)
    rows: list[int] = []
    for number in range(LAYERS):
        model.get_submodule(f"bert.encoder.layer.{number}.attention").register_forward_pre_hook(
            lambda _, args: rows.append(len(args[0]))
        )
    sure = torch.softmax(of_all_exits(model)[0], -1).amax(-1)
    assert rows == [5] * LAYERS
    for threshold, expected in ((0.0, [5]), (float(sure.max()), [5, 4]), (1.1, [5] * 4)):
        rows.clear()
        exits.threshold = threshold
        with torch.no_grad():
            model(input_ids=IDS, attention_mask=MASK)
        assert rows[: len(expected)] == expected


def test_the_last_exit_reads_all_layers_and_keeps_the_models_own_classifier() -> None:
    model = network()
    with torch.no_grad():
        states = model(input_ids=IDS, attention_mask=MASK, output_hidden_states=True).hidden_states
    assert states is not None
    with_exits(model)
    exits = exiting(model, None)
    torch.manual_seed(3)
    with torch.no_grad():
        for mix in exits.mixes:
            mix.copy_(torch.randn_like(mix))
        pooled = torch.stack([model.get_submodule("bert.pooler")(state) for state in states[1:]])
        unit = exits.mixes[2] / exits.mixes[2].square().sum().sqrt()
        state = sum(w * each for w, each in zip(unit, pooled, strict=True))
        expected = model.get_submodule("classifier")(state)
    assert torch.allclose(of_all_exits(model)[2], expected, atol=1e-6)


def test_temperatures_and_threshold_are_stored(tmp_path: Path) -> None:
    model = network()
    with_exits(model)
    exits = exiting(model, 0.36)
    exits.temperatures = [0.1, 1 / 3, 2.0]
    before = answers(model)
    registry.save(model, tmp_path)
    again = registry.load(tmp_path)
    reloaded = exits_of(again)
    assert reloaded is not None
    assert (reloaded.threshold, reloaded.temperatures) == (0.36, [0.1, 1 / 3, 2.0])
    assert torch.equal(answers(again), before)
    assert reloaded.left_at is not None
    assert exits.left_at is not None
    assert torch.equal(reloaded.left_at, exits.left_at)


def test_a_copy_of_a_model_has_exits_of_its_own() -> None:
    model = network()
    with_exits(model)
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    assert float(answers(model).abs().max()) > 0
    assert float(answers(other).abs().max()) == 0


def test_temperature_makes_an_exit_less_sure() -> None:
    model = network()
    with_exits(model)
    exits = exiting(model, 0.36)
    shares = []
    for temperature in (0.01, 1.0, 1000.0):
        exits.temperatures = [temperature] * 3
        answers(model)
        assert exits.left_at is not None
        shares.append(int((exits.left_at < 2).sum()))
    assert all(one >= other for one, other in pairwise(shares))
    assert shares[0] == 5
    assert shares[-1] == 0


@pytest.mark.parametrize("layers", [[], [3], [1, 1, 3], [2, 0, 3], [-1, 3], [0, 2], [0, 4]])
def test_exits_must_rise_up_to_the_last_layer(layers: list[int]) -> None:
    with pytest.raises(ValueError, match="exits must rise, and end with the last layer, 3"):
        add_exits(network(), layers)


def test_a_model_without_a_pooler_gets_no_exits() -> None:
    config = DistilBertConfig(vocab_size=90, dim=32, n_layers=4, n_heads=4, hidden_dim=48)
    with pytest.raises(ValueError, match="distilbert model has no tanh pooler"):
        add_exits(DistilBertForSequenceClassification(config), [0, 3])
