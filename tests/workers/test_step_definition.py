"""What the benchmark of steps computes as a method's definition is what the method computes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification

from benchmarks.steps.definition import Shapes, definition
from workers.methods.logits import SoftLabels
from workers.methods.movement import Movement
from workers.training.imitation import States
from workers.training.plugin import Plugin
from workers.training.pruning.masker import Masker
from workers.training.pruning.schedule import Ramp
from workers.training.quantization.affine import Blocks, fake_blocks
from workers.training.quantization.fake_quant import FakeQuant, Rounding
from workers.training.quantization.shared_weights import SharedWeights, member_sums
from workers.training.trainer import Participants

ROWS, WIDTH, HIDDEN, INNER, LAYERS, HEADS = 3, 7, 8, 16, 2, 2
CONFIG = BertConfig(
    vocab_size=40,
    hidden_size=HIDDEN,
    intermediate_size=INNER,
    num_hidden_layers=LAYERS,
    num_attention_heads=HEADS,
    max_position_embeddings=16,
)


@pytest.fixture
def model() -> BertForSequenceClassification:
    torch.manual_seed(0)
    return BertForSequenceClassification(CONFIG)


def computed(model: Any, *plugins: Plugin) -> Iterator[torch.Tensor]:
    shapes = Shapes(model, (ROWS, WIDTH), ROWS * WIDTH)
    for work in definition(model, Participants([], list(plugins))):
        yield from work(shapes)


def test_weights_are_rounded_as_in_training_and_activations_at_each_token_of_the_layers(
    model: BertForSequenceClassification,
) -> None:
    names = [
        "bert.embeddings.word_embeddings",
        "bert.encoder.layer.0.intermediate.dense",
        "bert.encoder.layer.1.output.dense",
        "bert.pooler.dense",
        "classifier",
    ]
    plan = {n: Rounding(8, Blocks(row_groups=1), "symmetric", outputs=True) for n in names}
    plan[names[2]] = Rounding(4, Blocks(), "symmetric")
    made = list(computed(model, FakeQuant(plan, 0.9)))
    weights, activations = made[: len(names)], made[len(names) :]
    for name, rounded in zip(names, weights, strict=True):
        rounding, weight = plan[name], model.get_submodule(name).weight
        assert isinstance(weight, nn.Parameter)
        expected = fake_blocks(weight, rounding.blocks, rounding.bits).detach()
        torch.testing.assert_close(rounded, expected[: len(rounded)])
        assert len(rounded) == (ROWS * WIDTH if "word" in name else len(weight))
    assert [values.shape for values in activations] == [
        (ROWS, WIDTH, width) for width in (HIDDEN, INNER, INNER)
    ]


def test_shared_values_are_those_of_each_weight_and_their_sums_those_of_the_gradient(
    model: BertForSequenceClassification,
) -> None:
    name = "bert.encoder.layer.0.intermediate.dense"

    def halves(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.tensor([-0.5, 0.5]), (weight > 0).long()

    plugin = SharedWeights(model, [name], halves, 1.0)
    plugin.attach(model)
    (sums,) = computed(model, plugin)
    number = plugin.numbers[name]
    expected = member_sums(torch.tensor([-0.5, 0.5])[number], number, 3, torch.float64)
    torch.testing.assert_close(sums, expected)
    plugin.detach(model)


def test_masks_hold_what_is_pruned_and_scores_keep_half(
    model: BertForSequenceClassification,
) -> None:
    with torch.no_grad():
        model.get_parameter("bert.encoder.layer.0.intermediate.dense.weight")[:3] = 0
    masker, movement = Masker(), Movement(Ramp(0.5), 0.01)
    masker.attach(model)
    held = list(computed(model, masker))
    for one, matrix in zip(held, masker.matrices.values(), strict=True):
        assert torch.equal(one, matrix.weight)
    movement.attach(model)
    made = list(computed(model, movement))
    assert len(made) == 3 * 6 * LAYERS
    for masked in made[1::3]:
        share = float((masked != 0).double().mean())
        assert share == pytest.approx(0.5, abs=1 / masked.numel() + 1e-9)
    movement.detach(model)


def test_states_are_compared_in_each_layer_and_predictions_over_a_vocabulary_alone(
    model: BertForSequenceClassification,
) -> None:
    teacher: Any = None
    assert len(list(computed(model, States(teacher)))) == LAYERS + 1
    soft = SoftLabels(teacher, 0.5, 2.0)
    assert list(computed(model, soft)) == []
    (loss,) = computed(BertForMaskedLM(CONFIG), soft)
    assert float(loss) == pytest.approx(0, abs=1e-6)
