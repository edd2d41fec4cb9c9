"""The plan of a study: its brackets, and the values of each trial."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

from pricetag.studies.brackets import Bracket
from pricetag.studies.power_sweep import LIMIT
from pricetag.studies.space import Dimension, grid, sample
from pricetag.studies.strategies import (
    MOST_TRIALS,
    Ensemble,
    Grid,
    PowerSweep,
    Seeds,
    Strategy,
    TrainLargeThenCompress,
    brackets_of,
)

SPARSITY, BITS = "compress.sparsity", "compress.bits"
"""Names of the values of a trial that compresses the model of another one."""


@dataclass(frozen=True)
class Plan:
    """What a study will do, as far as it does not depend on results."""

    space: Sequence[Dimension]
    strategy: Strategy
    seed: int

    @cached_property
    def combinations(self) -> list[dict[str, Any]]:
        """The combinations of strategies that list them, in order; empty for other strategies.

        Raises:
            ValueError: If a grid has no number of points, or too many combinations.
        """
        if isinstance(self.strategy, Seeds):
            return _seeds(self.strategy)
        if isinstance(self.strategy, TrainLargeThenCompress):
            return _compressions(self.strategy)
        if isinstance(self.strategy, Ensemble):
            first = self.strategy.first
            return [{self.strategy.seed_field: first + n} for n in range(self.strategy.members)]
        if isinstance(self.strategy, PowerSweep):
            return [{LIMIT: limit_w} for limit_w in self.strategy.limits_w]
        if not isinstance(self.strategy, Grid):
            return []
        points = list(islice(grid(self.space, self.strategy.points), MOST_TRIALS + 1))
        if len(points) > MOST_TRIALS:
            raise ValueError(f"the grid has more than {MOST_TRIALS:,} combinations")
        return points

    @cached_property
    def brackets(self) -> tuple[Bracket, ...]:
        """The brackets in the order in which they start."""
        return brackets_of(self.strategy, len(self.combinations))

    @property
    def trials(self) -> int:
        """Number of trials, if nothing ends the study before."""
        return sum(bracket.rungs[0].trials for bracket in self.brackets)

    def bracket_of(self, trial: int) -> Bracket:
        """The bracket of a trial, by its number from 0."""
        first = 0
        for bracket in self.brackets:
            first += bracket.rungs[0].trials
            if trial < first:
                return bracket
        raise ValueError(f"the study has no trial {trial}")

    def bracket(self, number: int) -> Bracket:
        """A bracket by its number."""
        return next(bracket for bracket in self.brackets if bracket.number == number)

    def parent_of(self, trial: int) -> int | None:
        """The trial whose model a trial compresses; None for a trial that stands alone."""
        if not isinstance(self.strategy, TrainLargeThenCompress):
            return None
        sizes = len(self.strategy.sizes.values)
        return None if trial < sizes else (trial - sizes) // len(self.strategy.compressions)

    def values(self, trial: int) -> dict[str, Any]:
        """The values of a trial, which depend on its number and the study's seed alone."""
        if self.combinations:
            return self.combinations[trial]
        return sample(self.space, random.Random(f"{self.seed}/{trial}"))


def _seeds(strategy: Seeds) -> list[dict[str, Any]]:
    """Every initialization with every order."""
    combined = []
    for initialization in range(strategy.initializations):
        for order in range(strategy.orders):
            values = {strategy.initialization_field: strategy.first + initialization}
            if strategy.order_field is not None:
                values[strategy.order_field] = strategy.first + order
            combined.append(values)
    return combined


def _compressions(strategy: TrainLargeThenCompress) -> list[dict[str, Any]]:
    """Every size, then the compressions of each."""
    sizes = [{strategy.sizes.field: value} for value in strategy.sizes.values]
    return [
        *sizes,
        *(
            {**size, SPARSITY: sparsity, BITS: bits}
            for size in sizes
            for sparsity, bits in strategy.compressions
        ),
    ]
