"""Operations of a pass to the gates of heads and neurons, against those that torch carries out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    PreTrainedModel,
)

from tests.support.gates import gate_pass
from workers.methods.heads import gate_gradients
from workers.methods.qa import Gates, gains
from workers.training.formats.profile import profile
from workers.training.plugin import BatchPlace
from workers.training.structured.gate_pass import gate_pass_flops
from workers.training.structured.units import Units, cut, units_of

HEADS, INNER, WIDTH, LAYERS = 4, 10, 16, 3
CLASSES = (BertForSequenceClassification, BertForQuestionAnswering, BertForMaskedLM)
SIZES = {
    "whole": ([4, 4, 4], [10, 10, 10]),
    "cut": ([1, 4, 3], [2, 10, 7]),
    "cut above": ([4, 1, 1], [10, 1, 10]),
}
by_class = pytest.mark.parametrize("kind", CLASSES)
by_size = pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
by_length = pytest.mark.parametrize("length", [1, 5, 17])


def network(kind: type[PreTrainedModel], sizes: tuple[list[int], list[int]]) -> PreTrainedModel:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50, hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        intermediate_size=INNER, max_position_embeddings=80,
    )  # fmt: skip
    config.architectures, config.num_labels = [kind.__name__], 2
    config._attn_implementation = "eager"
    model = kind(config)
    model.train(False)
    heads, neurons = ([list(range(n)) for n in each] for each in sizes)
    cut(model, units_of(model), Units(heads, neurons))
    return model


def loss_of(model: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
    outputs = model(input_ids=ids)
    parts: list[Any] = [each for each in outputs.to_tuple() if isinstance(each, torch.Tensor)]
    return torch.stack([part.float().square().sum() for part in parts]).sum()


def tokens(rows: int, length: int) -> torch.Tensor:
    return torch.randint(4, 50, (rows, length), generator=torch.Generator().manual_seed(1))


@by_class
@by_size
@by_length
def test_importances_of_heads_cost_what_torch_computes(
    kind: type[PreTrainedModel], sizes: tuple[list[int], list[int]], length: int
) -> None:
    model = network(kind, sizes)
    counts = profile(model)
    with FlopCounterMode(display=False) as counter:
        gate_gradients(model, lambda: loss_of(model, tokens(3, length)))
    measured = counter.get_total_flops()
    assert 3 * gate_pass_flops(model, counts.flops, length) == pytest.approx(measured, rel=1e-9)
    with FlopCounterMode(display=False) as counter:
        gains(model, [lambda: loss_of(model, tokens(3, length))])
    assert counter.get_total_flops() == measured
    closed = gate_pass(*sizes, WIDTH, WIDTH // HEADS, length, head_of(kind, length))
    assert closed == pytest.approx(measured / 3, rel=1e-9)


def head_of(kind: type[PreTrainedModel], length: int) -> int:
    """Forward operations of the head of an example."""
    if kind is BertForSequenceClassification:
        return 2 * WIDTH * WIDTH + 2 * WIDTH * 2
    if kind is BertForQuestionAnswering:
        return 2 * length * WIDTH * 2
    return 2 * length * (WIDTH * WIDTH + WIDTH * 50)


@by_class
@by_size
@pytest.mark.parametrize("parts", [("heads",), ("neurons",), ("heads", "neurons")])
@pytest.mark.parametrize("frozen", [True, False])
def test_trained_gates_cost_what_torch_computes(
    kind: type[PreTrainedModel],
    sizes: tuple[list[int], list[int]],
    parts: Sequence[str],
    frozen: bool,
) -> None:
    model, rows, length = network(kind, sizes), 2, 9
    counts = profile(model).flops
    gates = Gates(parts, learning_rate=0.1, drop_rate=0.1, frozen=frozen, profile=counts)
    gates.attach(model)
    model.train()
    gates.change_batch({"input_ids": tokens(rows, length)}, BatchPlace(0, 0, 0, 0))
    with FlopCounterMode(display=False) as counter:
        loss_of(model, tokens(rows, length)).backward()  # type: ignore[no-untyped-call]
    measured = counter.get_total_flops()
    booked = rows * counts.training(length) + gates.extra_flops(rows, length)
    assert booked == pytest.approx(measured, rel=1e-9)
    gates.detach(model)


def test_zeros_are_counted_neither_forward_nor_backward() -> None:
    model = network(BertForQuestionAnswering, SIZES["whole"])
    counts, length = profile(model).flops, 9
    whole, half, empty = (gate_pass_flops(model, counts, length, d) for d in (1.0, 0.5, 0.0))
    head = 2 * 2 * length * WIDTH * 2
    attention = (3 * LAYERS - 2) * 4 * length**2 * WIDTH
    assert empty == head + attention
    assert whole - half == pytest.approx(half - empty)
