"""Expected best validation score of k trials of a random search, and where two curves cross."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pricetag.accounting.quantity.checks import InvalidFactor, require_count, require_number

MIN_TRIALS = 5
"""Minimum number of trials: with fewer, list their scores instead of a curve."""

CENTRAL_95 = (0.025, 0.975)
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class ExpectedBest:
    """Expected best score of k trials, and its standard deviation."""

    k: int
    expected: float
    score_std: float


@dataclass(frozen=True, slots=True)
class Best:
    """Expected best score of k trials, its variance, and its range in 95% of searches."""

    k: int
    expected: float
    variance: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A budget (k trials x mean cost, in any unit of cost) and the expected best score."""

    budget: float
    expected: float


def weights_with_replacement(n: int, k: int) -> list[float]:
    """Probability that the i-th smallest of n scores is the best of k draws with replacement.

    As an estimate of a new search it is biased downwards.

    Source:
        Dodge et al. 2019, "Show Your Work": (i/n)^k - ((i-1)/n)^k.
    """
    return [(i / n) ** k - ((i - 1) / n) ** k for i in range(1, n + 1)]


def weights_without_replacement(n: int, k: int) -> list[float]:
    """Probability that the i-th smallest of n scores is the best of k drawn without replacement.

    Unbiased: the share C(i-1, k-1) / C(n, k), by the recursion w_n = k/n,
    w_i = w_(i+1) (i-k+1) / i, which never leaves [0, 1].

    Source:
        Tang et al. 2020, "Showing Your Work Doesn't Always Work".
    """
    weights = [0.0] * n
    weights[n - 1] = k / n
    for i in range(n - 1, k - 1, -1):
        weights[i - 1] = weights[i] * (i - k + 1) / i
    return weights


def expected_best(
    scores: Sequence[float], k: int, *, with_replacement: bool = False
) -> ExpectedBest:
    """Expected best score of k independent trials of a random search.

    Args:
        scores: Scores of the trials (higher is better), independent and identically distributed.
        k: Number of trials, at most that of the scores, since nothing is extrapolated.
        with_replacement: Whether to use the estimator with replacement; the default is unbiased.

    Raises:
        InvalidFactor: If there are fewer than five scores, a score is not finite, or k is out
            of range.
    """
    n = len(scores)
    if n < MIN_TRIALS:
        raise InvalidFactor("scores", f"{n} of them", f"{MIN_TRIALS} or more; list fewer as is")
    if require_count("k", k) > n:
        raise InvalidFactor("k", k, f"at most the {n} trials that were made")
    ordered = sorted(require_number("scores", s, at_least=-math.inf) for s in scores)
    weigh = weights_with_replacement if with_replacement else weights_without_replacement
    pairs = list(zip(weigh(n, k), ordered, strict=True))
    mean = sum(weight * score for weight, score in pairs)
    variance = sum(weight * (score - mean) ** 2 for weight, score in pairs)
    return ExpectedBest(k, mean, math.sqrt(max(variance, 0.0)))


def best_of(
    scores: Sequence[float], *, lower_is_better: bool = False, with_replacement: bool = False
) -> list[Best]:
    """Expected best scores of k = 1 .. n trials, with the central 95% of the best score.

    The band is that of the estimator's own weights: it says how much the best of k trials depends
    on which trials are drawn, and closes at k = n without replacement, where all are.

    Args:
        scores: Scores of the trials.
        lower_is_better: Whether the best score is the smallest.
        with_replacement: Whether to use the estimator with replacement; the default is unbiased.

    Raises:
        InvalidFactor: Like :func:`expected_best`.
    """
    sign = -1.0 if lower_is_better else 1.0
    signed = [sign * score for score in scores]
    ordered = sorted(signed)
    weigh = weights_with_replacement if with_replacement else weights_without_replacement
    curve = []
    for k in range(1, len(scores) + 1):
        best = expected_best(signed, k, with_replacement=with_replacement)
        weights = weigh(len(scores), k)
        ends = sorted(sign * _quantile(ordered, weights, share) for share in CENTRAL_95)
        curve.append(Best(k, sign * best.expected, best.score_std**2, ends[0], ends[1]))
    return curve


def _quantile(ordered: Sequence[float], weights: Sequence[float], share: float) -> float:
    """The smallest score up to which the weights add up to a share."""
    total = 0.0
    for score, weight in zip(ordered, weights, strict=True):
        total += weight
        if total >= share - _ROUNDING:
            return score
    return ordered[-1]


def budget_curve(
    scores: Sequence[float], mean_cost: float, *, with_replacement: bool = False
) -> list[CurvePoint]:
    """Expected best score by budget, for k = 1 .. n trials at their mean cost.

    Raises:
        InvalidFactor: Like :func:`expected_best`, or if the cost is negative.
    """
    cost = require_number("mean_cost", mean_cost)
    best = [
        expected_best(scores, k, with_replacement=with_replacement)
        for k in range(1, len(scores) + 1)
    ]
    return [CurvePoint(point.k * cost, point.expected) for point in best]


@dataclass(frozen=True, slots=True)
class Lead:
    """A range of budgets in which one of two curves has the better expected score.

    Attributes:
        low: Start of the range.
        high: End of the range.
        ahead: 1 where the first curve is higher, -1 where the second is, 0 where they are equal.
    """

    low: float
    high: float
    ahead: int


def leads(first: Sequence[CurvePoint], second: Sequence[CurvePoint]) -> list[Lead]:
    """Which of two curves is higher at each budget that both reach; never outside that range.

    Returns:
        The ranges between crossings, in order; empty if the curves have no budget in common.
    """
    low = max(first[0].budget, second[0].budget)
    high = min(first[-1].budget, second[-1].budget)
    if low > high:
        return []
    budgets = sorted({p.budget for p in (*first, *second) if low <= p.budget <= high})
    first_at, second_at = _linear(first), _linear(second)
    signs = [_sign(first_at(budget) - second_at(budget)) for budget in budgets]
    ahead = next((sign for sign in signs if sign), 0)
    ends = [low, *crossings(first, second), high]
    return [
        Lead(start, end, ahead * (-1) ** index)
        for index, (start, end) in enumerate(itertools.pairwise(ends))
    ]


def _sign(difference: float) -> int:
    return (difference > 0) - (difference < 0)


def crossings(first: Sequence[CurvePoint], second: Sequence[CurvePoint]) -> list[float]:
    """Budgets at which two curves cross, in their common range; linear between points."""
    low = max(first[0].budget, second[0].budget)
    high = min(first[-1].budget, second[-1].budget)
    budgets = sorted({p.budget for p in (*first, *second) if low <= p.budget <= high})
    first_at, second_at = _linear(first), _linear(second)
    budgets_of_crossings: list[float] = []
    ahead = 0.0
    for index, budget in enumerate(budgets):
        difference = first_at(budget) - second_at(budget)
        if difference == 0:
            continue
        if ahead and (difference > 0) != (ahead > 0):
            before = budgets[index - 1]
            start = first_at(before) - second_at(before)
            budgets_of_crossings.append(before + (budget - before) * start / (start - difference))
        ahead = difference
    return budgets_of_crossings


def _linear(curve: Sequence[CurvePoint]) -> Callable[[float], float]:
    def at(budget: float) -> float:
        for left, right in itertools.pairwise(curve):
            if left.budget <= budget <= right.budget and right.budget > left.budget:
                share = (budget - left.budget) / (right.budget - left.budget)
                return left.expected + (right.expected - left.expected) * share
        return curve[-1].expected

    return at
