"""Studies by TPE with the real Optuna: values from the record alone, better than at random."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from app.services.studies import tpe
from pricetag.studies.plan import Plan
from pricetag.studies.record import RungRecord, State, TrialRecord
from pricetag.studies.space import Choice, Condition, Int, LogUniform, Uniform
from pricetag.studies.strategies import Tpe

X, RATE, FORM, LAYERS = (f"recipe.stages.0.{name}" for name in ("x", "rate", "form", "layers"))
SPACE = [
    Uniform(kind="uniform", field=X, low=-1.0, high=1.0),
    LogUniform(kind="log_uniform", field=RATE, low=1e-6, high=1e-2),
    Choice(kind="choice", field=FORM, values=["flat", "deep", None, 1, True]),
    Int(
        kind="int",
        field=LAYERS,
        low=1,
        high=6,
        when=Condition(field=FORM, values=["deep"]),
    ),
]
STRATEGY = Tpe(kind="tpe", trials=40, random_trials=10)


def score(values: Mapping[str, Any]) -> float:
    """Highest at x = 0.5 in the form `deep` with five layers."""
    depth = 1 - abs(values[LAYERS] - 5) / 5 if values[FORM] == "deep" else 0.0
    return float(depth - abs(values[X] - 0.5))


def trial(number: int, values: Mapping[str, Any], state: State = "done") -> TrialRecord:
    reached = score(values) if state == "done" else None
    return TrialRecord(number, 0, values, (RungRecord(0, state, reached, reached),))


def played(plan: Plan) -> list[TrialRecord]:
    suggest = tpe.suggester(plan, "maximize")
    assert suggest is not None
    trials: list[TrialRecord] = []
    for number in range(plan.trials):
        trials.append(trial(number, suggest(number, trials)))
    return trials


def best(trials: list[TrialRecord]) -> float:
    return max(score(each.values) for each in trials)


def test_its_trials_are_better_than_random_ones() -> None:
    by_tpe, at_random = [], []
    for seed in range(3):
        plan = Plan(SPACE, STRATEGY, seed)
        by_tpe.append(best(played(plan)))
        at_random.append(best([trial(n, plan.values(n)) for n in range(plan.trials)]))
    assert sum(by_tpe) > sum(at_random)


def test_the_first_trials_are_those_of_a_random_search() -> None:
    plan = Plan(SPACE, STRATEGY, 3)
    first = [dict(each.values) for each in played(plan)[:10]]
    assert first == [plan.values(number) for number in range(10)]


def test_values_follow_from_the_record_and_keep_to_the_space() -> None:
    plan = Plan(SPACE, STRATEGY, 1)
    trials = played(plan)
    assert [each.values for each in played(plan)] == [each.values for each in trials]
    for each in trials:
        assert -1 <= each.values[X] <= 1
        assert 1e-6 <= each.values[RATE] <= 1e-2
        assert each.values[FORM] in ("flat", "deep", None, 1, True)
        assert (LAYERS in each.values) == (each.values[FORM] == "deep")
        assert each.values.get(LAYERS, 1) in range(1, 7)


@pytest.mark.parametrize("state", ["open", "failed"])
def test_open_and_failed_trials_leave_the_values_of_the_next_one(state: State) -> None:
    plan = Plan(SPACE, STRATEGY, 2)
    trials = played(plan)[:12]
    trials += [trial(number, plan.values(number), state) for number in range(12, 20)]
    suggest = tpe.suggester(plan, "maximize")
    assert suggest is not None
    assert set(suggest(20, trials)) >= {X, RATE, FORM}
