"""Number of tokens that a model has positions for, read from its position tables."""

from __future__ import annotations

import re

import torch
from torch import nn

_TABLE = re.compile(r"(?:.*_)?(?:position|positions|pos)_?(?:embed\w*|emb\w*)|wpe|embed_positions")
_RELATIVE = re.compile(r"rel|distance|bias")
_ROTARY = ("rope_theta", "rope_parameters", "rope_scaling", "rotary_pct", "rotary_dim")


def position_limit(model: nn.Module) -> int | None:
    """Maximum number of tokens for a model; None where positions are relative.

    A table of absolute positions has a row for each position, after some unused rows: RoBERTa
    and similar models start after the row of the padding, BART and OPT at an offset. Other tables
    have more rows than positions; they end at the number in the configuration, and so do rotary
    positions, which have no table.
    """
    limits = [
        limit
        for name, module in model.named_modules()
        if (limit := _limit_of(name, module)) is not None
    ]
    config = getattr(model, "config", None)
    if limits or any(getattr(config, name, None) is not None for name in _ROTARY):
        configured = getattr(config, "max_position_embeddings", None)
        limits += [int(configured)] if configured else []
    return min(limits, default=None)


def _limit_of(name: str, module: nn.Module) -> int | None:
    """Number of positions of a module that is or has a table of absolute ones, else None."""
    fixed = getattr(module, "pos_encoding", None)  # CTRL has sines, not an embedding
    if isinstance(fixed, torch.Tensor):
        return int(fixed.shape[0])
    leaf = name.rpartition(".")[2]
    weight = getattr(module, "weight", None)
    if not _TABLE.fullmatch(leaf) or _RELATIVE.search(leaf) or getattr(weight, "ndim", 0) != 2:
        return None
    assert weight is not None
    offset = getattr(module, "offset", None)
    padding = getattr(module, "padding_idx", None)
    if isinstance(offset, int):
        return int(weight.shape[0]) - offset
    return int(weight.shape[0]) - (0 if padding is None else int(padding) + 1)
