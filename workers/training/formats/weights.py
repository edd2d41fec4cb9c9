"""Weights of a model of any format: their number, the number of nonzero ones, and their bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from workers.training.formats import registry
from workers.training.formats.base import StoredTensor
from workers.training.formats.sparse import Matrix, is_in_layer
from workers.training.quantization.bits import packed_size


@dataclass(frozen=True)
class Weights:
    """Parameters and their bytes.

    Attributes:
        parameters: Number of parameters; shared ones count once.
        non_zero: Parameters that are not zero.
        dense_bytes: Bytes of all tensors.
        packed_bytes: Bytes without the zeros: a bit for each place, and the values.
        encoder_parameters: Weights of the matrices in the encoder's layers.
        encoder_non_zero: The part of those that is not zero.
    """

    parameters: int
    non_zero: int
    dense_bytes: int
    packed_bytes: int
    encoder_parameters: int
    encoder_non_zero: int

    @property
    def density(self) -> float:
        """Share of the encoder's matrix weights that are not zero; 1 without such matrices."""
        return self.encoder_non_zero / self.encoder_parameters if self.encoder_parameters else 1.0


def count_weights(model: nn.Module) -> Weights:
    """Count weights, each tensor once; scales of 8-bit weights add bytes, not parameters."""
    parameters = non_zero = dense = packed = encoder = encoder_non_zero = 0
    for stored, in_encoder in _tensors(model):
        places = stored.tensor.numel()
        values = int(torch.count_nonzero(stored.tensor))
        size = packed_size(places, stored.bits_per_value)
        dense += size
        packed += min(size, packed_size(places, 1) + packed_size(values, stored.bits_per_value))
        if stored.is_weight:
            parameters += places
            non_zero += values
        if stored.is_matrix and in_encoder:
            encoder += places
            encoder_non_zero += values
    return Weights(parameters, non_zero, dense, packed, encoder, encoder_non_zero)


def _tensors(model: nn.Module) -> Iterator[tuple[StoredTensor, bool]]:
    """Every tensor of weights, and whether it is in one of the encoder's layers."""
    counted: set[int] = set()
    for name, module in model.named_modules():
        in_encoder = is_in_layer(name)
        for stored in registry.stored_tensors(module) or _plain(module, counted):
            yield stored, in_encoder


def _plain(module: nn.Module, counted: set[int]) -> Iterator[StoredTensor]:
    """A module's own parameters, except those that another module shares with it."""
    for name, parameter in module.named_parameters(recurse=False):
        if id(parameter) not in counted:
            counted.add(id(parameter))
            is_matrix = name == "weight" and isinstance(module, Matrix)
            yield StoredTensor(parameter.detach(), is_matrix=is_matrix)
