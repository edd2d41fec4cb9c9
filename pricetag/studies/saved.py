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


def not_spent(parts: Sequence[Part], full: float) -> Quantity:
    """Energy of the training that a stopped trial did not do, in kWh.

    The trial's own energy per resource, times its missing resource. The interval goes from
    the lowest to the highest energy per resource of its rungs, each with its own interval.

    Args:
        parts: Its rungs.
        full: Resource of a trial that runs to the end.
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
    lows = [(part.energy.low or 0.0) / part.resource * missing for part in parts]
    highs = [(part.energy.high or 0.0) / part.resource * missing for part in parts]
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
