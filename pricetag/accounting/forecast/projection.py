"""Projected totals of a running job, from its usage, the pace of its step, and history.

Each resource (energy, time) is projected separately, in its own unit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pricetag.accounting.forecast.estimates import Forecast
from pricetag.accounting.quantity.uncertainty import Z_95, log_sigma

LEAST_PROGRESS_RATIO = 0.05
"""Share of a step below which its pace is not yet meaningful."""

PACE_STD_RATIO = 0.15
"""Spread of the future pace relative to the pace so far, one sigma."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Reported progress of the current step.

    Attributes:
        done: Completed amount, in steps, examples, ...
        total: Total amount.
        first: First reported progress; a resumed training does not begin at 0.
        since_first: Usage since the first report.
    """

    done: float
    total: float
    first: float
    since_first: float

    @property
    def ratio(self) -> float:
        """Completed share of the step, 0 to 1."""
        return min(max(self.done / self.total, 0.0), 1.0) if self.total > 0 else 0.0

    @property
    def paced(self) -> bool:
        """Whether enough progress was reported to compute a pace."""
        ahead = self.total - self.first
        return ahead > 0 and self.done - self.first >= LEAST_PROGRESS_RATIO * ahead


@dataclass(frozen=True, slots=True)
class Standing:
    """State of a running job.

    Attributes:
        used: Usage of all its attempts so far.
        step: Index of the current step; None before the first.
        kinds: The kinds of all its steps.
        in_step: Usage in the current step so far.
        counted: Progress of the current step, if it reports any.
        expected: Expected usage of each step, from history; None without history.
    """

    used: float
    step: int | None
    kinds: Sequence[str]
    in_step: float
    counted: Counted | None
    expected: Sequence[Forecast | None]


@dataclass(frozen=True, slots=True)
class Range:
    """A figure with its 95% interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, forecast: Forecast) -> Range:
        """Median and interval of a forecast."""
        return cls(forecast.value, forecast.low, forecast.high)

    def plus(self, other: Range) -> Range:
        """The sum; forecasts from one history have a common error, so the ends add."""
        return Range(self.value + other.value, self.low + other.low, self.high + other.high)


class NoProjection(ValueError):  # noqa: N818 - the message states why there is no projection
    """There is no projection; the message states the reason."""


def progress_ratio(standing: Standing) -> float | None:
    """Completed share of the job's total usage, with steps weighted by history; None if unknown.

    A job of one step that reports its progress needs no history.
    """
    step = standing.step
    if step is None:
        return 0.0
    if len(standing.kinds) == 1 and standing.counted is not None:
        return standing.counted.ratio
    weights = [forecast.value for forecast in standing.expected if forecast]
    if len(weights) < len(standing.kinds) or not sum(weights) > 0:
        return None
    if standing.counted is not None:
        within = standing.counted.ratio
    else:
        within = min(standing.in_step / weights[step], 1.0) if weights[step] else 0.0
    return (sum(weights[:step]) + within * weights[step]) / sum(weights)


def project(standing: Standing) -> Range:
    """Total usage of the job at its end.

    Usage so far + rest of the current step + remaining steps. The rest of the step is
    extrapolated from the pace since its first progress report; before that, and for the
    remaining steps, history is used.

    Raises:
        NoProjection: If too little is done, or a remaining step has no history.

    Source:
        Energy left = E · (total - done) / (done - first): a constant pace, within
        ``PACE_STD_RATIO``.
    """
    done = progress_ratio(standing)
    if standing.step is None:
        raise NoProjection("no step of the job has begun")
    if done is not None and done < LEAST_PROGRESS_RATIO:
        raise NoProjection(f"{done:.1%} is done; a projection is made from 5% on")
    total = Range(standing.used, standing.used, standing.used).plus(_rest_of_step(standing))
    for place in range(standing.step + 1, len(standing.kinds)):
        forecast = _expected(standing, place)
        if forecast is None:
            raise NoProjection(
                f"{_named(standing, place)} is to come, and no similar run has used it"
            )
        total = total.plus(Range.of(forecast))
    return total


def _rest_of_step(standing: Standing) -> Range:
    assert standing.step is not None
    counted = standing.counted
    if counted is not None and counted.paced:
        remaining_use = counted.since_first * max(counted.total - counted.done, 0.0)
        value = remaining_use / (counted.done - counted.first)
        factor = math.exp(Z_95 * log_sigma(PACE_STD_RATIO))
        return Range(value, value / factor, value * factor)
    forecast = _expected(standing, standing.step)
    if forecast is None:
        name = _named(standing, standing.step)
        if counted is None:
            raise NoProjection(f"{name} reports no progress, and there is no similar run")
        raise NoProjection(
            f"{counted.ratio:.1%} of {name} is done; a projection is made from 5% on"
        )
    if counted is not None:
        share = 1 - counted.ratio
        return Range(forecast.value * share, forecast.low * share, forecast.high * share)
    low, value, high = (
        max(figure - standing.in_step, 0.0)
        for figure in (forecast.low, forecast.value, forecast.high)
    )
    return Range(value, low, high)


def _expected(standing: Standing, place: int) -> Forecast | None:
    return standing.expected[place] if place < len(standing.expected) else None


def _named(standing: Standing, place: int) -> str:
    return f"step {place + 1} ({standing.kinds[place]})"
