"""Early exit: each example leaves at the first classifier that is sure of its class.

Source: Schwartz, Stanovsky, Swayamdipta, Dodge, Smith 2020, The Right Tool for the Job: Matching
Model and Instance Complexities, arXiv:2004.07453.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from workers.training.formats.exits import confidence
from workers.training.formats.exits import weighted_state as weighted_state  # the format's own
from workers.training.losses import exit_loss as exit_loss  # that of a model with exits

LOWEST, HIGHEST = 0.05, 20.0
"""Bounds of a temperature: a classifier that is always right would get 0, one never infinity."""

BINS = 15


def fit_temperature(
    logits: torch.Tensor, labels: torch.Tensor, lowest: float = LOWEST, highest: float = HIGHEST
) -> float:
    """The temperature T in bounds at which softmax(z / T) has the least cross-entropy.

    The cross-entropy is convex in 1 / T; its derivative, mean(E_p[z] - z_y), is bisected in
    float64. Logits that do not distinguish any classes keep T = 1.

    Args:
        logits: Logits z of one classifier ``[examples, classes]``.
        labels: Class numbers ``[examples]``.
        lowest: Lower bound.
        highest: Upper bound.

    Source: Guo, Pleiss, Sun, Weinberger 2017, On Calibration of Modern Neural Networks, section
    4.2, arXiv:1706.04599; Schwartz et al. 2020, section 3.2.
    """
    scores = logits.double()
    scores = scores - scores.gather(1, labels.unsqueeze(1))  # relative to the true class
    if not bool(scores.any()):
        return 1.0

    def slope(inverse: float) -> float:
        return float((torch.softmax(scores * inverse, dim=1) * scores).sum(1).mean())

    below, above = 1 / highest, 1 / lowest
    if slope(below) >= 0:
        return highest
    if slope(above) <= 0:
        return lowest
    for _ in range(100):
        middle = (below + above) / 2
        below, above = (middle, above) if slope(middle) < 0 else (below, middle)
    return 2 / (below + above)


def calibration_error(
    logits: torch.Tensor, labels: torch.Tensor, temperature: float = 1.0, bins: int = BINS
) -> float:
    """Expected calibration error: |confidence - accuracy|, averaged over bins of confidence.

    Bins are equally wide, open below and closed above; each counts by its share of the examples.

    Args:
        logits: Logits of one classifier ``[examples, classes]``.
        labels: Class numbers ``[examples]``.
        temperature: Divisor of the logits.
        bins: Number of bins.

    Source: Naeini, Cooper, Hauskrecht 2015, Obtaining Well Calibrated Probabilities Using Bayesian
    Binning; Guo et al. 2017, equation 3.
    """
    sure, chosen = torch.softmax(logits.double() / temperature, dim=1).max(1)
    right = (chosen == labels).double()
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64)
    number = torch.bucketize(sure, edges).clamp(1, bins) - 1  # edges[n] < sure <= edges[n + 1]
    gaps = torch.zeros(bins, dtype=torch.float64).index_add(0, number, sure - right)
    return float(gaps.abs().sum() / len(sure))


def leaves_at(
    logits: torch.Tensor, temperatures: Sequence[float], threshold: float
) -> torch.Tensor:
    """The exit at which each example leaves: the first with max softmax(z / T) >= threshold.

    The last classifier always answers.

    Args:
        logits: Logits of all classifiers ``[exits, examples, classes]``.
        temperatures: Temperature of each classifier.
        threshold: Confidence c.

    Returns:
        Number of the exit, from 0 ``[examples]``.

    Source: Schwartz et al. 2020, section 3.2.
    """
    pairs = zip(logits.double(), temperatures, strict=True)
    sure = torch.stack([confidence(each, temperature) >= threshold for each, temperature in pairs])
    sure[-1] = True
    return sure.int().argmax(0)  # the first of the largest


def chosen_classes(logits: torch.Tensor, exits: torch.Tensor) -> torch.Tensor:
    """The class that each example gets from the classifier at which it leaves ``[examples]``.

    Args:
        logits: Logits of all classifiers ``[exits, examples, classes]``.
        exits: Number of each example's exit ``[examples]``.
    """
    return logits.argmax(-1).gather(0, exits.unsqueeze(0))[0]
