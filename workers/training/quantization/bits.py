"""Integers of a few bits, packed without gaps."""

from __future__ import annotations

import torch


def packed_size(count: int, bits: int) -> int:
    """Bytes of ``count`` packed integers."""
    return (count * bits + 7) // 8


def pack(values: torch.Tensor, bits: int) -> torch.Tensor:
    """Pack integers from 0 to 2^bits - 1, lowest bits first.

    Args:
        values: uint8, any shape.
        bits: Bits of an integer, 1 to 8.

    Returns:
        uint8 ``[ceil(values * bits / 8)]``.
    """
    flat = values.reshape(-1)
    if bits == 8:
        return flat.clone()
    places = torch.arange(bits, dtype=torch.uint8, device=values.device)
    ones = ((flat[:, None] >> places) & 1).reshape(-1)
    size = packed_size(len(flat), bits)
    padded = torch.zeros(size * 8, dtype=torch.uint8, device=values.device)
    padded[: len(ones)] = ones
    of_byte = torch.arange(8, dtype=torch.uint8, device=values.device)
    return (padded.reshape(size, 8) << of_byte).sum(dim=1, dtype=torch.uint8)


def unpack(packed: torch.Tensor, bits: int, count: int) -> torch.Tensor:
    """The ``count`` integers that ``pack`` packed, as uint8 ``[count]``.

    Raises:
        ValueError: The number of bytes does not fit the count.
    """
    if len(packed) != packed_size(count, bits):
        raise ValueError(f"{len(packed)} bytes do not hold {count} integers of {bits} bits")
    if bits == 8:
        return packed.clone()
    of_byte = torch.arange(8, dtype=torch.uint8, device=packed.device)
    ones = ((packed[:, None] >> of_byte) & 1).reshape(-1)[: count * bits]
    places = torch.arange(bits, dtype=torch.uint8, device=packed.device)
    return (ones.reshape(count, bits) << places).sum(dim=1, dtype=torch.uint8)
