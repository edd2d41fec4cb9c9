"""How searches divide a budget: Hyperband's brackets, and stopping the worst of several seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pricetag.accounting.quantity.checks import InvalidFactor

Sizes = Literal["ceil", "floor"]


@dataclass(frozen=True, slots=True)
class Rung:
    """Trials that are trained up to a resource (steps, epochs or any other unit)."""

    trials: int
    resource: float


@dataclass(frozen=True, slots=True)
class Bracket:
    """One successive halving of Hyperband.

    Attributes:
        number: The paper's s: how often its trials are reduced.
        rungs: Its rungs, the last with the whole resource.
    """

    number: int
    rungs: tuple[Rung, ...]

    @property
    def trials(self) -> int:
        """Number of trials at the start."""
        return self.rungs[0].trials

    @property
    def budget(self) -> float:
        """Resource of all rungs, each trained from the beginning."""
        return sum(rung.trials * rung.resource for rung in self.rungs)


def hyperband(resource: int, factor: int = 3, sizes: Sizes = "ceil") -> list[Bracket]:
    """The brackets of Hyperband, the one with most trials first.

    With s from s_max = floor(log_factor(resource)) down to 0, a bracket begins with n trials of
    resource * factor^-s; a rung keeps floor(n * factor^-i) of them at factor^i times that resource.

    Args:
        resource: Maximum resource of a trial.
        factor: Each rung keeps one of this many trials.
        sizes: ``ceil``: n = ceil((s_max + 1) / (s + 1) * factor^s), the paper's algorithm;
            ``floor``: n = floor((s_max + 1) / (s + 1)) * factor^s, the paper's table.

    Raises:
        InvalidFactor: ``resource`` is below 1 or ``factor`` below 2.

    Source: Li et al. 2018, Hyperband, algorithm 1 and table 1, arXiv:1603.06560.
    """
    if resource < 1:
        raise InvalidFactor("resource", resource, "1 or more")
    if factor < 2:
        raise InvalidFactor("factor", factor, "2 or more")
    most = 0
    while factor ** (most + 1) <= resource:  # a quotient of logarithms would be 4 for 3^5
        most += 1
    return [_bracket(s, most, resource, factor, sizes) for s in range(most, -1, -1)]


def _bracket(s: int, most: int, resource: int, factor: int, sizes: Sizes) -> Bracket:
    if sizes == "ceil":
        trials = -(-(most + 1) * factor**s // (s + 1))
    else:
        trials = (most + 1) // (s + 1) * factor**s
    rungs = (Rung(trials // factor**i, resource / factor ** (s - i)) for i in range(s + 1))
    return Bracket(s, tuple(rungs))


@dataclass(frozen=True, slots=True)
class StoppedSeeds:
    """Several seeds of which the worst were stopped.

    Attributes:
        kept: Numbers of the seeds that were trained to the end, from the worst to the best so far.
        best: Best score of any evaluation, also of the stopped seeds.
        evaluations: Number of evaluations carried out.
    """

    kept: tuple[int, ...]
    best: float
    evaluations: int


def stop_worst_seeds(curves: Sequence[Sequence[float]], stopped: int, after: int) -> StoppedSeeds:
    """Stop the worst seeds after some evaluations, ranked by their best score so far.

    Args:
        curves: Scores of each seed's evaluations ``[seed][evaluation]``, higher is better.
        stopped: Number of seeds to stop; among ties, the first ones.
        after: Evaluations before they are stopped.

    Raises:
        InvalidFactor: There are fewer seeds or evaluations.

    Source: Dodge et al. 2020, Fine-Tuning Pretrained Language Models: Weight Initializations, Data
    Orders, and Early Stopping, section 5, arXiv:2002.06305.
    """
    shortest = min(map(len, curves), default=0)
    if not 0 <= stopped <= len(curves):
        raise InvalidFactor("stopped", stopped, f"0 to {len(curves)}, the number of seeds")
    if not 1 <= after <= shortest:
        raise InvalidFactor("after", after, f"1 to {shortest}, the number of evaluations")
    ranked = sorted(range(len(curves)), key=lambda seed: max(curves[seed][:after]))
    worst, best = ranked[:stopped], ranked[stopped:]
    scores = [max(curves[seed][:after]) for seed in worst] + [max(curves[seed]) for seed in best]
    evaluations = sum(len(curves[seed]) for seed in best) + after * len(worst)
    return StoppedSeeds(tuple(best), max(scores), evaluations)


@dataclass(frozen=True, slots=True)
class SeedPlan:
    """Start some seeds, and stop some of them after some evaluations."""

    start: int
    stop: int
    after: int


def seed_plans(full_runs: int, seeds: int, evaluations: int) -> Iterator[SeedPlan]:
    """The plans that cost exactly as much as some seeds trained to the end.

    Args:
        full_runs: Number of seeds that the budget would train to the end.
        seeds: Maximum number of seeds.
        evaluations: Evaluations of a whole training.

    Yields:
        First the plan that stops none; then those with ``start * after + (start - stop) *
        (evaluations - after) = full_runs * evaluations``.

    Source: Dodge et al. 2020, section 5, arXiv:2002.06305.
    """
    yield SeedPlan(full_runs, 0, evaluations)
    for start in range(full_runs + 1, seeds + 1):
        for after in range(1, evaluations):
            saved, skipped = (start - full_runs) * evaluations, evaluations - after
            if saved % skipped == 0 and saved // skipped <= start:
                yield SeedPlan(start, saved // skipped, after)
