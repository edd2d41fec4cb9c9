"""The tokens of a batch that are not padding, from the mask of an attention."""

from __future__ import annotations

import torch


def tokens_of(attention_mask: torch.Tensor | None) -> torch.Tensor | None:
    """True for tokens, False for padding ``[batch, seq]``; None if there is no padding.

    Args:
        attention_mask: 1 and 0 ``[batch, seq]``, or of each pair of tokens
            ``[batch, 1, seq, seq]``: true and false, or 0 and a large negative number.
    """
    if attention_mask is None:
        return None
    if attention_mask.dim() == 2:
        return attention_mask > 0
    row = attention_mask[:, 0, 0]  # every token attends to the same tokens
    return row if row.dtype == torch.bool else row > -1
