"""Values of trials by Optuna's tree-structured Parzen estimator, from the record alone.

Optuna keeps nothing: for each trial, its study is built again from the trials on record, with a
sampler that is seeded by the study's seed and the number of the trial.

Source: Bergstra et al. 2011, Algorithms for Hyper-Parameter Optimization, NeurIPS 24.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

from pricetag.studies.decide import Goal, Suggest
from pricetag.studies.plan import Plan
from pricetag.studies.record import TrialRecord
from pricetag.studies.space import Choice, Dimension, Int, LogUniform, is_active
from pricetag.studies.strategies import Tpe


def is_installed() -> bool:
    """Whether this server has Optuna."""
    return importlib.util.find_spec("optuna") is not None


def suggester(plan: Plan, goal: Goal) -> Suggest | None:
    """What gives new trials of a study their values; None if they do not depend on results."""
    strategy = plan.strategy
    if not isinstance(strategy, Tpe):
        return None

    def suggest(number: int, trials: Sequence[TrialRecord]) -> Mapping[str, Any]:
        if number < strategy.random_trials:
            return plan.values(number)
        return _suggested(plan, goal, number, trials)

    return suggest


def _suggested(
    plan: Plan, goal: Goal, number: int, trials: Sequence[TrialRecord]
) -> dict[str, Any]:
    optuna = importlib.import_module("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(
        seed=(plan.seed * 1_000_003 + number) % 2**32,
        n_startup_trials=1,
        constant_liar=True,  # open trials count as bad ones, so that others do not repeat them
    )
    study = optuna.create_study(direction=goal, sampler=sampler)
    study.add_trials([_frozen(optuna, plan, trial) for trial in trials])
    asked = study.ask()
    values: dict[str, Any] = {}
    for dimension in plan.space:
        if is_active(dimension, values):
            values[dimension.field] = _asked(asked, dimension)
    return values


def _asked(asked: Any, dimension: Dimension) -> Any:
    """The value that Optuna suggests."""
    field = dimension.field
    if isinstance(dimension, Choice):
        return dimension.values[asked.suggest_categorical(field, range(len(dimension.values)))]
    low, high = getattr(dimension, "low"), getattr(dimension, "high")  # noqa: B009 - of ranges
    if isinstance(dimension, Int):
        return asked.suggest_int(field, low, high)
    return asked.suggest_float(field, low, high, log=isinstance(dimension, LogUniform))


def _frozen(optuna: Any, plan: Plan, trial: TrialRecord) -> Any:
    """A trial on record in Optuna's form."""
    own = [dimension for dimension in plan.space if dimension.field in trial.values]
    state, score = optuna.trial.TrialState.FAIL, trial.last.score
    if trial.is_open:
        state = optuna.trial.TrialState.RUNNING
    elif trial.last.state == "done" and score is not None:
        state = optuna.trial.TrialState.COMPLETE
    return optuna.trial.create_trial(
        state=state,
        value=score if state == optuna.trial.TrialState.COMPLETE else None,
        params={each.field: _parameter(each, trial.values[each.field]) for each in own},
        distributions={each.field: _distribution(optuna, each) for each in own},
    )


def _parameter(dimension: Dimension, value: Any) -> Any:
    """A value in Optuna's form: of a choice its place, since values may be of any kind."""
    if not isinstance(dimension, Choice):
        return value
    places = range(len(dimension.values))
    return next(
        place
        for place in places
        if type(dimension.values[place]) is type(value) and dimension.values[place] == value
    )


def _distribution(optuna: Any, dimension: Dimension) -> Any:
    distributions = optuna.distributions
    if isinstance(dimension, Choice):
        return distributions.CategoricalDistribution(tuple(range(len(dimension.values))))
    low, high = getattr(dimension, "low"), getattr(dimension, "high")  # noqa: B009 - of ranges
    if isinstance(dimension, Int):
        return distributions.IntDistribution(low, high)
    return distributions.FloatDistribution(low, high, log=isinstance(dimension, LogUniform))
