"""Brackets and rungs: how many trials train for how long."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from pricetag.accounting.work import search_plans
from pricetag.accounting.work.search_plans import Sizes


@dataclass(frozen=True, slots=True)
class Rung:
    """Number of trials of a rung, and the total resource of each at its end.

    ``resource`` is None where trials run once, as their recipe says.
    """

    trials: int
    resource: float | None = None


@dataclass(frozen=True, slots=True)
class Bracket:
    """A successive halving: its number, and its rungs in order."""

    number: int
    rungs: tuple[Rung, ...]


def halving(trials: int, resource: float, eta: int, most: float | None = None) -> tuple[Rung, ...]:
    """Rungs of a successive halving: n_i = floor(n * eta^-i), r_i = r * eta^i.

    Args:
        trials: Number of trials of the first rung.
        resource: Resource of each of them.
        eta: Factor between rungs.
        most: Largest resource of a rung; None for rungs down to one trial.

    Raises:
        ValueError: If a number is too small.

    Source: Jamieson and Talwalkar 2016, algorithm 1, arXiv:1502.07943.
    """
    if trials < 1 or resource <= 0 or eta < 2:
        raise ValueError("halving needs a trial, a resource above 0 and a factor of at least 2")
    rungs: list[Rung] = []
    while (left := trials // eta ** len(rungs)) >= 1:
        amount = Fraction(resource) * eta ** len(rungs)
        if most is not None and rungs and amount > most:
            break
        rungs.append(Rung(left, float(amount)))
    return tuple(rungs)


def hyperband(most: int, eta: int, table: Sizes) -> tuple[Bracket, ...]:
    """The brackets of Hyperband, from the one with most trials to the one without halving."""
    return tuple(
        Bracket(each.number, tuple(Rung(rung.trials, rung.resource) for rung in each.rungs))
        for each in search_plans.hyperband(most, eta, table)
    )
