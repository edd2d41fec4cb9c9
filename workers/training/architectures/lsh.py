"""Attention within buckets of a locality-sensitive hash.

Source: Kitaev, Kaiser, Levskaya 2020, Reformer: The Efficient Transformer, section 2,
arXiv:2001.04451.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

ITSELF = -1e5  # a token attends to itself only if it has no other target
HIDDEN = -1e9


def hash_buckets(vectors: torch.Tensor, rotations: torch.Tensor) -> torch.Tensor:
    """The bucket of each vector in each round: argmax([xR; -xR]).

    Args:
        vectors: x ``[batch, heads, seq, head_dim]``.
        rotations: R of each head and round ``[heads, rounds, head_dim, buckets / 2]``.

    Returns:
        ``[batch, heads, rounds, seq]``

    Source: Kitaev et al. 2020, section 2, "Locality sensitive hashing".
    """
    rotated = torch.matmul(vectors.unsqueeze(2), rotations.to(vectors.dtype))
    return torch.cat([rotated, -rotated], dim=-1).argmax(-1)


@dataclass(frozen=True)
class Places:
    """The places of tokens, sorted by bucket and cut into chunks.

    Attributes:
        buckets: Bucket of each token ``[batch, heads, rounds, seq]``.
        order: Tokens in their sorted order, of the same shape.
        chunks: Chunk of each token, of the same shape.
    """

    buckets: torch.Tensor
    order: torch.Tensor
    chunks: torch.Tensor


def sorted_places(buckets: torch.Tensor, chunk: int) -> Places:
    """Sort tokens by bucket, within a bucket by position, and cut them into chunks.

    Args:
        buckets: ``[batch, heads, rounds, seq]``; seq is a multiple of the chunk.
        chunk: Tokens of a chunk.
    """
    length = buckets.shape[-1]
    positions = torch.arange(length, device=buckets.device)
    order = (buckets * length + positions).argsort(-1)
    return Places(buckets, order, order.argsort(-1) // chunk)


def lsh_attention(
    shared: torch.Tensor,
    value: torch.Tensor,
    rotations: torch.Tensor,
    chunk: int,
    tokens: torch.Tensor | None = None,
    dropout: float = 0.0,
) -> torch.Tensor:
    """Attention of each token to those of its bucket, in its own chunk and the one before.

    Queries and keys are the same vectors, the keys of length 1. A token attends to itself only if
    it has no other target. A pair that meets in several rounds counts once.

    Args:
        shared: Queries, and keys before they are normalized ``[batch, heads, seq, head_dim]``.
        value: Values of the same shape.
        rotations: See ``hash_buckets``.
        chunk: Tokens of a chunk.
        tokens: True for tokens, False for padding ``[batch, seq]``; None for no padding.
        dropout: Share of the attention weights that are dropped.

    Returns:
        ``[batch, heads, seq, head_dim]``; zero at padding.

    Source: Kitaev et al. 2020, section 2, equations 2 to 6.
    """
    length, size = shared.shape[-2:]
    more = -length % chunk
    if tokens is None:
        tokens = torch.ones(shared.shape[0], length, dtype=torch.bool, device=shared.device)
    shared, value = (functional.pad(each, (0, 0, 0, more)) for each in (shared, value))
    tokens = functional.pad(tokens, (0, more), value=False)
    with torch.no_grad():
        buckets = hash_buckets(shared.detach(), rotations)
        last = 2 * rotations.shape[-1]  # padding comes after all tokens
        places = sorted_places(buckets.masked_fill(~tokens[:, None, None], last), chunk)
        meetings, itself = _meetings(places, tokens, chunk)
    keys = functional.normalize(shared, dim=-1)
    queries = _in_chunks(shared, places.order, chunk)
    near_keys, near_values = (
        _with_previous(_in_chunks(each, places.order, chunk), 0.0) for each in (keys, value)
    )
    scores = torch.matmul(queries, near_keys.transpose(-1, -2)) * size**-0.5
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    scores = scores + ITSELF * itself - meetings.clamp(min=1).to(scores.dtype).log()
    scores = scores.masked_fill(meetings == 0, HIDDEN)
    total = scores.logsumexp(-1, keepdim=True)
    weights = functional.dropout((scores - total).exp(), dropout)
    mixed = torch.matmul(weights.to(near_values.dtype), near_values).flatten(3, 4)
    back = places.order.argsort(-1)
    mixed = mixed.gather(3, back.unsqueeze(-1).expand_as(mixed))
    share = total.flatten(3).gather(3, back).softmax(2)
    combined = (share.unsqueeze(-1).to(mixed.dtype) * mixed).sum(2)
    result: torch.Tensor = combined * tokens[:, None, :, None]
    return result[:, :, :length]


def _meetings(
    places: Places, tokens: torch.Tensor, chunk: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Number of rounds in which each pair meets, 0 if it does not in this one; and equal pairs.

    Returns:
        Both ``[batch, heads, rounds, chunks, chunk, 2 chunk]``.
    """
    order = places.order
    own = order.view(*order.shape[:-1], -1, chunk)
    near = _with_previous(own, -1)
    exists = near >= 0
    near = near.clamp(min=0)
    count = torch.zeros(*own.shape, near.shape[-1], dtype=torch.long, device=order.device)
    meets_now = count.bool()
    for number in range(order.shape[2]):
        bucket, where = places.buckets[:, :, number], places.chunks[:, :, number]
        pairs = _pairs(bucket, own, near)
        chunks = _pairs(where, own, near)
        distance = chunks[0] - chunks[1]
        meets = (pairs[0] == pairs[1]) & (distance >= 0) & (distance <= 1)
        count = count + meets
        this = torch.arange(order.shape[2], device=order.device) == number
        meets_now = meets_now | (meets & this[:, None, None, None])
    real = _pairs(tokens[:, None].expand(-1, order.shape[1], -1), own, near)[1]
    return count * (meets_now & exists.unsqueeze(-2) & real), own.unsqueeze(-1) == near.unsqueeze(
        -2
    )


def _pairs(
    of_tokens: torch.Tensor, own: torch.Tensor, near: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """A property ``[batch, heads, seq]`` of both tokens of each pair, to be broadcast."""
    first, second = (
        of_tokens.gather(2, places.flatten(2)).view(places.shape) for places in (own, near)
    )
    return first.unsqueeze(-1), second.unsqueeze(-2)


def _in_chunks(vectors: torch.Tensor, order: torch.Tensor, chunk: int) -> torch.Tensor:
    """Vectors ``[batch, heads, seq, size]`` in the order of each round.

    Returns:
        ``[batch, heads, rounds, chunks, chunk, size]``
    """
    rounds = order.shape[2]
    repeated = vectors.unsqueeze(2).expand(-1, -1, rounds, -1, -1)
    places = order.unsqueeze(-1).expand(*order.shape, vectors.shape[-1])
    gathered: torch.Tensor = repeated.gather(3, places)
    return gathered.view(*order.shape[:-1], -1, chunk, vectors.shape[-1])


def _with_previous(chunks: torch.Tensor, before_first: float) -> torch.Tensor:
    """The previous chunk before each chunk; ``before_first`` fills that of the first one."""
    first = torch.full_like(chunks[:, :, :, :1], before_first)
    previous = torch.cat([first, chunks[:, :, :, :-1]], dim=3)
    return torch.cat([previous, chunks], dim=4)
