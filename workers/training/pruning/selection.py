"""The matrices of a model that a mask may cover: those of the layers, and others if requested."""

from __future__ import annotations

import re
from typing import cast

import torch
from torch import nn
from transformers import PreTrainedModel

from workers.training.formats.factorized_embedding import FactorizedEmbedding
from workers.training.formats.sparse import Matrix, prunable

PRUNED_FROM = 0.05
"""Share of zeros from which embeddings or pooler count as pruned; padding is one row of zeros."""

_POOLER = re.compile(r"(^|\.)pooler\.dense$")


def with_others(
    model: nn.Module, *, embeddings: bool = True, pooler: bool = True
) -> dict[str, Matrix]:
    """The matrices of the layers, the word embeddings and the pooler, by name.

    Args:
        model: A model with an encoder.
        embeddings: Whether the word embeddings are among them, both factors of a factorized table;
            an output layer may share them.
        pooler: Whether the pooler is among them, if the model has one.
    """
    others: dict[str, Matrix] = {}
    table = model.get_input_embeddings() if isinstance(model, PreTrainedModel) else None
    for name, module in model.named_modules():
        if pooler and isinstance(module, nn.Linear) and _POOLER.search(name):
            others[name] = module
        elif embeddings and module is table and isinstance(table, FactorizedEmbedding):
            others[f"{name}.table"] = cast(Matrix, table.table)
            others[f"{name}.project"] = table.project
        elif embeddings and module is table:
            # A table of weights is masked as a matrix is.
            others[name] = cast(Matrix, module)
    return {**prunable(model), **others}


def with_pruned_others(model: nn.Module) -> dict[str, Matrix]:
    """The matrices of the layers, and word embeddings and pooler if they were pruned."""
    own = prunable(model)
    return {
        name: matrix
        for name, matrix in with_others(model).items()
        if name in own or _zeros(matrix) >= PRUNED_FROM
    }


def _zeros(matrix: Matrix) -> float:
    return 1 - int(torch.count_nonzero(matrix.weight)) / max(matrix.weight.numel(), 1)
