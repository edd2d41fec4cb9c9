"""Quantiles of Student's t distribution, for any positive number of degrees of freedom."""

from __future__ import annotations

import math

from pricetag.accounting.quantity.checks import InvalidFactor, require_positive

PANELS = 400
HALVINGS = 80
LARGEST = 1e6
"""Maximum number of degrees of freedom; larger numbers count as this one."""


def t_quantile(probability: float, degrees_of_freedom: float) -> float:
    """Quantile of Student's t distribution for a probability from 0.5 to below 1.

    Args:
        probability: Probability from 0.5 to below 1; 0.975 for a two-sided 95% interval.
        degrees_of_freedom: At least 1; not necessarily a whole number.

    Raises:
        InvalidFactor: If a figure is out of range.

    Source:
        Student 1908; with t = √n·tan θ its integral is that of cos^(n-1) θ, which Simpson's
        rule computes here to eight digits (Abramowitz and Stegun, 25.4.6 and 26.7).
    """
    if not 0.5 <= probability < 1:
        raise InvalidFactor("probability", probability, "a number from 0.5 to below 1")
    nu = min(require_positive("degrees_of_freedom", degrees_of_freedom), LARGEST)
    if nu < 1:
        raise InvalidFactor("degrees_of_freedom", degrees_of_freedom, "at least 1")
    log_scale = math.lgamma((nu + 1) / 2) - math.lgamma(nu / 2) - 0.5 * math.log(math.pi)
    area = (probability - 0.5) / math.exp(log_scale)
    low, high = 0.0, math.pi / 2
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if _integral(middle, nu - 1) < area:
            low = middle
        else:
            high = middle
    return math.sqrt(nu) * math.tan((low + high) / 2)


def _integral(theta: float, power: float) -> float:
    """Integral of cos^power from 0 to theta."""
    # For large powers the integrand is a narrow peak at 0, and negligible beyond.
    end = min(theta, 12 / math.sqrt(power) if power > 144 else theta)
    step = end / PANELS
    total = 0.0
    for index in range(PANELS + 1):
        weight = 1 if index in (0, PANELS) else 4 if index % 2 else 2
        total += weight * max(math.cos(index * step), 0.0) ** power
    return total * step / 3
