"""Means over seeds, and the interval of a difference."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev

from scipy import stats

CONFIDENCE = 0.95
NORMAL_95 = 1.959964
SEEDS_FOR_AN_INTERVAL = 3


@dataclass(frozen=True)
class Sample:
    """A figure of one run with several seeds.

    Attributes:
        values: The figure by seed.
        examples: Number of examples of which the figure is a share (accuracy); None if it is not.
        noise_log_sd: Standard deviation of the logarithm of one measurement; None if the figure
            is counted, so that it has no noise.
        right: Whether each validation sentence got its class, by seed, where predictions are known.
        learned_nothing: How the model fails to beat the most frequent class; None if it beats it.
        inputs: What the figures were computed on: a hash of the sentences; None if unknown.
    """

    values: Mapping[int, float]
    examples: int | None = None
    noise_log_sd: float | None = None
    right: Mapping[int, Sequence[bool]] = field(default_factory=dict)
    learned_nothing: str | None = None
    inputs: str | None = None

    @property
    def mean(self) -> float:
        return fmean(self.values.values())

    @property
    def sd(self) -> float | None:
        """Standard deviation over the seeds; None with one seed."""
        return stdev(self.values.values()) if len(self.values) > 1 else None

    def of_seeds(self, seeds: Iterable[int]) -> Sample:
        """The same figure of some of the seeds."""
        values = {seed: self.values[seed] for seed in seeds}
        right = {seed: self.right[seed] for seed in values if seed in self.right}
        return Sample(
            values, self.examples, self.noise_log_sd, right, self.learned_nothing, self.inputs
        )


@dataclass(frozen=True)
class Difference:
    """A difference of means with its 95% interval, where one is known.

    Attributes:
        value: First minus second.
        low: Lower end; None if the noise is unknown.
        high: Upper end.
        basis: What the interval comes from.
    """

    value: float
    low: float | None
    high: float | None
    basis: str


class DifferentDataError(ValueError):
    """Two figures were computed on different sentences, or from different encoders."""


def pairs(first: Sample, second: Sample) -> list[int]:
    """The seeds that two samples share, rising.

    Raises:
        DifferentDataError: The figures were computed on different inputs.
    """
    if None not in (first.inputs, second.inputs) and first.inputs != second.inputs:
        raise DifferentDataError("computed on different data")
    return sorted(set(first.values) & set(second.values))


def difference(first: Sample, second: Sample) -> Difference:
    """First minus second, over the seeds that both have.

    With three seeds or more, the interval is that of the paired differences (Student); with fewer,
    or if they do not differ, that of the sentences: paired by the predictions where these are
    known (adjusted Wald interval), or else of two independent shares.

    Raises:
        DifferentDataError: The figures were computed on different inputs.

    Source: Agresti and Min 2005, doi:10.1002/sim.1781.
    """
    seeds = pairs(first, second)
    if not seeds:
        return Difference(first.mean - second.mean, None, None, "no seed in common")
    differences = [first.values[seed] - second.values[seed] for seed in seeds]
    value = fmean(differences)
    number = f"{len(seeds)} seeds" if len(seeds) > 1 else "one seed"
    if len(seeds) >= SEEDS_FOR_AN_INTERVAL and stdev(differences) > 0:
        quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(seeds) - 1))
        half = quantile * stdev(differences) / math.sqrt(len(seeds))
        return Difference(value, value - half, value + half, f"{number}, paired")
    ends = _by_sentence(first, second, seeds)
    if ends is not None:
        return Difference(value, *ends, f"{number}, paired sentences")
    half_or_none = _by_count(first.of_seeds(seeds), second.of_seeds(seeds))
    if half_or_none is None:
        return Difference(value, None, None, number)
    ends = (value - half_or_none, value + half_or_none)
    return Difference(value, *ends, f"{number}, number of sentences")


def _by_sentence(first: Sample, second: Sample, seeds: Sequence[int]) -> tuple[float, float] | None:
    """Ends of the interval by the sentences that one got right and the other did not."""
    if not all(seed in first.right and seed in second.right for seed in seeds):
        return None
    by_seed = [
        [int(a) - int(b) for a, b in zip(first.right[seed], second.right[seed], strict=True)]
        for seed in seeds
    ]
    means = [fmean(of_sentence) for of_sentence in zip(*by_seed, strict=True)]
    count = len(means) + 2  # half a sentence more in each of the four cells
    center = sum(means) / count
    variance = (sum(mean**2 for mean in means) + 1) / count - center**2
    half = NORMAL_95 * math.sqrt(variance / count)
    return center - half, center + half


def _by_count(first: Sample, second: Sample) -> float | None:
    """Half of the interval of a difference of independent shares; None if they are not shares."""
    if not first.examples or not second.examples:
        return None
    parts = [
        (share := min(max(sample.mean, 0.0), 1.0)) * (1 - share) / examples
        for sample, examples in ((first, first.examples), (second, second.examples))
    ]
    return NORMAL_95 * math.sqrt(sum(parts))


def ratio_interval(first: Sample, second: Sample) -> tuple[float, float, float]:
    """First over second with its 95% interval, of width 0 for counted figures."""
    ratio = first.mean / second.mean
    variances = [(one.noise_log_sd or 0.0) ** 2 / len(one.values) for one in (first, second)]
    factor = math.exp(NORMAL_95 * math.sqrt(sum(variances)))
    return ratio, ratio / factor, ratio * factor


def paired_ratio(ratios: Sequence[float]) -> tuple[float, float, float]:
    """Geometric mean of ratios of pairs measured side by side, with its 95% interval (Student).

    Args:
        ratios: At least two, above 0.
    """
    logs = [math.log(ratio) for ratio in ratios]
    quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(logs) - 1))
    half = quantile * stdev(logs) / math.sqrt(len(logs))
    center = fmean(logs)
    return math.exp(center), math.exp(center - half), math.exp(center + half)


def noise_log_sd(groups: Iterable[Sequence[float]]) -> float | None:
    """Standard deviation of the logarithm of a measurement, from groups of equal things.

    Source: pooled variance, the groups' sums of squares over their degrees of freedom.
    """
    squares, freedom = 0.0, 0
    for group in groups:
        logs = [math.log(value) for value in group]
        squares += sum((value - fmean(logs)) ** 2 for value in logs)
        freedom += len(logs) - 1
    return math.sqrt(squares / freedom) if freedom else None


def no_better_than_one_class(right: float, most_frequent: float, examples: int) -> bool:
    """Whether an accuracy is within the noise of giving the most frequent class (one-sided 97.5%).

    Args:
        right: Accuracy.
        most_frequent: Share of the most frequent class.
        examples: Number of examples.
    """
    noise = NORMAL_95 * math.sqrt(most_frequent * (1 - most_frequent) / examples)
    return right <= most_frequent + noise
