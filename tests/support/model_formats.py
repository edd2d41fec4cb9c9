"""A tiny encoder in every format of models."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    PreTrainedModel,
)

from workers.methods.albert import apply_embedding_factors
from workers.methods.codebook import cluster_matrix
from workers.methods.int8 import apply_int8
from workers.methods.int8_static import apply_int8_static
from workers.training.formats import integers
from workers.training.formats.codebook import to_codebook
from workers.training.formats.exits import Exits, add_exits, exits_of
from workers.training.formats.half import to_half
from workers.training.formats.low_rank import factorize
from workers.training.formats.shared import share_layers
from workers.training.formats.sliced import slice_layer
from workers.training.formats.sparse import prunable
from workers.training.quantization.affine import ActivationRange, Blocks

LAYERS, HIDDEN, HEADS, INNER, CLASSES = 4, 32, 4, 48, 3

CONFIG = BertConfig(
    vocab_size=100,
    hidden_size=HIDDEN,
    num_hidden_layers=LAYERS,
    num_attention_heads=HEADS,
    intermediate_size=INNER,
    max_position_embeddings=80,
    num_labels=CLASSES,  # type: ignore[call-arg]
)

IDS = torch.randint(1, 100, (5, 12), generator=torch.Generator().manual_seed(0))

MASK = (torch.arange(IDS.shape[1]) < torch.tensor([12, 3, 7, 12, 5]).unsqueeze(1)).long()


def network() -> PreTrainedModel:
    torch.manual_seed(0)
    model = BertForSequenceClassification(copy.deepcopy(CONFIG))
    model.train(False)
    return model


def sliced(model: PreTrainedModel) -> None:
    slice_layer(model, 0, [1, 3], range(10))
    slice_layer(model, 2, range(HEADS), [5, 7, 40])


def low_rank(model: PreTrainedModel) -> None:
    torch.manual_seed(1)
    for name in ("bert.encoder.layer.1.intermediate.dense", "bert.encoder.layer.3.output.dense"):
        linear = model.get_submodule(name)
        assert isinstance(linear, nn.Linear)
        first, second = torch.randn(6, linear.in_features), torch.randn(linear.out_features, 6)
        factorize(model, name, first / 10, second / 10)


def shared(model: PreTrainedModel) -> None:
    share_layers(model, [0, 0, 1, 1])


def narrow(model: PreTrainedModel) -> None:
    apply_embedding_factors(model, 8)


def with_exits(model: PreTrainedModel) -> None:
    torch.manual_seed(2)
    add_exits(model, [0, 2, 3]).train(model.training)


def eight_bit(model: PreTrainedModel) -> None:
    apply_int8(model, embeddings=True)


def eight_bit_static(model: PreTrainedModel) -> None:
    apply_int8_static(model, dict.fromkeys(integers.linears(model), (-2.0, 3.0)), embeddings=True)


def few_bits(model: PreTrainedModel) -> None:
    for number, name in enumerate(integers.linears(model)):
        blocks = Blocks(column_size=10) if number % 2 else Blocks(row_groups=3)
        inputs = ActivationRange(0.05, 3, -128, 127) if number % 3 == 0 else None
        integers.to_integers(model, name, integers.Plan(2 + number % 7, blocks, inputs))
    for name in integers.embeddings(model):
        integers.to_integers(model, name, integers.Plan(4, Blocks(column_size=16)))


def with_codebook(model: PreTrainedModel) -> None:
    for name in integers.linears(model) + integers.embeddings(model):
        weight = model.get_submodule(name).weight
        assert isinstance(weight, torch.Tensor)
        to_codebook(model, name, *cluster_matrix(weight.detach(), 3), weight.detach() != 0)


def half(model: PreTrainedModel) -> None:
    to_half(model, "bf16")


def pruned(model: PreTrainedModel) -> None:
    for module in prunable(model).values():
        nn.init.zeros_(module.weight[::2])


MAKERS: dict[str, Callable[[PreTrainedModel], None]] = {
    "plain": lambda model: None,
    "sparse": pruned,
    "sliced": sliced,
    "low_rank": low_rank,
    "shared": shared,
    "factorized_embedding": narrow,
    "exits": with_exits,
    "int8": eight_bit,
    "int8 static": eight_bit_static,
    "integers": few_bits,
    "codebook": with_codebook,
    "half": half,
}


def made(names: tuple[str, ...]) -> PreTrainedModel:
    model = network()
    for name in names:
        MAKERS[name](model)
    return model


def answers(model: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = model(input_ids=IDS).logits
    return logits


def exiting(model: PreTrainedModel, threshold: float | None) -> Exits:
    exits = exits_of(model)
    assert exits is not None
    exits.threshold = threshold
    return exits
