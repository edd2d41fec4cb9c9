"""Truncated singular value decomposition."""

from __future__ import annotations

import torch


def factors(weight: torch.Tensor, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The factors of the closest matrix of a rank: W ~ second @ first.

    W = U S V^T; first = S^(1/2) V^T and second = U S^(1/2) of the largest singular values, so that
    both have the same norm.

    Args:
        weight: W, ``[out, in]``.
        rank: Number of singular values that are kept.

    Returns:
        ``[rank, in]`` and ``[out, rank]``.

    Source: Eckart and Young 1936, doi:10.1007/BF02288367.
    """
    left, values, right = torch.linalg.svd(weight, full_matrices=False)
    root = values[:rank].sqrt()
    return root[:, None] * right[:rank], left[:, :rank] * root
