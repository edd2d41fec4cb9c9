"""What a study does next, from its plan and the record of its trials alone.

The same plan and record always give the same actions, so that a study that was interrupted
anywhere decides again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from pricetag.studies.brackets import Bracket
from pricetag.studies.plan import Plan
from pricetag.studies.record import (
    Action,
    End,
    Finish,
    Promote,
    RungRecord,
    Start,
    TrialRecord,
)
from pricetag.studies.strategies import Asha, Seeds

UNSCORED = 3
"""Number of succeeded trials after which a study ends if none has reported its metric."""

FAILED = 5
"""Number of failed trials after which a study ends if no trial has succeeded."""

Goal = Literal["maximize", "minimize"]
Suggest = Callable[[int, Sequence[TrialRecord]], Mapping[str, Any]]
"""Values of a trial, from its number and the record."""

TrialState = Literal["running", "waiting", "stopped", "finished", "failed", "cancelled"]


def decide(
    plan: Plan,
    trials: Sequence[TrialRecord],
    *,
    goal: Goal,
    parallel: int,
    may_start: bool = True,
    suggest: Suggest | None = None,
) -> list[Action]:
    """The next actions of a study.

    Args:
        plan: Its plan.
        trials: Its trials on record, by their number.
        goal: Whether a larger or a smaller score is better.
        parallel: Maximum number of open trials.
        may_start: Whether the budget allows further runs.
        suggest: Values of a new trial, for strategies that learn from the record.

    Returns:
        Starts and promotions, or one ``Finish``; nothing while the study waits for its runs.
    """
    open_trials = sum(trial.is_open for trial in trials)
    if (reason := _hopeless(trials)) is not None:
        return [] if open_trials else [Finish(reason)]
    if not may_start:
        return [] if open_trials else [Finish(_end(trials, "budget-reached"))]
    slots = max(parallel - open_trials, 0)
    actions: list[Action] = []
    for bracket in plan.brackets:
        actions += _promotions(plan, bracket, trials, goal)
    actions = actions[:slots]
    trials_so_far = list(trials)
    for number in range(len(trials), plan.trials)[: slots - len(actions)]:
        parent = plan.parent_of(number)
        if parent is not None and trials_so_far[parent].is_open:
            break  # its model is not trained yet
        values = plan.values(number) if suggest is None else suggest(number, trials_so_far)
        bracket_number = plan.bracket_of(number).number
        actions.append(Start(number, bracket_number, values))
        trials_so_far.append(TrialRecord(number, bracket_number, values, (RungRecord(0, "open"),)))
    if not actions and not open_trials:
        return [Finish(_end(trials, "completed"))]
    return actions


def _end(trials: Sequence[TrialRecord], usual: End) -> End:
    """The reason for the end of a study, however few trials it had."""
    states = [rung.state for trial in trials for rung in trial.rungs]
    if "done" not in states:
        return "all-trials-failed" if "failed" in states else usual
    return usual if _has_score(trials) else "metric-not-reported"


def _has_score(trials: Sequence[TrialRecord]) -> bool:
    return any(_is_scored(rung) for trial in trials for rung in trial.rungs)


def _hopeless(
    trials: Sequence[TrialRecord],
) -> Literal["metric-not-reported", "all-trials-failed"] | None:
    done = [trial for trial in trials if any(rung.state == "done" for rung in trial.rungs)]
    failed = [trial for trial in trials if trial.last.state == "failed"]
    if not done:
        return "all-trials-failed" if len(failed) >= FAILED else None
    if _has_score(trials):
        return None
    return "metric-not-reported" if len(done) >= UNSCORED else None


def _is_scored(rung: RungRecord) -> bool:
    return rung.state == "done" and rung.score is not None and math.isfinite(rung.score)


def score_of(plan: Plan, trial: TrialRecord, rung: int, goal: Goal) -> float | None:
    """The score by which a trial is ranked in a rung, larger is better; None without one.

    Seeds are ranked by the best value so far, other trials by the last value of the rung.
    """
    if rung >= len(trial.rungs) or not _is_scored(trial.rungs[rung]):
        return None
    sign = 1.0 if goal == "maximize" else -1.0
    if isinstance(plan.strategy, Seeds):
        so_far = [value for each in trial.rungs[: rung + 1] for value in (each.score, each.best)]
        return max(sign * value for value in so_far if value is not None and math.isfinite(value))
    value = trial.rungs[rung].score
    assert value is not None
    return sign * value


def ranked(plan: Plan, trials: Sequence[TrialRecord], rung: int, goal: Goal) -> list[TrialRecord]:
    """The scored trials of a rung, best first; of equal ones the lower number first."""
    scored = [(score_of(plan, trial, rung, goal), trial) for trial in trials]
    with_score = [(score, trial) for score, trial in scored if score is not None]
    return [trial for _, trial in sorted(with_score, key=lambda pair: (-pair[0], pair[1].number))]


def _promotions(
    plan: Plan, bracket: Bracket, trials: Sequence[TrialRecord], goal: Goal
) -> list[Promote]:
    own = [trial for trial in trials if trial.bracket == bracket.number]
    rule = _as_they_come if isinstance(plan.strategy, Asha) else _when_the_rung_is_over
    promoted: list[Promote] = []
    # Trials that are further ahead continue first.
    for rung in range(len(bracket.rungs) - 2, -1, -1):
        numbers = rule(plan, bracket, own, rung, goal)
        promoted += [Promote(number, rung + 1) for number in numbers]
    return promoted


def _when_the_rung_is_over(
    plan: Plan, bracket: Bracket, trials: Sequence[TrialRecord], rung: int, goal: Goal
) -> list[int]:
    """The best trials of a rung, once all its trials have ended."""
    reached = [trial for trial in trials if len(trial.rungs) > rung]
    ahead = [trial for trial in reached if len(trial.rungs) > rung + 1]
    if not _is_complete(bracket, trials, rung) or any(
        trial.rungs[rung].state == "open" for trial in reached
    ):
        return []
    places = bracket.rungs[rung + 1].trials - len(ahead)
    waiting = [trial for trial in ranked(plan, reached, rung, goal) if trial not in ahead]
    return [trial.number for trial in waiting[: max(places, 0)]]


def _is_complete(bracket: Bracket, trials: Sequence[TrialRecord], rung: int) -> bool:
    """Whether no further trial will come to a rung: all before it are decided."""
    if len(trials) < bracket.rungs[0].trials:
        return False
    for number in range(rung):
        reached = [trial for trial in trials if len(trial.rungs) > number]
        ahead = sum(len(trial.rungs) > number + 1 for trial in reached)
        scored = sum(_is_scored(trial.rungs[number]) for trial in reached)
        if any(trial.rungs[number].state == "open" for trial in reached):
            return False
        if ahead < min(bracket.rungs[number + 1].trials, scored):
            return False
    return True


def _as_they_come(
    plan: Plan, bracket: Bracket, trials: Sequence[TrialRecord], rung: int, goal: Goal
) -> list[int]:
    """The trials that are among the best 1/eta of those that have finished a rung."""
    assert isinstance(plan.strategy, Asha)
    order = ranked(plan, trials, rung, goal)
    best = order[: len(order) // plan.strategy.eta]
    return [trial.number for trial in best if len(trial.rungs) == rung + 1]


_UNDONE: Mapping[str, TrialState] = {
    "open": "running",
    "failed": "failed",
    "canceled": "cancelled",
}


def states_of(
    plan: Plan, trials: Sequence[TrialRecord], *, is_over: bool, goal: Goal
) -> dict[int, TrialState]:
    """The state of each trial: finished, stopped before the end, or still in the search.

    Args:
        plan: The study's plan.
        trials: All its trials.
        is_over: Whether the study has ended.
        goal: Whether a larger or a smaller score is better.
    """
    states: dict[int, TrialState] = {}
    for bracket in plan.brackets:
        own = [trial for trial in trials if trial.bracket == bracket.number]
        decided = [
            not is_over and _is_decided(plan, bracket, own, rung)
            for rung in range(len(bracket.rungs))
        ]
        going_on = [
            set(_when_the_rung_is_over(plan, bracket, own, rung, goal)) if is_decided else set()
            for rung, is_decided in enumerate(decided)
        ]
        for trial in own:
            rung = trial.last.rung
            if trial.last.state != "done":
                states[trial.number] = _UNDONE[trial.last.state]
            elif rung + 1 == len(bracket.rungs):
                states[trial.number] = "finished"
            elif is_over or (decided[rung] and trial.number not in going_on[rung]):
                states[trial.number] = "stopped"
            else:
                states[trial.number] = "waiting"
    return states


def _is_decided(plan: Plan, bracket: Bracket, trials: Sequence[TrialRecord], rung: int) -> bool:
    """Whether it is known which trials of a rung continue; never so where any may still come."""
    if isinstance(plan.strategy, Asha) or rung + 1 == len(bracket.rungs):
        return False
    is_open = any(len(each.rungs) > rung and each.rungs[rung].state == "open" for each in trials)
    return not is_open and _is_complete(bracket, trials, rung)


def best_trial(
    plan: Plan, trials: Sequence[TrialRecord], goal: Goal
) -> tuple[TrialRecord, int, float] | None:
    """The trial with the best score of all rungs, also of stopped ones; the rung, and the score.

    Of equal scores, the one with more resource, then the lower number.
    """
    sign = 1.0 if goal == "maximize" else -1.0
    scored: list[tuple[float, float, int, int, TrialRecord]] = []
    for trial in trials:
        rungs = plan.bracket(trial.bracket).rungs
        for rung in trial.rungs:
            score = score_of(plan, trial, rung.rung, goal)
            if score is not None:
                resource = rungs[rung.rung].resource or 0.0
                scored.append((-score, -resource, trial.number, rung.rung, trial))
    if not scored:
        return None
    best = min(scored, key=lambda each: each[:4])
    return best[4], best[3], -best[0] * sign
