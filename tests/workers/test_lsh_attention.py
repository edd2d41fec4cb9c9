"""Attention within buckets of a hash, against softmax over the pairs that meet."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.training.architectures.lsh import ITSELF, hash_buckets, lsh_attention

Tensor = torch.Tensor


def drawn(seed: int, length: int, rounds: int, halves: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shared, value = (
        torch.randn(2, 2, length, 4, generator=generator, dtype=torch.float64) for _ in range(2)
    )
    rotations = torch.randn(2, rounds, 4, halves, generator=generator, dtype=torch.float64)
    return shared, value, rotations


def plainly(shared: Tensor, value: Tensor, rotations: Tensor, chunk: int) -> Tensor:
    """Pair by pair: one softmax over all pairs that meet in a round."""
    batch, heads, length, size = shared.shape
    buckets = hash_buckets(shared, rotations)
    result = torch.zeros_like(value)
    for row in range(batch):
        for head in range(heads):
            meets = torch.zeros(length, length, dtype=torch.bool)
            for bucket in buckets[row, head].tolist():
                order = sorted(range(length), key=lambda token: (bucket[token], token))
                place = {token: number // chunk for number, token in enumerate(order)}
                for one in range(length):
                    for other in range(length):
                        near = place[one] - place[other] in (0, 1)
                        meets[one, other] |= near and bucket[one] == bucket[other]
            keys = torch.nn.functional.normalize(shared[row, head], dim=-1)
            scores = shared[row, head] @ keys.T * size**-0.5
            scores = scores + ITSELF * torch.eye(length)
            weights = scores.masked_fill(~meets, -torch.inf).softmax(-1)
            result[row, head] = weights @ value[row, head]
    return result


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**31), st.integers(1, 14), st.integers(1, 3), st.integers(1, 3),
    st.sampled_from([1, 2, 4, 5, 16]),
)  # fmt: skip
def test_it_is_one_softmax_over_the_pairs_that_meet(
    seed: int, length: int, rounds: int, halves: int, chunk: int
) -> None:
    shared, value, rotations = drawn(seed, length, rounds, halves)
    expected = plainly(shared, value, rotations, chunk)
    result = lsh_attention(shared, value, rotations, chunk)
    torch.testing.assert_close(result, expected, rtol=1e-6, atol=1e-9)


def test_the_hash_is_the_largest_coordinate_of_the_rotated_vector_and_its_negative() -> None:
    rotation = torch.eye(2).reshape(1, 1, 2, 2)
    vectors = torch.tensor([[3.0, 1.0], [1.0, 3.0], [-3.0, 1.0], [1.0, -3.0]]).reshape(1, 1, 4, 2)
    assert hash_buckets(vectors, rotation).tolist() == [[[[0, 1, 2, 3]]]]


def test_with_one_chunk_and_one_bucket_pair_it_reaches_every_similar_token() -> None:
    shared, value, _ = drawn(0, 6, 1, 1)
    shared = shared.abs()  # all on one side of the rotation
    rotations = torch.ones(2, 1, 4, 1, dtype=torch.float64)
    keys = torch.nn.functional.normalize(shared, dim=-1)
    scores = shared @ keys.transpose(-1, -2) / 2 + ITSELF * torch.eye(6)
    expected = scores.softmax(-1) @ value
    result = lsh_attention(shared, value, rotations, 6)
    torch.testing.assert_close(result, expected, rtol=1e-6, atol=1e-9)


def test_padding_changes_nothing() -> None:
    shared, value, rotations = drawn(5, 11, 3, 2)
    tokens = torch.ones(2, 11, dtype=torch.bool)
    tokens[:, 7:] = False
    padded = lsh_attention(shared, value, rotations, 4, tokens)
    alone = lsh_attention(shared[:, :, :7], value[:, :, :7], rotations, 4)
    torch.testing.assert_close(padded[:, :, :7], alone)
    assert not bool(padded[:, :, 7:].any())


def test_gradients_reach_queries_and_values() -> None:
    shared, value, rotations = drawn(9, 8, 2, 2)
    shared.requires_grad_()
    value.requires_grad_()
    torch.autograd.backward(lsh_attention(shared, value, rotations, 4).square().sum())
    for tensor in (shared, value):
        assert tensor.grad is not None
        assert bool(tensor.grad.isfinite().all())
        assert bool(tensor.grad.any())
