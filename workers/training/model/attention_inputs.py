"""The matrices of a layer that make queries, keys and values."""

from __future__ import annotations

from torch import nn

VALUES = frozenset({"value", "v_lin", "v_proj"})
INPUTS = VALUES | {"query", "key", "q_lin", "k_lin", "q_proj", "k_proj"}


def attention_inputs(layer: nn.Module) -> dict[str, nn.Linear]:
    """The matrices by the last part of their name; empty for a layer with one for all three."""
    return {
        leaf: module
        for name, module in layer.named_modules()
        if (leaf := name.rpartition(".")[2]) in INPUTS and isinstance(module, nn.Linear)
    }
