"""The frontier of quality against a cost: unbeaten runs, and the price of each step.

A run is dominated if another one has at least its quality for at most its cost, and is better in
one of the two. Values decide; intervals of neighbors may still overlap, which is stated for each
step of the frontier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Key]):
    """Cost and quality of a run.

    Attributes:
        key: Identifies the run.
        cost: Its cost, in any unit: energy, carbon, money, operations, latency, size.
        quality: Its quality; larger is better.
        cost_low: Lower end of the cost's 95% interval.
        cost_high: Upper end of that interval.
    """

    key: Key
    cost: float
    quality: float
    cost_low: float
    cost_high: float


@dataclass(frozen=True, slots=True)
class Step(Generic[Key]):
    """One run of the frontier.

    Attributes:
        key: The run.
        price: Additional cost for each additional unit of quality, against the run before it;
            None for the first.
        is_costlier: Whether its cost is larger than that of the run before by more than both
            intervals; None for the first.
    """

    key: Key
    price: float | None
    is_costlier: bool | None


def frontier(outcomes: Sequence[Outcome[Key]]) -> list[Step[Key]]:
    """The runs that no other run dominates, from the cheapest to the best.

    Of runs with the same cost and quality, the first in the given order is taken.
    """
    best: list[Outcome[Key]] = []
    for outcome in sorted(outcomes, key=lambda each: (each.cost, -each.quality)):
        if not best or outcome.quality > best[-1].quality:
            best.append(outcome)
    steps = [Step(best[0].key, None, None)] if best else []
    for before, after in pairwise(best):
        price = (after.cost - before.cost) / (after.quality - before.quality)
        steps.append(Step(after.key, price, after.cost_low > before.cost_high))
    return steps


def spent_in_vain(outcomes: Sequence[tuple[float, float | None]]) -> float:
    """Cost of the runs of a sweep after the last one that improved the quality.

    Args:
        outcomes: Cost and quality of each run, in the order in which they ended; the quality is
            None for runs without one (failed ones), which cannot improve anything.
    """
    best = float("-inf")
    since = 0.0
    for cost, quality in outcomes:
        if quality is not None and quality > best:
            best, since = quality, 0.0
        else:
            since += cost
    return since
