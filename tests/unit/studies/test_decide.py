"""Decisions of a study, played through with known scores."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pricetag.studies.decide import best_trial, decide, states_of
from pricetag.studies.plan import Plan
from pricetag.studies.record import Finish, Promote, RungRecord, Start, State, TrialRecord
from pricetag.studies.space import Choice, Condition, Int, LogUniform, Uniform, grid, sample
from pricetag.studies.strategies import (
    Asha,
    EarlyStop,
    Grid,
    Hyperband,
    RandomSearch,
    Seeds,
    Strategy,
    SuccessiveHalving,
)

LR = "recipe.stages.0.learning_rate"
SPACE = [LogUniform(kind="log_uniform", field=LR, low=1e-6, high=1e-2)]
Score = Callable[[int, int], float | None]


def plan_of(strategy: Strategy, seed: int = 0) -> Plan:
    return Plan([] if isinstance(strategy, Seeds) else SPACE, strategy, seed)


class Played:
    """A study whose runs end in a random order, and whose process dies at random."""

    def __init__(self, plan: Plan, score: Score, *, parallel: int = 4, seed: int = 0) -> None:
        self.plan, self.score, self.parallel = plan, score, parallel
        self.rng = random.Random(seed)
        self.trials: list[TrialRecord] = []
        self.started: list[tuple[int, int]] = []
        self.most_open = 0

    def apply(self, action: Start | Promote) -> None:
        if isinstance(action, Start):
            assert action.number == len(self.trials)
            rung = RungRecord(0, "open")
            self.trials.append(TrialRecord(action.number, action.bracket, action.values, (rung,)))
            self.started.append((action.number, 0))
            return
        trial = self.trials[action.number]
        assert len(trial.rungs) == action.rung
        assert trial.last.state == "done"
        rungs = (*trial.rungs, RungRecord(action.rung, "open"))
        self.trials[action.number] = replace(trial, rungs=rungs)
        self.started.append((action.number, action.rung))

    def end_one(self) -> None:
        trial = self.rng.choice([trial for trial in self.trials if trial.is_open])
        score = self.score(trial.number, trial.last.rung)
        state: State = "failed" if score is None else "done"
        ended = RungRecord(trial.last.rung, state, score, score)
        self.trials[trial.number] = replace(trial, rungs=(*trial.rungs[:-1], ended))

    def play(self, **options: Any) -> str:
        while True:
            actions = decide(
                self.plan, self.trials, goal="maximize", parallel=self.parallel, **options
            )
            if actions and isinstance(actions[0], Finish):
                return actions[0].reason
            # A crash after any of them loses the rest, which is decided again.
            for action in actions[: self.rng.randint(0, len(actions))]:
                assert not isinstance(action, Finish)
                self.apply(action)
            open_trials = sum(trial.is_open for trial in self.trials)
            self.most_open = max(self.most_open, open_trials)
            if open_trials and self.rng.random() < 0.7:
                self.end_one()


def numbers(trial: int, rung: int) -> float:
    return float((trial * 7919) % 101)


STRATEGIES: list[Strategy] = [
    RandomSearch(kind="random", trials=9),
    Grid(kind="grid", points=5),
    Seeds(kind="seeds", initializations=3, orders=2, order_field="recipe.stages.0.order_seed"),
    SuccessiveHalving(kind="successive_halving", trials=9, eta=3),
    Hyperband(kind="hyperband", max_resource=9, eta=3),
    Hyperband(kind="hyperband", max_resource=9, eta=3, table="floor"),
    Asha(kind="asha", trials=12, max_resource=9),
]


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.kind)
@pytest.mark.parametrize("seed", range(3))
def test_an_interrupted_study_runs_every_rung_once(strategy: Strategy, seed: int) -> None:
    plan = plan_of(strategy)
    played = Played(plan, numbers, parallel=1 + seed * 3, seed=seed)
    assert played.play() == "completed"
    assert len(played.started) == len(set(played.started))
    assert played.most_open <= played.parallel
    for bracket in plan.brackets:
        if isinstance(strategy, Asha):
            continue
        own = {trial.number for trial in played.trials if trial.bracket == bracket.number}
        left = sorted(own)
        for place, rung in enumerate(bracket.rungs):
            reached = {number for number, at in played.started if number in own and at == place}
            left = sorted(left, key=lambda number: (-numbers(number, 0), number))[: rung.trials]
            assert reached == set(left)


def test_values_depend_on_seed_and_number_alone() -> None:
    plans = [plan_of(RandomSearch(kind="random", trials=count), 3) for count in (5, 50)]
    assert [plans[0].values(number) for number in range(5)] == [
        plans[1].values(number) for number in range(5)
    ]
    assert plans[0].values(0) != plan_of(RandomSearch(kind="random", trials=5), 4).values(0)


def test_failed_trials_are_not_promoted_and_leave_their_place() -> None:
    strategy = SuccessiveHalving(kind="successive_halving", trials=9, eta=3)

    def score(trial: int, rung: int) -> float | None:
        return None if trial in (1, 2, 3, 4, 5, 6, 7) else float(trial)

    played = Played(plan_of(strategy), score)
    assert played.play() == "completed"
    assert sorted(number for number, rung in played.started if rung == 1) == [0, 8]
    assert [number for number, rung in played.started if rung == 2] == [8]
    best = best_trial(played.plan, played.trials, "maximize")
    assert best is not None
    assert (best[0].number, best[1:]) == (8, (2, 8.0))


def test_a_study_ends_when_no_trial_reports_the_metric() -> None:
    played = Played(plan_of(RandomSearch(kind="random", trials=100)), numbers, parallel=2)

    def unreported() -> None:
        Played.end_one(played)
        played.trials = [
            replace(trial, rungs=tuple(replace(rung, score=None) for rung in trial.rungs))
            for trial in played.trials
        ]

    played.end_one = unreported  # type: ignore[method-assign]
    assert played.play() == "metric-not-reported"
    assert len(played.trials) <= 5


def test_a_study_ends_when_all_trials_fail() -> None:
    played = Played(plan_of(RandomSearch(kind="random", trials=100)), lambda trial, rung: None)
    assert played.play() == "all-trials-failed"
    assert len(played.trials) <= 12


def test_a_spent_budget_waits_for_open_trials_and_ends_the_study() -> None:
    plan = plan_of(RandomSearch(kind="random", trials=4))
    done = TrialRecord(0, 0, {}, (RungRecord(0, "done", 0.5, 0.5),))
    running = TrialRecord(1, 0, {}, (RungRecord(0, "open"),))
    waiting = decide(plan, [done, running], goal="maximize", parallel=4, may_start=False)
    assert waiting == []
    ended = decide(plan, [done], goal="maximize", parallel=4, may_start=False)
    assert ended == [Finish("budget-reached")]


def test_states_of_trials_in_a_halving() -> None:
    plan = plan_of(SuccessiveHalving(kind="successive_halving", trials=3, eta=3))
    first = [
        TrialRecord(number, 0, {}, (RungRecord(0, "done", score, score),))
        for number, score in enumerate([0.1, 0.9, 0.4])
    ]
    states = states_of(plan, first, is_over=False, goal="maximize")
    assert states == {0: "stopped", 1: "waiting", 2: "stopped"}
    over = states_of(plan, first[:1], is_over=True, goal="maximize")
    assert over == {0: "stopped"}
    begun = states_of(plan, first[:2], is_over=False, goal="maximize")
    assert begun == {0: "waiting", 1: "waiting"}


# Dodge et al. 2020: start t seeds, stop the worst after f evaluations, finish the others.

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "seed_early_stopping.json"
STOPPED: dict[str, Any] = json.loads(GOLDEN.read_text())["cases"]
CURVES: list[list[float]] = STOPPED["inputs"]["validation_curves"]
CASES = [name for name in STOPPED if name.startswith("start")]


@pytest.mark.parametrize("name", CASES)
def test_seeds_stop_as_in_the_authors_code(name: str) -> None:
    case = STOPPED[name]
    length = len(CURVES[0])
    early = None
    if case["stopped"]:
        early = EarlyStop(after=case["after_evals"], stop=case["stopped"], full=length)
    plan = plan_of(Seeds(kind="seeds", initializations=case["start"], early_stop=early))
    ends = [length] if early is None else [case["after_evals"], length]

    def curve(trial: int, rung: int) -> list[float]:
        return CURVES[trial][: ends[rung]]

    played = Played(plan, lambda trial, rung: curve(trial, rung)[-1])

    def end_one() -> None:
        Played.end_one(played)
        played.trials = [
            replace(
                trial,
                rungs=tuple(
                    replace(rung, best=max(curve(trial.number, rung.rung)))
                    if rung.state == "done"
                    else rung
                    for rung in trial.rungs
                ),
            )
            for trial in played.trials
        ]

    played.end_one = end_one  # type: ignore[method-assign]
    assert played.play() == "completed"
    finished = {trial.number for trial in played.trials if len(trial.rungs) == len(ends)}
    assert finished == set(case["kept"])
    assert len(finished) == case["fully_trained"]
    best = best_trial(plan, played.trials, "maximize")
    assert best is not None
    assert best[2] == case["best"]
    assert sum(ends[len(trial.rungs) - 1] for trial in played.trials) == case["budget_evals"]
    assert len(played.trials) * length == case["budget_if_none_stopped"]


def test_conditional_fields_vary_with_their_value_alone() -> None:
    schedule, warmup = "recipe.stages.0.schedule", "recipe.stages.0.warmup_ratio"
    space = [
        Choice(kind="choice", field=schedule, values=["linear", "constant"]),
        Uniform(
            kind="uniform",
            field=warmup,
            low=0.0,
            high=0.2,
            when=Condition(field=schedule, values=["linear"]),
        ),
        Int(kind="int", field="recipe.stages.0.batch_size", low=1, high=3),
    ]
    combined = list(grid(space, 3))
    assert len(combined) == 3 * 3 + 3
    drawn = [sample(space, random.Random(seed)) for seed in range(200)]
    for values in [*combined, *drawn]:
        assert (warmup in values) == (values[schedule] == "linear")
    assert {values["recipe.stages.0.batch_size"] for values in drawn} == {1, 2, 3}
    ranged = [values[warmup] for values in drawn if warmup in values]
    assert 0 <= min(ranged) < 0.02
    assert 0.18 < max(ranged) <= 0.2
