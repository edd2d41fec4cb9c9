"""Schedules of pruning: in rounds, or along a cubic ramp of the steps."""

from __future__ import annotations

import math
from dataclasses import dataclass


def round_sparsities(sparsity: float, rounds: int) -> list[float]:
    """The sparsity after each round: equal shares of the weights to prune.

    Source: Han et al. 2015, section 3.4, iterative pruning, arXiv:1506.02626.
    """
    return [sparsity * (number + 1) / rounds for number in range(rounds)]


def cubic(step: float, begin: float, end: float, initial: float, final: float) -> float:
    """A value that goes from ``initial`` to ``final``, fast at first and slowly at the end.

    v_t = v_f + (v_i - v_f) * (1 - (t - t_0) / (t_1 - t_0))^3 between the two steps.

    Args:
        step: Number of finished steps, t.
        begin: Step up to which the value is ``initial``, t_0.
        end: Step from which it is ``final``, t_1.
        initial: Value before the ramp.
        final: Value after it.

    Source: Zhu and Gupta 2017, To prune, or not to prune, section 3, arXiv:1710.01878.
    """
    if step >= end:
        return final
    if step <= begin:
        return initial
    remaining = 1 - (step - begin) / (end - begin)
    return final + (initial - final) * remaining**3


@dataclass(frozen=True)
class Ramp:
    """A cubic ramp over shares of the steps of a training.

    Attributes:
        final: Sparsity after the ramp.
        begin: Share of the steps before the ramp.
        end: Share of the steps after which the sparsity is final.
        every: Steps between two changes of the masks.
        initial: Sparsity before the ramp.
        updates: Number of changes spread over the ramp, instead of ``every``.
        last: Whether the masks change at the end of the ramp, to the final sparsity.
    """

    final: float
    begin: float = 0.0
    end: float = 1.0
    every: int = 1
    initial: float = 0.0
    updates: int | None = None
    last: bool = True

    def steps(self, total: int) -> tuple[int, int]:
        """The step before the ramp and the first one after it, of ``total``."""
        return math.floor(self.begin * total), max(math.floor(self.end * total), 1)

    def sparsity(self, done: int, total: int) -> float:
        """The sparsity after ``done`` of ``total`` steps."""
        begin, end = self.steps(total)
        return cubic(done, begin, end, self.initial, self.final)

    def over(self, done: int, total: int) -> bool:
        """Whether the sparsity is final after ``done`` of ``total`` steps."""
        return done >= self.steps(total)[1]

    def due(self, done: int, total: int) -> bool:
        """Whether the masks change after ``done`` of ``total`` steps."""
        begin, end = self.steps(total)
        if not begin < done < end:
            return self.last and done == end
        if self.updates is None:
            return done % self.every == 0
        length = end - begin
        # The requested number of changes, or one in every step of a shorter ramp.
        return (done - begin) * self.updates // length > (done - 1 - begin) * self.updates // length
