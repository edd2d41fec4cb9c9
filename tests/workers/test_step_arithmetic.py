"""Faster arithmetic of a training step gives what the plain formulas give."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from workers.training.pruning.masks import SAMPLE, selected
from workers.training.quantization.shared_weights import shared_weights
from workers.training.score_differences import scores_difference

MANY = 16 * SAMPLE
MASKED = float(torch.finfo(torch.float32).min)


def numbers(seed: int, shape: str, count: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    generator = np.random.default_rng(seed)
    values = generator.standard_normal(count).astype(np.float32)
    if shape == "ties":
        return values.round(1)
    if shape == "two values":
        return (values > 1).astype(np.float32)
    if shape == "sorted":
        return np.sort(values)
    if shape == "columns":  # every 384th value is large, as a column of a matrix may be
        values[::384] += 100
    return values


@settings(max_examples=60)
@given(
    st.integers(0, 10**6),
    st.sampled_from(["normal", "ties", "two values", "sorted", "columns"]),
    st.sampled_from([3, MANY - 1, MANY, MANY + 7]),
    st.floats(0, 1),
)
def test_a_selected_value_is_that_of_the_whole_order(
    seed: int, shape: str, count: int, share: float
) -> None:
    values = numbers(seed, shape, count)
    number = 1 + round(share * (count - 1))
    assert selected(values, number) == np.sort(values)[number - 1]


def test_the_ends_of_the_order_and_infinite_values_are_selected() -> None:
    values = numbers(0, "normal", MANY)
    values[[5, 6]] = np.inf, -np.inf
    assert selected(values, 1) == -np.inf
    assert selected(values, MANY) == np.inf
    assert selected(values, 2) == np.sort(values)[1]


def plain_difference(own: list[torch.Tensor], theirs: list[torch.Tensor]) -> torch.Tensor:
    def shown(scores: torch.Tensor) -> torch.Tensor:
        return scores.masked_fill(scores <= -100.0, 0.0)

    pairs = zip(own, theirs, strict=True)
    return torch.stack([functional.mse_loss(shown(a), shown(b)) for a, b in pairs]).sum()


def test_the_difference_of_scores_and_its_gradient_are_those_of_the_formula() -> None:
    generator = torch.Generator().manual_seed(2)
    shape = (2, 3, 5, 5)
    own = [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2)]
    theirs = [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2)]
    for scores in (*own, *theirs):
        scores[0, :, :, 3:] = MASKED
    own[1][1, 0, 0, 0] = -150.0  # masked in the student alone
    theirs[1][1, 1, 0, 0] = -100.0
    leaves = [scores.requires_grad_() for scores in own]
    first = scores_difference(leaves, theirs) * 3
    second = plain_difference(leaves, theirs) * 3
    torch.testing.assert_close(first, second, rtol=1e-12, atol=0)
    gradients = torch.autograd.grad(first, leaves)
    expected = torch.autograd.grad(second, leaves)
    torch.testing.assert_close(gradients, expected, rtol=1e-12, atol=0)


def test_shared_weights_and_their_gradient_are_those_of_the_formula() -> None:
    generator = torch.Generator().manual_seed(3)
    clusters, shape = 4, (6, 50)
    labels = torch.randint(0, clusters, shape, generator=generator)
    mask = torch.rand(shape, generator=generator) > 0.3
    factors = torch.randn(shape, generator=generator, dtype=torch.float64)
    centroids = torch.randn(clusters, generator=generator, dtype=torch.float64).requires_grad_()
    weights = shared_weights(centroids, labels.int().masked_fill(~mask, clusters))
    plain = centroids[labels] * mask
    assert torch.equal(weights, plain)
    (gradient,) = torch.autograd.grad((weights * factors).sum(), centroids)
    (expected,) = torch.autograd.grad((plain * factors).sum(), centroids)
    torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=1e-14)
