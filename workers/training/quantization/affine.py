"""Affine quantization, r = S (q - Z): scales, zero points, rounding, and its gradient.

Source: Jacob et al. 2018, Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference, equation 1, doi:10.1109/CVPR.2018.00286; Zafrir et al. 2019,
Q8BERT, equations 1 and 2, arXiv:1910.06188.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch.nn import functional

SMALLEST_SCALE = torch.finfo(torch.float32).eps
"""Smallest S of an asymmetric range, as in torch's observers: S of a range of width 0."""


AT_ONCE = 2**15
"""Weights that are rounded at a time on a CPU."""


def largest_integer(bits: int) -> int:
    """The largest integer of ``bits`` signed bits, 2^(bits - 1) - 1; the smallest is its negative.

    Raises:
        ValueError: There is no such integer above 0.
    """
    if not 2 <= bits <= 8:
        raise ValueError(f"symmetric integers have 2 to 8 bits (got {bits})")
    return int(2 ** (bits - 1) - 1)


def symmetric_scale(largest: torch.Tensor, bits: int) -> torch.Tensor:
    """S = max|r| / (2^(bits - 1) - 1), with Z = 0; 1 where all values are zero.

    Args:
        largest: max|r| of each group of values, any shape.
        bits: Bits of an integer.

    Source: Zafrir et al. 2019, Q8BERT, equation 2, arXiv:1910.06188.
    """
    scale = largest / largest_integer(bits)
    return torch.where(scale > 0, scale, torch.ones_like(scale))


def round_symmetric(values: torch.Tensor, scale: torch.Tensor, bits: int) -> torch.Tensor:
    """q = clamp(round(r / S), -M, M) with M = 2^(bits - 1) - 1; ties round to even.

    Args:
        values: r, any shape.
        scale: S, of a shape that broadcasts to that of ``values``.
        bits: Bits of an integer.

    Returns:
        Integers in the type of ``values``. Zero stays zero.

    Source: Zafrir et al. 2019, Q8BERT, equation 1, arXiv:1910.06188.
    """
    limit = largest_integer(bits)
    return (values / scale).round_().clamp_(-limit, limit)


def asymmetric_parameters(
    lowest: torch.Tensor, highest: torch.Tensor, smallest_q: int, largest_q: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """S = (max - min) / (q_max - q_min) and Z = round(q_min - min / S), of a range with 0.

    The range is widened to include 0, which Z then represents exactly. A range of width 0 has
    the smallest scale that torch's observers use.

    Args:
        lowest: Smallest values, any shape.
        highest: Largest values, of the same shape.
        smallest_q: q_min, such as 0 or -128.
        largest_q: q_max, such as 255 or 127.

    Returns:
        S and Z, of the same shape; Z in the type of S.

    Source: Jacob et al. 2018, section 2.1, doi:10.1109/CVPR.2018.00286.
    """
    low, high = lowest.clamp(max=0), highest.clamp(min=0)
    scale = ((high - low) / (largest_q - smallest_q)).clamp(min=SMALLEST_SCALE)
    zero_point = torch.round(smallest_q - low / scale).clamp(smallest_q, largest_q)
    return scale, zero_point


def round_asymmetric(
    values: torch.Tensor,
    scale: torch.Tensor | float,
    zero_point: torch.Tensor | float,
    smallest_q: int,
    largest_q: int,
) -> torch.Tensor:
    """q = clamp(round(r / S) + Z, q_min, q_max), integers in the type of ``values``.

    Source: Jacob et al. 2018, equation 1, doi:10.1109/CVPR.2018.00286.
    """
    return (values / scale).round_().add_(zero_point).clamp_(smallest_q, largest_q)


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, quantized: torch.Tensor) -> torch.Tensor:
        ctx.dtype = values.dtype
        return quantized

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient.to(ctx.dtype), None


def straight_through(values: torch.Tensor, quantized: torch.Tensor) -> torch.Tensor:
    """``quantized`` in the forward pass, the gradient of ``values`` in the backward pass.

    Clipped values get their gradient too, as in the code of Q8BERT.

    Source: Bengio, Leonard, Courville 2013, section 4, arXiv:1308.3432.
    """
    return cast(torch.Tensor, _StraightThrough.apply(values, quantized))  # type: ignore[no-untyped-call]


def largest_magnitude(values: torch.Tensor) -> torch.Tensor:
    """max|r| in one pass, without a copy of the values.

    Args:
        values: Any shape.
    """
    low, high = torch.aminmax(values)
    return torch.maximum(high, -low)


def fake_symmetric(values: torch.Tensor, scale: torch.Tensor, bits: int) -> torch.Tensor:
    """S x q of the values, with the straight-through gradient.

    Values of 16 bits become fp32: 8 bits of precision would be rounded twice.
    """
    limit = largest_integer(bits)
    quotients = _quotients(values.detach(), scale)
    return straight_through(values, quotients.round_().clamp_(-limit, limit).mul_(scale))


def fake_asymmetric(
    values: torch.Tensor,
    scale: torch.Tensor,
    zero_point: torch.Tensor,
    smallest_q: int,
    largest_q: int,
) -> torch.Tensor:
    """S (q - Z) of the values, with the straight-through gradient; 16 bits become fp32."""
    integers = _quotients(values.detach(), scale).round_().add_(zero_point)
    integers.clamp_(smallest_q, largest_q).sub_(zero_point)
    return straight_through(values, integers.mul_(scale))


def _quotients(values: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """r / S, a new tensor of at least fp32."""
    if values.element_size() < 4:
        return values.float().div_(scale)
    return values / scale


@dataclass(frozen=True)
class ActivationRange:
    """Scale and zero point of a layer's input or output: r = scale * (q - zero_point).

    Attributes:
        scale: S.
        zero_point: Z.
        smallest: Smallest q.
        largest: Largest q.
    """

    scale: float
    zero_point: int = 0
    smallest: int = -127
    largest: int = 127

    def rounded(self, values: torch.Tensor) -> torch.Tensor:
        """S (q - Z) of the values."""
        integers = round_asymmetric(
            values, self.scale, self.zero_point, self.smallest, self.largest
        )
        return (integers - self.zero_point) * self.scale

    @classmethod
    def symmetric(cls, largest: float, bits: int = 8) -> ActivationRange:
        """The range from -``largest`` to ``largest`` with Z = 0."""
        limit = largest_integer(bits)
        scale = symmetric_scale(torch.tensor(largest, dtype=torch.float64), bits)
        return cls(float(scale), 0, -limit, limit)

    @classmethod
    def asymmetric(cls, lowest: float, highest: float) -> ActivationRange:
        """The range from ``lowest`` to ``highest``, widened to include 0, in 0 to 255."""
        ends = torch.tensor([lowest, highest], dtype=torch.float64)
        scale, zero_point = asymmetric_parameters(ends[0], ends[1], 0, 255)
        return cls(float(scale), int(zero_point), 0, 255)


@dataclass(frozen=True)
class Blocks:
    """Blocks of a matrix ``[rows, columns]`` that have one scale each.

    Rows are divided into ``row_groups`` groups of neighbors (row r is in group
    r * row_groups // rows), and each row into blocks of ``column_size`` columns, of which the last
    one may be narrower. Scales are ``[row_groups, column_blocks]``.

    Attributes:
        row_groups: Number of groups of rows, or None for one per row.
        column_size: Columns of a block, or None for all.

    Source: Shen et al. 2020, Q-BERT, section 3.2, arXiv:1909.05840.
    """

    row_groups: int | None = None
    column_size: int | None = None

    def require(self, rows: int) -> None:
        """Check that a matrix has enough rows.

        Raises:
            ValueError: A group would have no row.
        """
        if self.row_groups is not None and not 1 <= self.row_groups <= rows:
            raise ValueError(f"{self.row_groups} groups for {rows} rows")

    def shape(self, rows: int, columns: int) -> tuple[int, int]:
        """Shape of the scales of a matrix."""
        size = columns if self.column_size is None else self.column_size
        return rows if self.row_groups is None else self.row_groups, -(-columns // size)

    def largest(self, weight: torch.Tensor) -> torch.Tensor:
        """max|r| of each block of ``[rows, columns]``, as ``[row_groups, column_blocks]``.

        Raises:
            ValueError: A group would have no row.
        """
        rows, columns = weight.shape
        self.require(rows)
        groups, blocks = self.shape(rows, columns)
        size = columns if self.column_size is None else self.column_size
        if (groups, blocks) == (1, 1):
            return largest_magnitude(weight).reshape(1, 1)
        padded = weight
        if blocks * size > columns:
            padded = functional.pad(padded, (0, blocks * size - columns))
        padded = padded.reshape(rows, blocks, size)
        by_row = torch.maximum(padded.amax(dim=-1), -padded.amin(dim=-1))
        if rows % groups == 0:
            return by_row.reshape(groups, rows // groups, blocks).amax(dim=1)
        sizes = torch.bincount(torch.arange(rows) * groups // rows).tolist()
        return torch.stack([group.amax(dim=0) for group in torch.split(by_row, sizes)])

    def spread(self, scale: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
        """The scale of each weight, from those of the blocks: ``[rows, columns]`` or ``[rows, 1]``.

        Args:
            scale: ``[row_groups, column_blocks]``.
            rows: Rows of the matrix.
            columns: Columns of the matrix.
        """
        if len(scale) != rows:
            index = torch.arange(rows, device=scale.device) * len(scale) // rows
            scale = scale[index]
        if scale.shape[1] == 1:
            return scale
        assert self.column_size is not None
        return scale.repeat_interleave(self.column_size, dim=1)[:, :columns]


def quantize_blocks(
    weight: torch.Tensor, blocks: Blocks, bits: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Symmetric integers of a matrix with one scale for each block.

    Args:
        weight: ``[rows, columns]``.
        blocks: The blocks.
        bits: Bits of an integer, 2 to 8.

    Returns:
        Integers in the type of ``weight`` ``[rows, columns]``, scales
        ``[row_groups, column_blocks]``.

    Raises:
        ValueError: There are more groups than rows, or the number of bits is not 2 to 8.

    Source: Shen et al. 2020, Q-BERT, section 3.2, arXiv:1909.05840.
    """
    scale = symmetric_scale(blocks.largest(weight), bits)
    return round_symmetric(weight, blocks.spread(scale, *weight.shape), bits), scale


def fake_blocks(
    weight: torch.Tensor, blocks: Blocks, bits: int, dtype: torch.dtype | None = None
) -> torch.Tensor:
    """The quantized weights as real numbers, with the straight-through gradient.

    Args:
        weight: ``[rows, columns]``.
        blocks: The blocks.
        bits: Bits of an integer.
        dtype: Type of the result; default: that of the weights.
    """
    plain = weight.detach()
    rows, columns = plain.shape
    scales = blocks.spread(symmetric_scale(blocks.largest(plain), bits), rows, columns)
    rounded = torch.empty_like(plain, dtype=dtype)
    # On a CPU, some rows at a time stay in the cache.
    some = max(1, AT_ONCE // columns) if plain.device.type == "cpu" else rows
    for part, values, scale in zip(
        *(torch.split(m, some) for m in (rounded, plain, scales)), strict=True
    ):
        # The largest weight of a block is the largest integer: nothing is to be clamped.
        part.copy_((values / scale).round_().mul_(scale))
    return straight_through(weight, rounded)
