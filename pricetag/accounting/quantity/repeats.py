"""The ratio of two groups of repeated runs, with the spread of the repeats as its only error.

On the same card at the same site, the meter's gain, the PUE and the carbon intensity are the
same in numerator and denominator and cancel; only the spread of the repeats remains.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, variance

from pricetag.accounting.quantity.checks import require_positive
from pricetag.accounting.quantity.student import t_quantile

FEWEST = 2
"""Minimum number of repeats on each side for a spread."""


@dataclass(frozen=True, slots=True)
class RepeatRatio:
    """The mean of one group over the mean of another.

    Attributes:
        value: Mean of the first over mean of the second.
        low: Lower end of the 95% interval; None if there are too few repeats.
        high: Upper end of the interval.
        degrees_of_freedom: Degrees of freedom of the interval's t distribution.
        reason: Reason why there is no interval.
    """

    value: float
    low: float | None
    high: float | None
    degrees_of_freedom: float | None
    reason: str | None = None


def repeat_ratio(first: Sequence[float], second: Sequence[float]) -> RepeatRatio:
    """Ratio of two means of positive figures, with a 95% interval from their spread.

    The logarithm of the ratio has, to first order, the variance s₁²/(n₁·m₁²) + s₂²/(n₂·m₂²);
    its t interval is transformed back, so that the interval stays above 0 and that of the
    inverse ratio is its mirror image.

    Args:
        first: Figures of the repeats in one group.
        second: Figures of the repeats in the group to compare with.

    Raises:
        InvalidFactor: If a figure is not above 0, or a group is empty.

    Source:
        Hedges, Gurevitch, Curtis 1999 (doi:10.1890/0012-9658(1999)080[1150:TMAORR]2.0.CO;2)
        for the variance of a log ratio of means; Welch 1947 (doi:10.1093/biomet/34.1-2.28)
        for the degrees of freedom of unequal variances.
    """
    for name, group in (("first", first), ("second", second)):
        require_positive(f"{name} (number of repeats)", len(group))
        for figure in group:
            require_positive(name, figure)
    value = mean(first) / mean(second)
    if min(len(first), len(second)) < FEWEST:
        reason = f"at least {FEWEST} repeats are needed on each side"
        return RepeatRatio(value, None, None, None, reason)
    first_error, second_error = (
        variance(group) / len(group) / mean(group) ** 2 for group in (first, second)
    )
    if first_error + second_error == 0:
        return RepeatRatio(value, value, value, None, "all repeats have the same figure")
    freedom = (first_error + second_error) ** 2 / (
        first_error**2 / (len(first) - 1) + second_error**2 / (len(second) - 1)
    )
    half = t_quantile(0.975, freedom) * math.sqrt(first_error + second_error)
    return RepeatRatio(value, value * math.exp(-half), value * math.exp(half), freedom)
