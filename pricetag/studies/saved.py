"""Energy that a study saved by not running every trial to the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pricetag.accounting.quantity.quantity import Quantity
from pricetag.accounting.quantity.together import sum_together


@dataclass(frozen=True, slots=True)
class Part:
    """What a rung trained, and the energy of that training.

    Attributes:
        resource: Resource that the rung added.
        energy: Energy of the training, in kWh.
    """

    resource: float
    energy: Quantity


def of_longest(parts: Sequence[Part]) -> Part | None:
    """The mean of the rungs that added the most resource; None without any of known energy.

    What each run spends at its beginning, whatever its length, weighs least in the longest ones.
    """
    known_parts = [part for part in parts if part.energy.value is not None and part.resource > 0]
    most = max((part.resource for part in known_parts), default=0.0)
    longest = [part.energy for part in known_parts if part.resource == most]
    if not longest:
        return None
    total = sum_together({str(place): each for place, each in enumerate(longest)}, "kWh")
    count = len(longest)
    mean = Quantity(
        (total.value or 0.0) / count,
        (total.low or 0.0) / count,
        (total.high or 0.0) / count,
        total.unit,
        total.source,
    )
    return Part(most, mean)


def not_spent(parts: Sequence[Part], full: float, longest: Part | None = None) -> Quantity:
    """Energy of the training that a stopped trial did not do, in kWh.

    The energy per resource of the study's longest rungs, or else the trial's own, times its
    missing resource. The interval goes from the lowest to the highest energy per resource of these
    and of the trial's own rungs, each with its own interval.

    Args:
        parts: Its rungs.
        full: Resource of a trial that runs to the end.
        longest: Resource and energy of the study's longest rungs; None if unknown.
    """
    for part in parts:
        if part.energy.value is None:
            return Quantity.unknown("kWh", part.energy.reason or "unknown")
    trained = sum(part.resource for part in parts)
    missing = full - trained
    if trained <= 0:
        return Quantity.unknown("kWh", "the trial has trained nothing")
    total = sum(part.energy.value or 0.0 for part in parts)
    value = total / trained * missing
    ends = list(parts)
    if longest is not None:
        value = (longest.energy.value or 0.0) / longest.resource * missing
        ends.append(longest)
    lows = [(part.energy.low or 0.0) / part.resource * missing for part in ends]
    highs = [(part.energy.high or 0.0) / part.resource * missing for part in ends]
    return Quantity(value, min(*lows, value), max(*highs, value), "kWh", "estimated")


@dataclass(frozen=True, slots=True)
class Saved:
    """Energy saved by a study.

    Attributes:
        energy: Sum over the stopped trials with known energy, in kWh.
        trials: Number of stopped trials.
        unknown_trials: Number of those whose energy is unknown.
    """

    energy: Quantity
    trials: int
    unknown_trials: int


def saved(trials: Sequence[Quantity]) -> Saved:
    """The sum of what stopped trials did not spend; unknown ones are counted, not added."""
    known_amounts = {
        str(place): each for place, each in enumerate(trials) if each.value is not None
    }
    unknown = len(trials) - len(known_amounts)
    if not trials:
        return Saved(Quantity.exact(0.0, "kWh", "estimated"), 0, 0)
    if not known_amounts:
        reason = trials[0].reason or "unknown"
        return Saved(Quantity.unknown("kWh", reason), len(trials), unknown)
    return Saved(sum_together(known_amounts, "kWh"), len(trials), unknown)
