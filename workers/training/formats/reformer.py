"""Reformer attention: layers whose tokens attend within buckets of a hash."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from workers.training.architectures.lsh import lsh_attention
from workers.training.architectures.masks import tokens_of
from workers.training.cost.flops import FlopProfile
from workers.training.formats.base import Format, Note, StoredTensor, require_format


class LshSelfAttention(nn.Module):
    """The self-attention of a BERT layer with shared queries and keys, and hashed buckets.

    The rotations of the hash are drawn once and stored with the model, so that an evaluation
    gives the same figures each time.

    Args:
        own: The layer's self-attention, whose queries and values are taken over.
        options: Rounds, buckets and tokens of a chunk.

    Source: Kitaev, Kaiser, Levskaya 2020, Reformer, section 2, arXiv:2001.04451.
    """

    rotations: torch.Tensor

    def __init__(self, own: Any, options: Note) -> None:
        super().__init__()
        self.query, self.value, self.dropout = own.query, own.value, own.dropout
        self.heads, self.head_size = own.num_attention_heads, own.attention_head_size
        self.options = options
        shape = self.heads, options["rounds"], self.head_size, options["buckets"] // 2
        device = own.query.weight.device
        self.register_buffer("rotations", torch.randn(shape, device=device))

    def forward(
        self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None, **others: Any
    ) -> tuple[torch.Tensor, None]:
        """States ``[batch, seq, hidden]`` -> mixed values of the same shape."""
        shared, value = (
            layer(hidden_states).unflatten(-1, (self.heads, self.head_size)).transpose(1, 2)
            for layer in (self.query, self.value)
        )
        dropout = self.dropout.p if self.training else 0.0
        tokens = tokens_of(attention_mask)
        mixed = lsh_attention(shared, value, self.rotations, self.options["chunk"], tokens, dropout)
        return mixed.transpose(1, 2).flatten(2), None

    def flops_per_chunk(self) -> int:
        """Operations of hashing, of queries with keys and of weights with values, forward."""
        chunk, rounds = self.options["chunk"], self.options["rounds"]
        return int(8 * chunk**2 * self.head_size * self.heads * rounds) + self.flops_of_hashing()

    def flops_of_hashing(self) -> int:
        """Multiplications by the rotations, forward, for each chunk."""
        return int(2 * self.rotations.numel() * self.options["chunk"])


def layers_of(model: nn.Module) -> list[LshSelfAttention]:
    """The attention of a model's layers that is of this kind."""
    return [module for module in model.modules() if isinstance(module, LshSelfAttention)]


class Reformer(Format):
    """A model whose layers attend within buckets of a hash."""

    name = "reformer"
    note_file = "reformer.json"
    order = 11
    in_encoder = True

    def describe(self, model: PreTrainedModel) -> Note | None:
        """See ``Format.describe``: rounds, buckets and tokens of a chunk."""
        layers = layers_of(model)
        return dict(layers[0].options) if layers else None

    def rebuild(self, model: PreTrainedModel, note: Note) -> None:
        """See ``Format.rebuild``."""
        require_format(note, 1, self.note_file)
        base: Any = model.base_model
        for layer in dict.fromkeys(base.encoder.layer):
            layer.attention.self = LshSelfAttention(layer.attention.self, note)

    def stored_tensors(self, module: nn.Module) -> Sequence[StoredTensor]:
        """See ``Format.stored_tensors``: the rotations are bytes, not parameters."""
        if not isinstance(module, LshSelfAttention):
            return ()
        return [StoredTensor(module.rotations, is_weight=False)]

    def chunked_flops(self, model: PreTrainedModel, layers: int | None = None) -> tuple[int, int]:
        """See ``Format.chunked_flops``."""
        counted = layers_of(model)[:layers]
        return counted[0].options["chunk"], sum(layer.flops_per_chunk() for layer in counted)

    def further_flops(
        self,
        model: PreTrainedModel,
        note: Note,
        profile: FlopProfile,
        width: int,
        density: float = 1.0,
    ) -> float:
        """See ``Format.further_flops``: buckets have no gradient."""
        chunks = -(-width // note["chunk"])
        return float(-2 * chunks * sum(layer.flops_of_hashing() for layer in layers_of(model)))


FORMAT = Reformer()
