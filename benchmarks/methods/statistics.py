"""Means over seeds, and the interval of a difference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from scipy import stats

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Sample:
    """A figure of one run with several seeds.

    Attributes:
        values: One for each seed.
        examples: Number of examples of which the figure is a share (accuracy); None if it is not.
    """

    values: tuple[float, ...]
    examples: int | None = None

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
    """First minus second: by the seeds (Welch), or with one seed by the number of examples.

    Source: Welch 1947, doi:10.1093/biomet/34.1-2.28.
    """
    value = first.mean - second.mean
    if first.sd is not None and second.sd is not None:
        half = _welch(first, second)
        return Difference(value, value - half, value + half, "seeds")
    if first.sampling_sd is None or second.sampling_sd is None:
        return Difference(value, None, None, "one seed")
    half = 1.959964 * math.hypot(first.sampling_sd, second.sampling_sd)
    return Difference(value, value - half, value + half, "one seed; sampling of the sentences")


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


def sample_of(values: Sequence[float | None], examples: int | None = None) -> Sample | None:
    """The values that are known; None if none is."""
    known_values = tuple(value for value in values if value is not None)
    return Sample(known_values, examples) if known_values else None
