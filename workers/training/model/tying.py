"""Input and output embeddings of a language model: one matrix or two.

transformers builds and loads a model with one matrix or with two as its configuration says
(``tie_word_embeddings``), so that such a model needs no format of its own.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import nn
from transformers import PreTrainedModel


def tables(model: PreTrainedModel) -> tuple[nn.Embedding, nn.Linear]:
    """The embedding table and the output matrix of a language model, of the same shape.

    Raises:
        ValueError: The model has no such matrices, or they cannot be one.
    """
    kind = model.config.model_type
    table: Any = model.get_input_embeddings()
    output: Any = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    if not isinstance(output, nn.Linear):
        raise ValueError(f"the {kind} model has no head that predicts tokens")
    if not isinstance(table, nn.Embedding):
        raise ValueError(f"the embedding table is a {type(table).__name__}")
    if table.weight.shape != output.weight.shape or not _pairs(model):
        raise ValueError(
            f"the output matrix of a {kind} model is {list(output.weight.shape)} and its table of "
            f"tokens {list(table.weight.shape)}: they cannot be one matrix"
        )
    return table, output


def are_tied(model: PreTrainedModel) -> bool:
    """Whether a language model's input and output embeddings are one matrix.

    Raises:
        ValueError: See ``tables``.
    """
    table, output = tables(model)
    return table.weight is output.weight


def tie(model: PreTrainedModel, start: Literal["output", "input", "mean"]) -> None:
    """Make the input and output embeddings one matrix, in place.

    Args:
        model: A language model with two matrices.
        start: The matrix whose values it gets, or the mean of both.

    Raises:
        ValueError: See ``tables``.

    Source: Press, Wolf 2017, section 3, doi:10.18653/v1/E17-2025.
    """
    table, output = tables(model)
    with torch.no_grad():
        if start == "output":
            table.weight.copy_(output.weight)
        elif start == "mean":
            table.weight.copy_((table.weight + output.weight) / 2)
        for of_output, shared in _pairs(model):
            if model.get_parameter(of_output) is not output.weight:  # the bias that is computed
                model.get_parameter(shared).copy_(model.get_parameter(of_output))
    model.config.tie_word_embeddings = True
    model.tie_weights()
    model.all_tied_weights_keys = model.get_expanded_tied_weights_keys(all_submodels=True)


def untie(model: PreTrainedModel) -> None:
    """Give the output of a language model its own matrix, a copy of the table, in place.

    Args:
        model: A language model with one matrix.

    Raises:
        ValueError: See ``tables``.
    """
    tables(model)
    for of_output, _ in _pairs(model):
        module, _, name = of_output.rpartition(".")
        own = nn.Parameter(model.get_parameter(of_output).detach().clone())
        setattr(model.get_submodule(module), name, own)
    model.config.tie_word_embeddings = False
    model.all_tied_weights_keys = {}
    freeze_unread(model)


def freeze_unread(model: PreTrainedModel) -> None:
    """Freeze biases that an untied model stores and does not compute with, in place.

    Training on several processes expects a gradient of every parameter that is not frozen.
    """
    if getattr(model.config, "tie_word_embeddings", True):
        return
    for of_output, shared in _pairs(model):
        if shared.endswith("bias") and model.get_parameter(of_output) is not model.get_parameter(
            shared
        ):
            model.get_parameter(shared).requires_grad_(False)


def _pairs(model: PreTrainedModel) -> list[tuple[str, str]]:
    """Names of the output's parameters that, in a tied model, belong to other modules."""
    names = dict(model.named_parameters(remove_duplicate=False))
    mapping: Any = getattr(model, "_tied_weights_keys", None)
    listed = mapping.items() if isinstance(mapping, dict) else ()
    return [(first, second) for first, second in listed if first in names and second in names]
