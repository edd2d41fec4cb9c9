"""The 95% interval of a sum or a product from the errors of its parts.

There are two kinds of error, both relative and one sigma. An additive error widens a figure by a
share of itself (a meter's gain). A multiplicative error is a factor: times or divided by
(1 + ratio), log-normal (a model of a CPU's power). Common errors of the parts (the gain of one
GPU model, a model's bias) add linearly; independent errors add in quadrature.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

from pricetag.accounting.quantity.checks import require_number, require_positive

Z_95 = 1.959963984540054
"""Half-width of a 95% interval in standard deviations of a normal distribution."""

NVML_UPDATE_S = 0.1
"""Update period of an NVML energy counter, in s."""

SAMPLES = 2_000


@dataclass(frozen=True, slots=True)
class Term:
    """One summand.

    Attributes:
        value: The summand, not negative.
        group: Summands of one group share their common error.
        common_std_ratio: Relative error shared within the group, one sigma.
        own_std_ratio: Relative error of this summand alone, one sigma.
        multiplicative: Whether the common error is a factor.
    """

    value: float
    group: str
    common_std_ratio: float
    own_std_ratio: float = 0.0
    multiplicative: bool = False


@dataclass(frozen=True, slots=True)
class Multiplier:
    """Error of a factor, whose value the terms already include.

    Attributes:
        name: Name of the factor; its error has the same draws in all products.
        std_ratio: Relative error, one sigma.
        multiplicative: Whether the error is a factor.
        least_ratio: Smallest possible value of the factor, relative to its value, if it has one:
            what exceeds it has a log-normal distribution with the factor's mean and error.
    """

    name: str
    std_ratio: float
    multiplicative: bool = False
    least_ratio: float | None = None

    @property
    def is_normal(self) -> bool:
        """Whether its error is normal, or there is none."""
        return not self.multiplicative and (self.least_ratio is None or not self.std_ratio)


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95% interval."""

    low: float
    high: float


Error = tuple[str, float, bool]
"""A common error: group, relative size (one sigma), and whether it is multiplicative."""

Intervals = Callable[[Sequence[tuple[tuple[Error, ...], Sequence[float]]], int], Sequence[Interval]]
"""Computes the intervals of several sums, each given as the errors and values of its parts."""


def counter_edge_std_ratio(window_s: float, update_s: float = NVML_UPDATE_S) -> float:
    """Relative error of a window due to a counter's updates: up to one period at each edge.

    The error of one edge is uniform over one period; that of the difference of two edges has
    the standard deviation u/√6.

    Raises:
        InvalidFactor: If the window is not positive.

    Source:
        SD = u / (√6 · T): 4.1% at 1 s, 0.41% at 10 s for u = 0.1 s.
    """
    ticks = require_number("update_s", update_s) / require_positive("window_s", window_s)
    return ticks / math.sqrt(6)


def log_sigma(std_ratio: float) -> float:
    """Standard deviation of the logarithm for an error of "times or divided by 1 + ratio"."""
    return math.log1p(std_ratio)


Sampled = Callable[[Sequence[Term], Sequence[Multiplier], int], Interval]
"""The 2.5% and 97.5% quantiles of the draws of terms times multipliers, with a seed."""


def sampled(terms: Sequence[Term], multipliers: Sequence[Multiplier], seed: int) -> Interval:
    """The 2.5% and 97.5% quantiles of the sum of terms times multipliers."""
    totals = samples(terms, seed=seed)
    for multiplier in multipliers:
        factors = draws_of_multiplier(multiplier, seed)
        totals = [total * factor for total, factor in zip(totals, factors, strict=True)]
    return central_95(totals)


def combine(
    terms: Sequence[Term],
    multipliers: Sequence[Multiplier] = (),
    *,
    seed: int = 0,
    ends_of: Sampled = sampled,
) -> Interval:
    """The interval of the sum of terms, times multipliers whose values the terms include.

    With only additive errors it is value x (1 ± 1.96 sd), with sd by propagation, and not below
    0. With a multiplicative error, or a factor with a smallest possible value, it consists of the
    2.5% and 97.5% quantiles of a seeded Monte Carlo simulation.

    The interval always contains the value: the sum of many independent log-normal parts exceeds
    the sum of their medians, and the interval is then extended down to the value.

    Args:
        terms: The terms.
        multipliers: The multipliers.
        seed: Seed of the simulation.
        ends_of: Finds the quantiles of the simulation, equal to those of ``sampled``.
    """
    value = sum(term.value for term in terms)
    if value == 0:
        return Interval(0.0, 0.0)
    sigma = _only_factor(terms, multipliers)
    if sigma is not None:
        return Interval(value * math.exp(-Z_95 * sigma), value * math.exp(Z_95 * sigma))
    if any(t.multiplicative for t in terms) or not all(m.is_normal for m in multipliers):
        ends = ends_of(terms, multipliers, seed)
        return Interval(max(min(ends.low, value), 0.0), max(ends.high, value))
    variance = _relative_variance(terms, value) + sum(m.std_ratio**2 for m in multipliers)
    half = Z_95 * math.sqrt(variance)
    return Interval(max(value * (1 - half), 0.0), value * (1 + half))


def combine_each(
    sums: Sequence[tuple[tuple[Error, ...], Sequence[float]]], seed: int = 0
) -> list[Interval]:
    """The interval of each sum, given as the errors and values of its parts."""
    return [combine(terms_of(errors, values), seed=seed) for errors, values in sums]


def terms_of(errors: Sequence[Error], values: Sequence[float]) -> list[Term]:
    """Terms with a common error each, and without errors of their own."""
    return [
        Term(value, group, std_ratio, multiplicative=multiplicative)
        for (group, std_ratio, multiplicative), value in zip(errors, values, strict=True)
    ]


def _only_factor(terms: Sequence[Term], multipliers: Sequence[Multiplier]) -> float | None:
    """The log-sigma if there is only one multiplicative error, whose interval is exact."""
    if any(term.own_std_ratio or not term.multiplicative for term in terms):
        return None
    errors = {(term.group, term.common_std_ratio) for term in terms}
    if len(errors) != 1 or any(m.std_ratio for m in multipliers):
        return None
    return log_sigma(errors.pop()[1])


def _relative_variance(terms: Iterable[Term], total: float) -> float:
    common: dict[str, float] = {}
    own = 0.0
    for term in terms:
        share = term.value / total
        common[term.group] = common.get(term.group, 0.0) + share * term.common_std_ratio
        own += (share * term.own_std_ratio) ** 2
    return sum(std_ratio**2 for std_ratio in common.values()) + own


def samples(terms: Sequence[Term], *, seed: int = 0, own: str = "own") -> list[float]:
    """``SAMPLES`` draws of the sum of terms, in an order given by the seed.

    Args:
        terms: The terms to sum.
        seed: Seed; with one seed, a group's common error has the same draws in every sum, so
            that it cancels in the ratio of sums with the same mix of groups.
        own: Name of the draws of the terms' own errors; sums with independent own errors need
            different names.
    """
    totals = [0.0] * SAMPLES
    for error, part in parts_of(terms).items():
        factors = draws_of(error, seed)
        totals = [total + part * factor for total, factor in zip(totals, factors, strict=True)]
    own_std = math.hypot(*(term.value * term.own_std_ratio for term in terms))
    if own_std:
        normals = _normals(f"{seed}:{own}")
        totals = [total + own_std * z for total, z in zip(totals, normals, strict=True)]
    return totals


TAIL = round(0.025 * SAMPLES)
"""Number of the ``SAMPLES`` draws below a 95% interval, and number above it."""


def central_95(draws: Iterable[float]) -> Interval:
    """The 2.5% and 97.5% quantiles of ``SAMPLES`` draws."""
    ordered = sorted(draws)
    return Interval(ordered[TAIL], ordered[SAMPLES - 1 - TAIL])


def parts_of(terms: Iterable[Term]) -> Mapping[Error, float]:
    """The terms that share an error, added up."""
    parts: dict[Error, float] = {}
    for term in terms:
        key = (term.group, term.common_std_ratio, term.multiplicative)
        parts[key] = parts.get(key, 0.0) + term.value
    return parts


def draws_of(error: Error, seed: int = 0) -> tuple[float, ...]:
    """``SAMPLES`` draws of the factor by which a common error multiplies its terms."""
    group, std_ratio, multiplicative = error
    return _factors(f"term:{group}", std_ratio, multiplicative, seed)


@lru_cache(maxsize=256)
def draws_of_multiplier(multiplier: Multiplier, seed: int) -> tuple[float, ...]:
    """``SAMPLES`` draws of a multiplier."""
    name = f"times:{multiplier.name}"
    if multiplier.least_ratio is None:
        return _factors(name, multiplier.std_ratio, multiplier.multiplicative, seed)
    quantile = above_least(multiplier.std_ratio, multiplier.least_ratio)
    return tuple(quantile(z) for z in _normals(f"{seed}:{name}"))


def above_least(std_ratio: float, least_ratio: float) -> Callable[[float], float]:
    """The quantiles of a factor of mean 1 that cannot be below ``least_ratio``.

    What exceeds the least is log-normal: with excess = 1 - least, mean 1 and standard deviation
    ``std_ratio`` it is excess x exp(s z - s²/2), where s² = ln(1 + (std_ratio / excess)²).

    Args:
        std_ratio: Relative error of the factor, one sigma.
        least_ratio: Its smallest possible value relative to its mean; at 1 it has no error.

    Returns:
        The factor by the standard normal number z.

    Source:
        Limpert, Stahel, Abbt 2001, doi:10.1641/0006-3568(2001)051[0341:LNDATS]2.0.CO;2; mean and
        variance of a log-normal distribution.
    """
    excess = 1.0 - least_ratio
    if excess <= 0:
        return lambda z: 1.0
    sigma = math.sqrt(math.log1p((std_ratio / excess) ** 2))
    return lambda z: least_ratio + excess * math.exp(sigma * z - sigma**2 / 2)


@lru_cache(maxsize=256)
def _factors(name: str, std_ratio: float, multiplicative: bool, seed: int) -> tuple[float, ...]:
    sigma = log_sigma(std_ratio) if multiplicative else std_ratio
    spread: Callable[[float], float] = math.exp if multiplicative else _one_plus
    return tuple(spread(sigma * z) for z in _normals(f"{seed}:{name}"))


def _one_plus(deviation: float) -> float:
    return max(1.0 + deviation, 0.0)


@lru_cache(maxsize=256)
def _normals(seed: str) -> tuple[float, ...]:
    """Stratified standard normal numbers, in an order given by the seed."""
    quantile = NormalDist().inv_cdf
    normals = [quantile((index + 0.5) / SAMPLES) for index in range(SAMPLES)]
    random.Random(seed).shuffle(normals)
    return tuple(normals)
