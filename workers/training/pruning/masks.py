"""Masks from scores: an exact count of the best entries, over all matrices or in each.

A score is a tensor in the shape of its matrix, higher is better. Ties are decided by position:
the entry that comes first stays. So equal scores give equal masks on every process.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

from workers.training.formats.sparse import Matrix

Scope = Literal["global", "per_matrix"]
Structure = Literal["unstructured", "2:4", "16x16"]
Scores = Mapping[str, torch.Tensor]
Masks = dict[str, torch.Tensor]
Scorer = Callable[[Mapping[str, Matrix]], Scores]
"""Scores of matrices by name, each in its weight's shape."""

SAMPLE = 16384
"""Size of the sample that bounds a place in the order of many values."""

_OF_NUMPY = (torch.float32, torch.float64)

BLOCK = 16
"""Rows and columns of a block in the structure ``16x16``."""


def pruned_count(count: int, sparsity: float) -> int:
    """How many of ``count`` entries are pruned: the nearest whole number."""
    return round(sparsity * count)


def kept_rounded_down(count: int, sparsity: float) -> int:
    """How many of ``count`` entries are pruned where the kept ones are rounded down.

    Source: Sanh et al. 2020, the authors' code (MagnitudeBinarizer); Huang et al. 2022, the
    authors' code of sparse progressive distillation.
    """
    return count - math.floor((1 - sparsity) * count + 1e-9)


def kept_to_nearest(count: int, sparsity: float) -> int:
    """How many of ``count`` entries are pruned where the kept ones are the nearest whole number.

    Source: Lee et al. 2019, the authors' code of SNIP.
    """
    return count - round((1 - sparsity) * count)


def keep_best(scores: Sequence[torch.Tensor], kept: int) -> list[torch.Tensor]:
    """Masks that keep exactly ``kept`` entries of all the scores together.

    Args:
        scores: Scores of any shapes; in ties, the earlier tensor and position stays.
        kept: Number of entries to keep.

    Returns:
        Boolean masks in the shapes of the scores.

    Raises:
        ValueError: ``kept`` is out of range, or a score is not a number.
    """
    parts = [score.detach().flatten() for score in scores]
    flat = parts[0] if len(parts) == 1 else torch.cat(parts)
    if not 0 <= kept <= len(flat):
        raise ValueError(f"kept must be from 0 to {len(flat)} (got {kept})")
    # A sum is a quick first check.
    if bool(torch.isnan(flat.sum())) and bool(torch.isnan(flat).any()):
        raise ValueError("scores must be numbers (got nan)")
    mask = torch.zeros(len(flat), dtype=torch.bool, device=flat.device)
    if kept > 0:
        threshold = _smallest(flat, len(flat) - kept + 1)
        mask = _at_least(flat, threshold)
        if count_kept(mask) > kept:  # some are tied
            mask = flat > threshold
            tied = (flat == threshold).nonzero().flatten()
            mask[tied[: kept - int(torch.count_nonzero(mask))]] = True
    split = torch.split(mask, [score.numel() for score in scores])
    return [part.view_as(score) for part, score in zip(split, scores, strict=True)]


def _smallest(values: torch.Tensor, number: int) -> float:
    """The value at a place of the ascending order, counted from 1."""
    if values.device.type == "cpu":  # several times faster there
        return float(selected(values.numpy(), number))
    return float(torch.kthvalue(values, number).values)


def _at_least(values: torch.Tensor, threshold: float) -> torch.Tensor:
    if values.device.type == "cpu":  # numpy compares three times faster there
        return torch.from_numpy(values.numpy() >= threshold)
    return values >= threshold


def count_kept(mask: torch.Tensor) -> int:
    """How many entries a mask keeps."""
    if mask.device.type == "cpu":  # three times faster there
        return int(np.count_nonzero(mask.numpy()))
    return int(torch.count_nonzero(mask))


def multiply_(values: torch.Tensor, mask: torch.Tensor, source: torch.Tensor | None = None) -> None:
    """Set the values outside a mask to zero, in place and without a gradient.

    Args:
        values: Any shape.
        mask: Boolean, in the same shape.
        source: Values that are taken in place of those there.
    """
    values = values.detach()
    source = values if source is None else source.detach()
    if values.device.type == "cpu" and values.dtype in _OF_NUMPY:
        # torch would first convert the whole mask to the type of the values: twice the time.
        np.multiply(source.numpy(), mask.numpy(), out=values.numpy())
    else:
        torch.mul(source, mask, out=values)


def selected(values: np.ndarray[Any, Any], number: int) -> Any:
    """The value at a place of the ascending order, without sorting all values.

    A sample bounds it, and only the values between the bounds are sorted; if these do not include
    it, all values are.

    Args:
        values: Numbers ``[n]``.
        number: The place, from 1 to n.

    Source: Floyd, Rivest 1975, Expected Time Bounds for Selection, doi:10.1145/360680.360691.
    """
    if len(values) >= 8 * SAMPLE:
        low, high = _bounds(values, number)
        from_low = values >= low
        place = number - (len(values) - int(np.count_nonzero(from_low)))
        from_low &= values <= high
        within = values[from_low]
        if 1 <= place <= len(within):
            return np.partition(within, place - 1)[place - 1]
    return np.partition(values, number - 1)[number - 1]


def _bounds(values: np.ndarray[Any, Any], number: int) -> tuple[Any, Any]:
    """Two values between which the one at a place lies, almost always."""
    # An odd step meets all columns of a matrix.
    sample = np.sort(values[:: (len(values) // SAMPLE) | 1])
    # At most half of the root is the standard deviation of the place.
    place, margin = number * len(sample) // len(values), 2 * math.isqrt(len(sample))
    low = sample[place - margin] if place >= margin else -math.inf
    high = sample[place + margin] if place + margin < len(sample) else math.inf
    return low, high


def entry_masks(
    scores: Scores,
    sparsity: float,
    scope: Scope,
    pruned: Callable[[int, float], int] = pruned_count,
) -> Masks:
    """Masks over single entries.

    Args:
        scores: Scores by matrix.
        sparsity: Share of the entries that is pruned.
        scope: One ranking of all matrices, or one of each.
        pruned: How many of N entries are pruned at a sparsity.
    """
    if not scores:
        return {}
    groups = [list(scores)] if scope == "global" else [[name] for name in scores]
    masks: Masks = {}
    for names in groups:
        members = [scores[name] for name in names]
        count = sum(member.numel() for member in members)
        kept_count = count - pruned(count, sparsity)
        masks |= zip(names, keep_best(members, kept_count), strict=True)
    return masks


def two_four_mask(score: torch.Tensor) -> torch.Tensor:
    """The mask that keeps the two best of every four neighboring columns.

    Args:
        score: Scores ``[rows, columns]`` of a matrix ``[out, in]``.

    Raises:
        ValueError: The number of columns is not a multiple of four.

    Source: Mishra et al. 2021, Accelerating Sparse Deep Neural Networks, section 3,
    arXiv:2104.08378.
    """
    rows, columns = score.shape
    if columns % 4:
        raise ValueError(f"2:4 needs a multiple of 4 columns (got {columns})")
    fours = score.detach().reshape(rows, columns // 4, 4)
    best = fours.sort(dim=-1, descending=True, stable=True).indices[..., :2]
    mask = torch.zeros_like(fours, dtype=torch.bool).scatter_(-1, best, True)
    return mask.reshape(rows, columns)


def block_norms(score: torch.Tensor, size: int = BLOCK) -> torch.Tensor:
    """Euclidean norm of each block ``[ceil(rows / size), ceil(columns / size)]``.

    The matrix is filled up with zeros to whole blocks: blocks at its edge have smaller norms.

    Source: Chen et al. 2021, E.T.: Re-Thinking Self-Attention for Transformer Models on GPUs,
    section 4, doi:10.1145/3458817.3476138.
    """
    rows, columns = score.shape
    padded = functional.pad(score, (0, -columns % size, 0, -rows % size))
    blocks = padded.reshape(padded.shape[0] // size, size, padded.shape[1] // size, size)
    # Its gradient at 0 is 0.
    norms: torch.Tensor = torch.linalg.vector_norm(blocks, dim=(1, 3))
    return norms


def spread_blocks(blocks: torch.Tensor, shape: tuple[int, int], size: int = BLOCK) -> torch.Tensor:
    """The value of each entry's block, in the shape of the matrix.

    Args:
        blocks: One value for each block.
        shape: Rows and columns of the matrix.
        size: Rows and columns of a block.
    """
    rows, columns = shape
    return blocks.repeat_interleave(size, 0).repeat_interleave(size, 1)[:rows, :columns]


def masks_of(
    scores: Scores,
    sparsity: float,
    scope: Scope,
    structure: Structure = "unstructured",
    pruned: Callable[[int, float], int] = pruned_count,
) -> Masks:
    """Masks of matrices ``[out, in]`` from their scores.

    Args:
        scores: Scores by matrix.
        sparsity: Share of the entries (or of the blocks) that is pruned; not used by 2:4.
        scope: One ranking of all matrices, or one of each; not used by 2:4.
        structure: Single entries, two of every four columns, or blocks; a block's score is the
            Euclidean norm of its entries' scores.
        pruned: How many of N entries (or blocks) are pruned at a sparsity.

    Raises:
        ValueError: The structure does not fit a matrix, or a score is not a number.
    """
    if structure == "2:4":
        return {name: two_four_mask(score) for name, score in scores.items()}
    if structure == "unstructured":
        return entry_masks(scores, sparsity, scope, pruned)
    norms = {name: block_norms(score) for name, score in scores.items()}
    block_masks = entry_masks(norms, sparsity, scope, pruned)
    return {
        name: spread_blocks(mask, (scores[name].shape[0], scores[name].shape[1]))
        for name, mask in block_masks.items()
    }


def choose(
    matrices: Mapping[str, Matrix],
    score: Scorer,
    sparsity: float,
    scope: Scope,
    structure: Structure = "unstructured",
    pruned: Callable[[int, float], int] = pruned_count,
) -> Masks:
    """Masks of a model's matrices, in the shapes of their weights.

    GPT-2 holds its matrices transposed, ``[in, out]``: columns and blocks are of ``[out, in]``.

    Args:
        matrices: Matrices by name.
        score: Scores them.
        sparsity: Share of their weights that is pruned; earlier zeros count.
        scope: One ranking of all matrices, or one of each.
        structure: Structure of the masks.
        pruned: How many of N entries (or blocks) are pruned at a sparsity.
    """
    turned = {name for name, matrix in matrices.items() if isinstance(matrix, Conv1D)}
    scores = {
        name: values.t() if name in turned else values for name, values in score(matrices).items()
    }
    masks = masks_of(scores, sparsity, scope, structure, pruned)
    return {name: mask.t() if name in turned else mask for name, mask in masks.items()}


def apply_masks(matrices: Mapping[str, Matrix], masks: Mapping[str, torch.Tensor]) -> None:
    """Set the weights outside the masks to zero, in place and permanently."""
    for name, mask in masks.items():
        multiply_(matrices[name].weight, mask)


def kept_share(masks: Sequence[torch.Tensor]) -> float:
    """Share of the entries that the masks keep; 1 without masks."""
    entries = sum(mask.numel() for mask in masks)
    kept_count = sum(count_kept(mask) for mask in masks)
    return kept_count / entries if entries else 1.0


def percentile_count(count: int, ratio: float) -> int:
    """How many of ``count`` different values are at or below their percentile ``100 * ratio``.

    The percentile interpolates between two values, and the value on it is pruned too.

    Source: Chen et al. 2021, the authors' code (numpy.percentile and a strict comparison).
    """
    if count == 0:
        return 0
    return min(math.floor(ratio * (count - 1) + 1e-9) + 1, count)
