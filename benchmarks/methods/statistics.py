"""Means over seeds, and the interval of a difference."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from scipy import stats

CONFIDENCE = 0.95
NORMAL_95 = 1.959964


@dataclass(frozen=True)
class Sample:
    """A figure of one run with several seeds.

    Attributes:
        values: One for each seed.
        examples: Number of examples of which the figure is a share (accuracy); None if it is not.
        noise_log_sd: Standard deviation of the logarithm of one measurement; None if the figure
            is counted, so that it has no noise.
    """

    values: tuple[float, ...]
    examples: int | None = None
    noise_log_sd: float | None = None

    @property
    def mean(self) -> float:
        return fmean(self.values)

    @property
    def sd(self) -> float | None:
        """Standard deviation over the seeds; None with one seed."""
        return stdev(self.values) if len(self.values) > 1 else None

    @property
    def sampling_sd(self) -> float | None:
        """Standard deviation of a share because its examples are a sample; None if not a share."""
        if not self.examples:
            return None
        share = min(max(self.mean, 0.0), 1.0)
        return math.sqrt(share * (1 - share) / self.examples)


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


def difference(first: Sample, second: Sample) -> Difference:
    """First minus second: by the seeds (Welch), or by the number of examples.

    The latter with one seed, and where no seed of either differs, as of models that give one class.

    Source: Welch 1947, doi:10.1093/biomet/34.1-2.28.
    """
    value = first.mean - second.mean
    if first.sd is not None and second.sd is not None and (first.sd or second.sd):
        half = _welch(first, second)
        return Difference(value, value - half, value + half, "seeds")
    seeds = "one seed" if first.sd is None or second.sd is None else "no spread over seeds"
    if first.sampling_sd is None or second.sampling_sd is None:
        return Difference(value, None, None, seeds)
    half = NORMAL_95 * math.hypot(first.sampling_sd, second.sampling_sd)
    return Difference(value, value - half, value + half, f"{seeds}; sampling of the sentences")


def ratio_interval(first: Sample, second: Sample) -> tuple[float, float, float]:
    """First over second with its 95% interval, of width 0 for counted figures."""
    ratio = first.mean / second.mean
    variances = [(one.noise_log_sd or 0.0) ** 2 / len(one.values) for one in (first, second)]
    factor = math.exp(NORMAL_95 * math.sqrt(sum(variances)))
    return ratio, ratio / factor, ratio * factor


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


def _welch(first: Sample, second: Sample) -> float:
    parts = [_variance(first), _variance(second)]
    total = sum(parts)
    if total == 0:
        return 0.0
    counts = (len(first.values), len(second.values))
    freedom = total**2 / sum(p**2 / (n - 1) for p, n in zip(parts, counts, strict=True))
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * math.sqrt(total)


def _variance(sample: Sample) -> float:
    assert sample.sd is not None
    return sample.sd**2 / len(sample.values)


def sample_of(
    values: Sequence[float | None],
    examples: int | None = None,
    noise: float | None = None,
) -> Sample | None:
    """The values that are known; None if none is."""
    known_values = tuple(value for value in values if value is not None)
    return Sample(known_values, examples, noise) if known_values else None
