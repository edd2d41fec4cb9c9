"""Ensembles of classifiers: averaged class probabilities, and accuracy against their number."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Estimator = Literal["all_subsets", "order_of_seeds"]

MOST_FOR_SUBSETS = 10
"""Number of members up to which every subset is averaged; of more, the first k in order."""

FILE = "probabilities-{split}.json"
"""Name of the artifact with the class probabilities of a split."""

SPLIT = "validation"
"""The split whose probabilities are averaged."""


@dataclass(frozen=True, slots=True)
class Member:
    """The class probabilities of one model.

    Attributes:
        classes: Names of the classes, in the order of the probabilities.
        labels: Number of the right class of each example.
        probabilities: ``[examples, classes]``, one row after the other.
    """

    classes: tuple[str, ...]
    labels: tuple[int, ...]
    probabilities: tuple[float, ...]

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Member:
        """A member from its artifact.

        Raises:
            ValueError: If it does not have the form of such an artifact.
        """
        try:
            classes = tuple(str(name) for name in document["classes"])
            labels = tuple(int(label) for label in document["labels"])
            rows = [[float(each) for each in row] for row in document["probabilities"]]
        except (KeyError, TypeError) as error:
            raise ValueError(f"it does not have the form of class probabilities: {error}") from None
        if len(rows) != len(labels) or any(len(row) != len(classes) for row in rows):
            raise ValueError("its rows are not those of its labels and classes")
        if not labels:
            raise ValueError("it has no examples")
        if not all(math.isfinite(each) for row in rows for each in row):
            raise ValueError("a probability is not a number")
        return cls(classes, labels, tuple(each for row in rows for each in row))


def member_text(
    split: str, classes: Sequence[str], labels: Sequence[int], rows: Sequence[Sequence[float]]
) -> str:
    """The content of the artifact of a split."""
    document = {
        "format": 1,
        "split": split,
        "classes": list(classes),
        "labels": list(labels),
        "probabilities": [list(row) for row in rows],
    }
    return json.dumps(document, allow_nan=False)


@dataclass(frozen=True, slots=True)
class EnsemblePoint:
    """The accuracy of ensembles of k members.

    Attributes:
        members: Number of members, k.
        ensembles: Number of ensembles of k members that were evaluated.
        accuracy: Their mean accuracy.
        low: The lowest accuracy among them.
        high: The highest accuracy among them.
    """

    members: int
    ensembles: int
    accuracy: float
    low: float
    high: float


def estimator_of(count: int) -> Estimator:
    """How the accuracy of ensembles of some members is estimated."""
    return "all_subsets" if count <= MOST_FOR_SUBSETS else "order_of_seeds"


def ensemble_curve(members: Sequence[Member]) -> list[EnsemblePoint]:
    """The accuracy of averaged probabilities against the number of members.

    Up to ``MOST_FOR_SUBSETS`` members: the mean over all subsets of k members, which depends on no
    order. Of more members: the first k, in the order of the seeds.

    Args:
        members: The members, in the order of the seeds.

    Raises:
        ValueError: If they are not about the same examples and classes.

    Source:
        Hansen and Salamon 1990, Neural Network Ensembles, doi:10.1109/34.58871 (committees);
        averaged softmax as in Lakshminarayanan et al. 2017, arXiv:1612.01474, section 2.4.
    """
    if not members:
        return []
    first = members[0]
    for number, member in enumerate(members):
        if member.classes != first.classes or member.labels != first.labels:
            raise ValueError(f"member {number} was evaluated on other examples or classes")
    scores: dict[int, list[float]] = {}
    if estimator_of(len(members)) == "all_subsets":
        for size, sums in _subsets(members, 0, 0, [0.0] * len(first.probabilities)):
            scores.setdefault(size, []).append(_accuracy(sums, first))
    else:
        sums = [0.0] * len(first.probabilities)
        for size, member in enumerate(members, 1):
            sums = _added(sums, member)
            scores[size] = [_accuracy(sums, first)]
    return [
        EnsemblePoint(size, len(each), math.fsum(each) / len(each), min(each), max(each))
        for size, each in sorted(scores.items())
    ]


def _subsets(
    members: Sequence[Member], start: int, size: int, sums: list[float]
) -> Iterator[tuple[int, list[float]]]:
    """Size and summed probabilities of each subset that extends one, which is not empty."""
    for place in range(start, len(members)):
        extended = _added(sums, members[place])
        yield size + 1, extended
        yield from _subsets(members, place + 1, size + 1, extended)


def _added(sums: list[float], member: Member) -> list[float]:
    return [a + b for a, b in zip(sums, member.probabilities, strict=True)]


def _accuracy(sums: Sequence[float], of: Member) -> float:
    """Share of the examples whose right class has the largest sum; of equal ones, the first."""
    width = len(of.classes)
    right = 0
    for place, label in enumerate(of.labels):
        row = sums[place * width : (place + 1) * width]
        right += row.index(max(row)) == label
    return right / len(of.labels)


def ensemble_note(ensemble: Mapping[str, Any]) -> str:
    """How the figures of ensembles were obtained, in sentences.

    Args:
        ensemble: Ensembles of a study, as in a response of the API.
    """
    how = (
        "Accuracy is the mean over all ensembles of k of the members, from the lowest to the "
        "highest of them; energy is k times that of a mean member."
        if ensemble["estimator"] == "all_subsets"
        else "Accuracy and energy are those of the first k members in the order of the seeds: one "
        "ensemble of each size, so that it has no range."
    )
    examples = ensemble["examples"]
    where = "" if examples is None else f" on {examples:,} examples of {ensemble['split']}"
    text = f"Class probabilities of {ensemble['members']} members{where}, averaged. {how}"
    return f"{text} Missing: {ensemble['reason']}." if ensemble["reason"] else text
