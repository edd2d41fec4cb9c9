"""Accuracy of quotes: of each one compared with the actual usage, and of many together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

NAMES = ("duration_s", "it_energy_kwh", "facility_energy_kwh", "co2e_kg", "cost")
"""The quantities of a quote."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One quoted quantity compared with the actual one.

    Attributes:
        quoted: The median of the quote.
        actual: Value on the price tag.
        log_error: ln(actual / quoted): above 0 if the quote was too low.
        inside: Whether the actual figure is in the quote's 95% interval.
    """

    quoted: float
    actual: float
    log_error: float
    inside: bool

    def as_dict(self) -> dict[str, Any]:
        """The hit as JSON data; ``factor`` is actual / quoted."""
        return {
            "quoted": self.quoted,
            "actual": self.actual,
            "factor": self.actual / self.quoted,
            "log_error": self.log_error,
            "inside": self.inside,
        }


@dataclass(frozen=True, slots=True)
class Score:
    """Accuracy of many quotes of a quantity.

    Attributes:
        count: Number of quotes.
        median_factor: Half of the actual figures were within this factor of the quote (1 is
            perfect).
        bias_factor: Median of actual / quoted: above 1 if quotes are too low.
        inside_ratio: Share of actual figures inside the 95% interval (0.95 is ideal).
    """

    count: int
    median_factor: float
    bias_factor: float
    inside_ratio: float


def hit(quoted: Mapping[str, Any], actual: Mapping[str, Any]) -> Hit | None:
    """Compares two stored quantities; None if either is unknown or not positive."""
    median_quoted, actual_value = quoted.get("value"), actual.get("value")
    if not median_quoted or not actual_value or median_quoted < 0 or actual_value < 0:
        return None
    inside = bool(quoted["low"] <= actual_value <= quoted["high"])
    return Hit(median_quoted, actual_value, math.log(actual_value / median_quoted), inside)


def summary(hits: Iterable[tuple[float, bool]]) -> Score | None:
    """The score of many ``(log_error, inside)``; None without any."""
    scored = list(hits)
    if not scored:
        return None
    return score_of(
        count=len(scored),
        inside=sum(inside for _, inside in scored),
        median_error=median(error for error, _ in scored),
        median_abs_error=median(abs(error) for error, _ in scored),
    )


def score_of(count: int, inside: int, median_error: float, median_abs_error: float) -> Score:
    """The score of quotes, from sums of their log errors.

    Args:
        count: Number of quotes, at least 1.
        inside: Number of actual figures inside the quote's interval.
        median_error: Median of the log errors.
        median_abs_error: Median of their absolute values.

    Source:
        The median absolute log error is the symmetric accuracy of Morley, Brito, Welling
        2018, Space Weather 16, 69-88, doi:10.1002/2017SW001669.
    """
    return Score(
        count=count,
        median_factor=math.exp(median_abs_error),
        bias_factor=math.exp(median_error),
        inside_ratio=inside / count,
    )
