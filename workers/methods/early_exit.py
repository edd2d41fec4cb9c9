"""Early exit: each example leaves at the first classifier that is confident of its class.

Source: Schwartz, Stanovsky, Swayamdipta, Dodge, Smith 2020, The Right Tool for the Job: Matching
Model and Instance Complexities, arXiv:2004.07453.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch

from pricetag.recipes.methods.train_early_exit import TrainEarlyExit, layers_misfit
from workers.job import ranks
from workers.job.context import StageContext
from workers.job.request import JobError
from workers.training.cost.flops import FlopProfile
from workers.training.cost.tally import Tally
from workers.training.data.texts import load_split
from workers.training.data.tokens import TokenData
from workers.training.decisions import decided
from workers.training.finetune import (
    count_modules,
    exit_profiles,
    full_profile,
    training_data,
    training_labels,
    with_head,
)
from workers.training.formats import registry
from workers.training.formats.exits import (
    EarlyExit,
    Exits,
    add_exits,
    confidence,
    exits_of,
    why_no_exits,
)
from workers.training.formats.exits import weighted_state as weighted_state  # the format's own
from workers.training.losses import exit_loss as exit_loss  # that of a model with exits
from workers.training.model.loaded import Loaded
from workers.training.model.models import needed, read_config
from workers.training.prediction import Predictions, predict, require_finite
from workers.training.tasks.registry import task_of

LOWEST, HIGHEST = 0.05, 20.0
"""Bounds of a temperature: a classifier that is always right would get 0, one never infinity."""

BINS = 15

BATCH = 64
"""Examples of a batch for the temperatures and the curve."""


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
    sure, predictions = torch.softmax(logits.double() / temperature, dim=1).max(1)
    right = (predictions == labels).double()
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


# ---- the stage ----


def apply_exits(context: StageContext, loaded: Loaded, params: TrainEarlyExit) -> Exits:
    """Give the stage's model its exits, in place.

    Raises:
        JobError: ``bad-exits``.
    """
    if exits_of(loaded.model) is not None:
        message = "the model already has exits; train it further with kind: train"
        raise JobError("bad-exits", message, f"{context.field}.method")
    depth = int(getattr(loaded.model.config, "num_hidden_layers", 0))
    layers = params.exit_layers(depth)
    misfit = layers_misfit(params, depth)
    reason = why_no_exits(loaded.model, layers) if misfit is None else str(misfit)
    if reason is not None:
        raise JobError("bad-exits", reason, f"{context.field}.layers")
    return add_exits(loaded.model, layers)


def count(context: StageContext, params: TrainEarlyExit) -> None:
    """Count the operations of the model with its exits, before the stage opens."""
    ref = needed(context)
    config = with_head(context, read_config(ref))
    depth = int(getattr(config, "num_hidden_layers", 0))
    if layers_misfit(params, depth) is not None:
        return  # the stage rejects it
    config.num_labels = len(training_labels(context) or [])
    notes = {} if ref.folder is None else registry.read_notes(ref.folder)
    layers = params.exit_layers(depth)
    note = {"format": 1, "layers": layers, "temperatures": [1.0] * len(layers), "threshold": None}
    with suppress(ValueError):  # the stage rejects such an encoder
        count_modules(context, config, {**notes, EarlyExit.name: note})


def set_aside(
    context: StageContext, loaded: Loaded, params: TrainEarlyExit
) -> tuple[TokenData, TokenData]:
    """The training examples to train on, and those for the temperatures, drawn by the seed.

    Raises:
        JobError: ``too-few-examples``; the split cannot be read, or does not fit the model.
    """
    data = training_data(context, loaded, params.max_length)
    aside = max(1, round(params.calibration_share * len(data)))
    if aside >= len(data):
        raise JobError(
            "too-few-examples",
            f"{len(data)} training example is too few to set some aside for the temperatures",
            "recipe.data.train",
        )
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(params.seed))
    rows = order.tolist()
    return data.part(sorted(rows[aside:])), data.part(sorted(rows[:aside]))


@dataclass(frozen=True)
class Scores:
    """Outputs of all classifiers of a model on a data set.

    Attributes:
        logits: ``[exits, examples, classes]``.
        labels: Class numbers ``[examples]``.
        lengths: Number of tokens of each example.
    """

    logits: torch.Tensor
    labels: torch.Tensor
    lengths: Sequence[int]


def score_all_exits(context: StageContext, loaded: Loaded, data: TokenData, tally: Tally) -> Scores:
    """Compute all classifiers on a data set, in one pass whose operations are added to the tally.

    Raises:
        JobError: ``answer-not-finite``.
        Interrupted: A stop was requested.
    """
    exits = exits_of(loaded.model)
    assert exits is not None
    assert exits.threshold is None
    predictions = Predictions()
    logits = torch.empty((len(exits.layers), len(data), loaded.outputs))
    collate = task_of(context).collator(loaded, seed=0)
    for rows, _, outputs in predict(context, loaded, data, collate, BATCH, predictions):
        logits[:, rows] = torch.stack(outputs.exit_logits).float().cpu()
    require_finite(logits)
    profile = full_profile(context, loaded)
    tally.add(
        predictions.forward_flops(profile.flops),
        predictions.forward_flops(profile.flops, profile.density),
    )
    tally.report()
    labels = torch.tensor([int(label) for label in data.labels])
    return Scores(logits, labels, data.lengths)


def calibrate(
    context: StageContext, loaded: Loaded, aside: TokenData, tally: Tally
) -> dict[str, Any]:
    """Fit the temperatures of a trained model on examples that it was not trained on.

    Rank 0 fits them. Returns facts for the card of the model.

    Raises:
        JobError: ``answer-not-finite``.
        Interrupted: A stop was requested; the next attempt fits them again.
    """
    exits = exits_of(loaded.model)
    assert exits is not None

    def fitted() -> list[float]:
        scores = score_all_exits(context, loaded, aside, tally)
        return [fit_temperature(each, scores.labels) for each in scores.logits]

    exits.temperatures = decided(context, "temperatures", fitted)
    for layer, temperature in zip(exits.layers, exits.temperatures, strict=True):
        if temperature in (LOWEST, HIGHEST):
            context.reporter.log(f"layer {layer}: the temperature is at its bound, {temperature:g}")
    return {
        "exit_layers": exits.layers,
        "temperatures": exits.temperatures,
        "calibration_examples": len(aside),
    }


@dataclass(frozen=True)
class Point:
    """One threshold of the curve of speed and accuracy.

    Attributes:
        threshold: Confidence at which an example leaves.
        accuracy: Share of the examples with the right class.
        flops: Mean operations of an example of its length.
        shares: Share of the examples that leave at each exit.
    """

    threshold: float
    accuracy: float
    flops: float
    shares: list[float]


def curve_of(
    scores: Scores,
    temperatures: Sequence[float],
    thresholds: Sequence[float],
    exits: Sequence[FlopProfile],
) -> list[Point]:
    """Accuracy, operations and exits at each threshold, without another forward pass.

    Args:
        scores: Logits of all classifiers on a split.
        temperatures: Temperature of each classifier.
        thresholds: Thresholds.
        exits: Operations of an example that leaves at each exit.
    """
    points = []
    for threshold in thresholds:
        left_at = leaves_at(scores.logits, temperatures, threshold)
        right = chosen_classes(scores.logits, left_at) == scores.labels
        flops = [
            exits[number].forward(length)
            for number, length in zip(left_at.tolist(), scores.lengths, strict=True)
        ]
        counts = torch.bincount(left_at, minlength=len(exits)).double() / len(left_at)
        accuracy = float(right.double().mean())
        points.append(Point(threshold, accuracy, math.fsum(flops) / len(flops), counts.tolist()))
    return points


def report_curve(
    context: StageContext, loaded: Loaded, params: TrainEarlyExit, tally: Tally
) -> dict[str, Any]:
    """Put the curve and the calibration on the price tag; returns facts for the model's card.

    Rank 0 alone.

    Raises:
        JobError: The split cannot be read, or does not fit the model.
        Interrupted: A stop was requested.
    """
    split = params.curve_split
    if split is None or ranks.rank() != 0:
        return {}
    exits = exits_of(loaded.model)
    assert exits is not None
    limit = loaded.token_limit(params.max_length)
    data = task_of(context).tokens(context, load_split(context, split), loaded, limit)
    scores = score_all_exits(context, loaded, data, tally)
    for number, layer in enumerate(exits.layers):
        logits, temperature = scores.logits[number], exits.temperatures[number]
        accuracy = float((logits.argmax(1) == scores.labels).double().mean())
        before = calibration_error(logits, scores.labels)
        after = calibration_error(logits, scores.labels, temperature)
        _report(context, f"temperature_layer_{layer}", temperature)
        _report(context, f"exit_accuracy_layer_{layer}", accuracy, split=split)
        _report(context, f"ece_before_layer_{layer}", before, split=split)
        _report(context, f"ece_after_layer_{layer}", after, split=split)
    profiles = exit_profiles(context, loaded)
    curve = curve_of(scores, exits.temperatures, params.thresholds, profiles)
    for point in curve:
        at = f"at_{point.threshold:g}"
        _report(context, f"exit_accuracy_{at}", point.accuracy, split=split)
        _report(context, f"exit_flops_per_example_{at}", point.flops, "flop", split=split)
        for layer, share in zip(exits.layers, point.shares, strict=True):
            _report(context, f"exit_share_{at}_layer_{layer}", share, split=split)
    points = [
        {**vars(point), "flops": point.flops if math.isfinite(point.flops) else None}
        for point in curve
    ]
    return {"curve_split": split, "curve": points}


def _report(
    context: StageContext,
    name: str,
    value: float,
    unit: str | None = None,
    *,
    split: str | None = None,
) -> None:
    reason = None if math.isfinite(value) else "the model's operations cannot be counted"
    shown = value if reason is None else None
    context.reporter.metric(name, shown, unit, split, quality=True, reason=reason)
