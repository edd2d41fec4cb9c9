"""Figures of several runs: mean, spread between the runs, and number of unknown values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import stdev

from pricetag.tag.figure import Figure, Shown, scaled
from pricetag.tag.figures import partly_counted
from pricetag.tag.totals import total


@dataclass(frozen=True, slots=True)
class Pooled:
    """A figure over the runs of a group.

    Attributes:
        known: Number of runs that have it.
        unknown: Number of runs that do not.
        mean: Its mean over those that have it. The interval is that of common errors, from the
            mean of the low ends to the mean of the high ends.
        std: Standard deviation between the runs; None with fewer than two.
    """

    known: int
    unknown: int
    mean: Figure
    std: float | None


def pooled(figures: Sequence[Shown], unit: str) -> Pooled:
    """Pools one figure of several runs.

    The interval does not shrink with the number of runs: they share meters and factors, whose
    errors do not average out. How far the runs themselves differ is the standard deviation.

    Args:
        figures: The figure of each run; unknown ones are counted, and not taken for 0.
        unit: Unit of the mean if no run has the figure.
    """
    values = [figure.value for figure in figures if figure.value is not None]
    missing = len(figures) - len(values)
    total_figure = total(figures, unit)
    if total_figure.value is None:
        return Pooled(len(values), missing, total_figure, None)
    mean = scaled(total_figure, 1 / len(values), total_figure.unit)
    remarks = [f"{missing} of {len(figures)} runs are unknown and not included"] if missing else []
    remarks += filter(None, [partly_counted(figures)])
    reason = "; ".join(remarks) or None
    mean = Figure(mean.value, mean.low, mean.high, mean.unit, mean.source, reason)
    return Pooled(len(values), missing, mean, stdev(values) if len(values) > 1 else None)
