"""Layers that share their weights, and a factorized embedding.

Source: Lan et al. 2020, ALBERT: A Lite BERT, section 3.1, arXiv:1909.11942.
"""

from __future__ import annotations

from typing import Literal

import torch
from transformers import PreTrainedModel

from workers.training.factors.svd import factors
from workers.training.formats.factorized_embedding import put_factors, word_embedding
from workers.training.formats.shared import share_layers
from workers.training.model.recording import encoder_layers


def groups_of_layers(layers: int, groups: int) -> list[int]:
    """The group of each layer: int(l / L * groups), so that neighbors share.

    Args:
        layers: L, number of layers.
        groups: Number of groups.

    Raises:
        ValueError: There are more groups than layers.

    Source: the authors' code, ``modeling.py`` of google-research/albert.
    """
    if not 1 <= groups <= layers:
        raise ValueError(f"{layers} layers can be in 1 to {layers} groups (got {groups})")
    return [layer * groups // layers for layer in range(layers)]


def apply_sharing(model: PreTrainedModel, groups: int, start: Literal["first", "mean"]) -> None:
    """Let the layers of each group share their weights, in place.

    Args:
        model: The model, changed in place.
        groups: Number of groups.
        start: Whether the shared layer is the first of its group or the mean of all.

    Raises:
        ValueError: There are more groups than layers.
    """
    layers = list(encoder_layers(model))
    group_by_layer = groups_of_layers(len(layers), groups)
    if start == "mean":
        for group in range(groups):
            members = [
                layer for layer, of in zip(layers, group_by_layer, strict=True) if of == group
            ]
            with torch.no_grad():
                for parts in zip(*(layer.parameters() for layer in members), strict=True):
                    parts[0].copy_(torch.stack(list(parts)).mean(0))
    share_layers(model, group_by_layer)


def apply_embedding_factors(model: PreTrainedModel, size: int) -> float:
    """Replace the embedding table by its closest factors of a width, in place.

    Args:
        model: The model, changed in place.
        size: E, width of the narrow table.

    Returns:
        Share of the table's sum of squares that the factors keep.

    Raises:
        ValueError: The model has no embedding table, or a factorized one.
    """
    weight = word_embedding(model)[1].weight.detach()
    first, second = factors(weight.cpu().float(), size)
    embedding = put_factors(model, size)
    with torch.no_grad():
        embedding.table.weight.copy_(second)
        embedding.project.weight.copy_(first.T)
    return float((second @ first).double().square().sum() / weight.double().square().sum())


def apply_albert(
    model: PreTrainedModel, groups: int | None, size: int | None, start: Literal["first", "mean"]
) -> dict[str, float]:
    """Share layers and factorize the embedding of a model, in place; returns facts for its card.

    Args:
        model: The model, changed in place.
        groups: Number of groups; None: layers do not share.
        size: E, width of the embedding table; None keeps it whole.
        start: See ``apply_sharing``.
    """
    facts: dict[str, float] = {"parameters_before": model.num_parameters()}
    if groups is not None:
        apply_sharing(model, groups, start)
    if size is not None:
        facts["embedding_energy_kept"] = apply_embedding_factors(model, size)
    return {**facts, "parameters": model.num_parameters()}
