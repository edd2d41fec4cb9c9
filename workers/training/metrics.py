"""Figures of quality from predictions: agreement of classes, correlation of scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

LOWER_IS_BETTER = frozenset({"loss", "perplexity"})
"""Metrics for which smaller is better."""


@dataclass(frozen=True)
class Score:
    """One figure of quality.

    Attributes:
        value: The figure; None where it is not defined.
        of_class: Its class, or its average over classes; None for a figure without classes.
        reason: Why there is no value.
    """

    value: float | None
    of_class: str | None = None
    reason: str | None = None


Metrics = dict[str, Score]


def agreement(
    predicted: Sequence[int],
    labels: Sequence[int],
    names: Sequence[str],
    positive: int | None = None,
) -> Metrics:
    """Accuracy, F1 and MCC of predicted classes.

    With two classes F1 is 2 TP / (2 TP + FP + FN) of the positive one, else its mean over the
    classes that occur among labels or predictions.

    Args:
        predicted: Predicted class numbers.
        labels: True class numbers.
        names: Names of all classes.
        positive: Number of the positive class, with two classes; default 1.
    """
    right = sum(p == t for p, t in zip(predicted, labels, strict=True))
    if len(names) == 2:
        f1 = _f1_of_class(predicted, labels, names, 1 if positive is None else positive)
    else:
        f1 = _mean_f1(predicted, labels)
    return {"accuracy": Score(right / len(labels)), "f1": f1, "mcc": _mcc(predicted, labels)}


def _f1_of_class(
    predicted: Sequence[int], labels: Sequence[int], names: Sequence[str], number: int
) -> Score:
    name = names[number]
    if number not in labels and number not in predicted:
        return Score(None, name, f"no example has or is predicted to have the class {name!r}")
    from sklearn import metrics

    value = metrics.f1_score(labels, predicted, pos_label=number, average="binary", zero_division=0)
    return Score(float(value), name)


def _mean_f1(predicted: Sequence[int], labels: Sequence[int]) -> Score:
    from sklearn import metrics

    occurring = len({*predicted, *labels})
    value = metrics.f1_score(labels, predicted, average="macro", zero_division=0)
    return Score(float(value), f"macro average of {occurring} classes")


def _mcc(predicted: Sequence[int], labels: Sequence[int]) -> Score:
    """Matthews' correlation; not defined (0/0) where labels or predictions have one class."""
    if _constant(labels):
        return Score(None, reason="all labels are of one class")
    if _constant(predicted):
        return Score(None, reason="all predictions are of one class")
    from sklearn import metrics

    return Score(float(metrics.matthews_corrcoef(labels, predicted)))


def correlations(predicted: Sequence[float], labels: Sequence[float]) -> Metrics:
    """Pearson's and Spearman's correlation; None where scores or labels are constant."""
    reason = None
    if len(labels) < 2:
        reason = "one example has no correlation"
    elif _constant(labels):
        reason = "all labels are equal"
    elif _constant(predicted):
        reason = "all predicted scores are equal"
    if reason is not None:
        return {name: Score(None, reason=reason) for name in ("pearson", "spearman")}
    from scipy import stats

    values = {
        "pearson": float(stats.pearsonr(predicted, labels).statistic),
        "spearman": float(stats.spearmanr(predicted, labels).statistic),
    }
    return {
        name: Score(value)
        if math.isfinite(value)
        else Score(None, reason="the scores differ too little to correlate")
        for name, value in values.items()
    }


def _constant(values: Sequence[float]) -> bool:
    return max(values) == min(values)
