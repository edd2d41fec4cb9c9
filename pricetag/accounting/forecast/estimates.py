"""Forecast of a figure from similar figures: a median and a 95% interval.

Energies and durations are positive, and errors of estimates are factors ("half or twice as
much"), so everything here is log-normal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean, variance

from pricetag.accounting.quantity.checks import require_count, require_number, require_positive
from pricetag.accounting.quantity.uncertainty import Z_95, log_sigma

PRIOR_DF = 3
"""Weight of the prior spread, as a number of runs."""

MOST_DF = 1_000
"""Degrees of freedom from which Student's t equals the normal distribution to four digits."""

MOST_LOG_HALF = 50.0
"""Maximum width of an interval, which is already meaningless; wider ones would overflow."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """Forecast of a figure.

    Attributes:
        value: The median.
        log_half: The 95% interval is ``value`` times or divided by ``e**log_half``.
    """

    value: float
    log_half: float

    @property
    def low(self) -> float:
        """Lower end of the 95% interval."""
        return self.value * math.exp(-self.log_half)

    @property
    def high(self) -> float:
        """Upper end of the 95% interval."""
        return self.value * math.exp(self.log_half)

    def times(self, factor: float, log_half: float = 0.0) -> Forecast:
        """The product with a positive factor whose error is independent of this one's."""
        wide = min(math.hypot(self.log_half, log_half), MOST_LOG_HALF)
        return Forecast(self.value * factor, wide)


@dataclass(frozen=True, slots=True)
class Spread:
    """Prior spread of figures, before any have been observed.

    Attributes:
        std_ratio: One sigma: times or divided by 1 + ratio.
        df: Its weight, as a number of runs.
    """

    std_ratio: float
    df: int = PRIOR_DF


def predict(observed: Sequence[float], prior: Spread, *, extra_std_ratio: float = 0.0) -> Forecast:
    """Forecast of the next figure from observed ones.

    With y the logarithms, n of them, mean m and variance s² (n - 1), the next one lies in
    m ± t · sqrt(v · (1 + 1/n)), where v = (d · u² + (n - 1) · s²) / (d + n - 1) mixes the
    prior spread u, with a weight of d runs, with the observed one; t is Student's 97.5% quantile
    with d + n - 1 degrees of freedom.

    Args:
        observed: Positive figures, at least one.
        prior: Prior spread.
        extra_std_ratio: A further independent error, such as that of scaling to other work.

    Raises:
        InvalidFactor: If there are no figures, or one is not positive.

    Source:
        Gelman et al. 2013, Bayesian Data Analysis, 3rd ed., sections 3.2 and 3.3: the
        posterior predictive of a normal with a flat prior of the mean and a scaled inverse
        chi-square prior of the variance.
    """
    count = require_count("seen", len(observed))
    logs = [math.log(require_positive("seen", figure)) for figure in observed]
    sigma = log_sigma(require_number("std_ratio", prior.std_ratio))
    df = require_count("df", prior.df) + count - 1
    squares = (count - 1) * variance(logs) if count > 1 else 0.0
    mixed = (prior.df * sigma**2 + squares) / df
    half = student_t_975(df) * math.sqrt(mixed * (1 + 1 / count))
    extra = Z_95 * log_sigma(require_number("extra_std_ratio", extra_std_ratio))
    return Forecast(math.exp(fmean(logs)), min(math.hypot(half, extra), MOST_LOG_HALF))


def between(low: float, high: float) -> Forecast:
    """Forecast with an assumed 95% range; the median is its geometric mean.

    Raises:
        InvalidFactor: If an end is not positive.
    """
    ends = sorted((require_positive("low", low), require_positive("high", high)))
    middle = math.sqrt(ends[0]) * math.sqrt(ends[1])
    return Forecast(middle, math.log(ends[1] / ends[0]) / 2)


@lru_cache(maxsize=MOST_DF)
def student_t_975(df: int) -> float:
    """The 97.5% quantile of Student's t with a whole number of degrees of freedom.

    Raises:
        InvalidFactor: If there is less than one degree of freedom.

    Source:
        Abramowitz and Stegun 1964, 26.7.3 and 26.7.4: the distribution as a finite sum.
    """
    if require_count("df", df) > MOST_DF:
        return Z_95
    low, high = Z_95, 12.8  # the quantile with one degree of freedom is 12.706
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, df) < 0.95 else (low, middle)
    return (low + high) / 2


def _within(t: float, df: int) -> float:
    """The probability of lying within ± t."""
    theta = math.atan(t / math.sqrt(df))
    sine, cosine = math.sin(theta), math.cos(theta)
    odd = df % 2
    term = cosine if odd else 1.0
    terms = 0.0 if df == 1 else term
    for k in range(2 + odd, df, 2):
        term *= (k - 1) / k * cosine**2
        terms += term
    return 2 / math.pi * (theta + sine * terms) if odd else sine * terms
