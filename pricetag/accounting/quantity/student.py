"""Quantiles of Student's t distribution, for any positive number of degrees of freedom."""

from __future__ import annotations

import math

from pricetag.accounting.quantity.checks import InvalidFactor, require_positive

PANELS = 400
HALVINGS = 80
LARGEST = 1e6
"""More degrees of freedom than this count as this number."""


def t_quantile(probability: float, degrees_of_freedom: float) -> float:
    """The value that a t-distributed number stays below with a probability of 0.5 to 1.

    Args:
        probability: From 0.5 to below 1; 0.975 for a two-sided interval of 95%.
        degrees_of_freedom: At least 1; not necessarily whole.

    Raises:
        InvalidFactor: If a figure is out of its range.

    Source:
        Student 1908; with t = √n·tan θ its integral is that of cos^(n-1) θ, which
        Simpson's rule takes here to eight digits (Abramowitz and Stegun, 25.4.6 and 26.7).
    """
    if not 0.5 <= probability < 1:
        raise InvalidFactor("probability", probability, "a number from 0.5 to below 1")
    nu = min(require_positive("degrees_of_freedom", degrees_of_freedom), LARGEST)
    if nu < 1:
        raise InvalidFactor("degrees_of_freedom", degrees_of_freedom, "at least 1")
    log_scale = math.lgamma((nu + 1) / 2) - math.lgamma(nu / 2) - 0.5 * math.log(math.pi)
    wanted = (probability - 0.5) / math.exp(log_scale)
    low, high = 0.0, math.pi / 2
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if _integral(middle, nu - 1) < wanted:
            low = middle
        else:
            high = middle
    return math.sqrt(nu) * math.tan((low + high) / 2)


def _integral(theta: float, power: float) -> float:
    """Integral of cos^power from 0 to theta."""
    # For large powers the integrand is a narrow peak at 0, and nothing is left beyond.
    end = min(theta, 12 / math.sqrt(power) if power > 144 else theta)
    step = end / PANELS
    total = 0.0
    for index in range(PANELS + 1):
        weight = 1 if index in (0, PANELS) else 4 if index % 2 else 2
        total += weight * max(math.cos(index * step), 0.0) ** power
    return total * step / 3
