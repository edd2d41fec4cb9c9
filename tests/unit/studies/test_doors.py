"""Descriptions of studies that are rejected, each with the field at fault."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from pricetag.recipes import parse_run_spec
from pricetag.studies.jobs import job_of
from pricetag.studies.parse import StudyError, parse_study
from pricetag.studies.strategies import resource_of

STAGE = "recipe.stages.0"
COMMAND: dict[str, Any] = {
    "project": "p",
    "experiment": "e",
    "name": "n",
    "recipe": {"stages": [{"kind": "command", "argv": ["true"]}]},
}
TRAIN: dict[str, Any] = {
    **COMMAND,
    "recipe": {
        "task": "classification",
        "data": {"train": "t.csv", "validation": "v.csv", "text": "text", "label": "label"},
        "model": "m",
        "stages": [{"kind": "prune", "sparsity": 0.5}, {"kind": "train"}, {"kind": "measure"}],
    },
}
LR: dict[str, Any] = {
    "kind": "log_uniform",
    "field": "recipe.stages.1.learning_rate",
    "low": 1e-6,
    "high": 1e-3,
}
ENV: dict[str, Any] = {"kind": "choice", "field": f"{STAGE}.env.LR", "values": ["1", "2"]}
EPOCHS = {"field": "recipe.stages.1.epochs", "unit": 0.5}


def study(base: dict[str, Any] = COMMAND, **changes: Any) -> dict[str, Any]:
    described = {
        "name": "s",
        "base": base,
        "space": [ENV if base is COMMAND else LR],
        "strategy": {"kind": "random", "trials": 4},
        "metric": {"name": "accuracy"},
    }
    return {**described, **changes}


def halving(**changes: Any) -> dict[str, Any]:
    return {"kind": "successive_halving", **changes}


FAULTS: list[tuple[dict[str, Any], str, str]] = [
    (study(space=[]), "space", "is empty"),
    (study(space=[{**ENV, "values": []}]), "space.0.values", "at least 1 item"),
    (study(space=[{**ENV, "values": ["1", "1"]}]), "space.0.values.1", "listed twice"),
    (study(space=[{**ENV, "field": f"{STAGE}.nothing"}]), "space.0.field", "not a known field"),
    (study(space=[{**ENV, "field": "recipe.stages.7.env.A"}]), "space.0.field", "no item 7"),
    (
        study(space=[ENV, ENV]),
        "space.1.field",
        f"'{ENV['field']}' is already the field of space.0: each field varies once",
    ),
    (
        study(space=[{**ENV, "when": {"field": LR["field"], "values": [1]}}]),
        "space.0.when.field",
        "listed before",
    ),
    (study(TRAIN, space=[{**LR, "low": 0}]), "space.0.low", "greater than 0"),
    (study(TRAIN, space=[{**LR, "high": 1e-7}]), "space.0.high", "greater than low"),
    (study(TRAIN, space=[{**LR, "high": 100.0}]), "space.0.high", "learning_rate must be at most"),
    (study(TRAIN, metric={"name": "acuracy"}), "metric.name", "did you mean 'accuracy'?"),
    (study(TRAIN, strategy={"kind": "grid"}), "strategy.points", "needs a number of points"),
    (study(strategy={"kind": "annealing"}), "strategy.kind", "must be one of"),
    (study(strategy={}), "strategy.kind", "is missing"),
    (study(budget={"kwh": 0}), "budget.kwh", "greater than 0"),
    (study(budget={}), "budget", "no limit"),
    (study(budget={"cost": 3}), "budget.currency", "belong together"),
    (study(metric={}), "metric.name", "is missing"),
    (study(base={**COMMAND, "recipe": {"stages": []}}), "base.recipe.stages", "at least 1"),
    (study(strategy=halving()), "strategy.trials", "is missing"),
    (
        study(strategy=halving(trials=9, min_resource=9, max_resource=3)),
        "strategy.max_resource",
        "at least min_resource",
    ),
    (
        study(
            strategy=halving(
                rungs=[{"trials": 9, "resource": 3}, {"trials": 3, "resource": 1}],
            )
        ),
        "strategy.rungs.1.resource",
        "more than in the rung before (got 1 after 3)",
    ),
    (
        study(
            strategy=halving(
                rungs=[{"trials": 3, "resource": 1}, {"trials": 3, "resource": 3}],
            )
        ),
        "strategy.rungs.1.trials",
        "less than",
    ),
    (study(colour=1), "colour", "known: name, base, space"),
    (
        {"project": "p", "recipe": {"stages": []}},
        "recipe",
        "pricetag submit",
    ),
    (
        study(strategy={"kind": "hyperband", "max_resource": 9, "eta": 1}),
        "strategy.eta",
        "at least 2",
    ),
    (
        study(TRAIN, strategy=halving(trials=9)),
        "strategy.resource",
        "is missing",
    ),
    (
        study(TRAIN, strategy=halving(trials=9, resource={"field": f"{STAGE}.recovery_epochs"})),
        "strategy.resource.field",
        "epochs or max_steps",
    ),
    (
        study(strategy=halving(trials=9, resource=EPOCHS)),
        "strategy.resource",
        "not used by commands",
    ),
    (
        study(strategy={"kind": "seeds", "initializations": 3}),
        "space",
        "not used by strategy seeds",
    ),
    (
        study(
            space=[],
            strategy={
                "kind": "seeds",
                "initializations": 3,
                "early_stop": {"after": 1, "stop": 3, "full": 2},
            },
        ),
        "strategy.early_stop.stop",
        "less than the 3 trials",
    ),
    (
        study(space=[], strategy={"kind": "seeds", "initializations": 3}),
        "strategy.initialization_field",
        "not a known field",
    ),
]


COMPRESSION = {
    **{"kind": "train_large_then_compress", "sizes": {"values": ["small", "large"]}},
    **{"sparsities": [0, 0.5], "bits": [32, 8]},
}
FAULTS += [
    (study(space=[], strategy=COMPRESSION), "base.recipe.stages", "trains no model"),
    (
        study(TRAIN, space=[], strategy={**COMPRESSION, "bits": [6]}),
        "space",
        "recipe.stages.0.bits",
    ),
    (
        study(TRAIN, space=[], strategy={**COMPRESSION, "sparsities": [0], "bits": [32]}),
        "strategy.sparsities",
        "compresses nothing",
    ),
    (study(TRAIN, strategy=COMPRESSION), "space", "is not used by strategy train_large"),
]


@pytest.mark.parametrize(("described", "field", "text"), FAULTS, ids=[f[1] for f in FAULTS])
def test_a_wrong_study_names_its_field(described: dict[str, Any], field: str, text: str) -> None:
    with pytest.raises(StudyError) as caught:
        parse_study(described)
    assert caught.value.errors[0].field == field
    assert text in str(caught.value.errors[0])


RUN = UUID("6f0c0d0e-0000-4000-8000-000000000000")


def recipe_of(job: dict[str, Any]) -> dict[str, Any]:
    """The recipe of a job that is valid."""
    return parse_run_spec(job).recipe.model_dump(mode="json")


def test_a_rung_trains_what_it_adds_from_the_model_of_the_rung_before() -> None:
    spec = parse_study(study(TRAIN, strategy=halving(trials=9, resource=EPOCHS)))
    values = {LR["field"]: 1e-4}
    first = recipe_of(job_of(spec, 0, 0, values, study_id=RUN))
    third = recipe_of(job_of(spec, 0, 2, values, study_id=RUN, previous_run=RUN))
    assert [stage["kind"] for stage in first["stages"]] == ["prune", "train", "measure"]
    assert [stage["kind"] for stage in third["stages"]] == ["train", "measure"]
    # A training of nine units: the first rung ends at one; the third starts at three.
    place = {name: first["stages"][1][name] for name in ("epochs", "start_at", "stop_at")}
    assert place == {"epochs": 9 * 0.5, "start_at": None, "stop_at": 0.5}
    place = {name: third["stages"][0][name] for name in place}
    assert place == {"epochs": 9 * 0.5, "start_at": 3 * 0.5, "stop_at": None}
    assert third["stages"][0]["learning_rate"] == 1e-4
    assert third["model"] == {"run": str(RUN), "stage": "train"}


def test_a_rung_may_have_a_schedule_of_its_own() -> None:
    described = study(TRAIN, strategy=halving(trials=9, resource={**EPOCHS, "schedule": "rung"}))
    job = job_of(parse_study(described), 0, 2, {}, study_id=RUN, previous_run=RUN)
    stage = recipe_of(job)["stages"][0]
    assert (stage["epochs"], stage["start_at"]) == ((9 - 3) * 0.5, None)
    # So have the rungs of studies that were stored before there was a choice.
    stored = study(TRAIN, strategy=halving(trials=9, resource=EPOCHS))
    both = [resource_of(parse_study(stored, is_stored=old).strategy) for old in (True, False)]
    assert [each.schedule for each in both if each is not None] == ["rung", "full"]


def test_a_command_reads_its_resource_from_its_environment() -> None:
    spec = parse_study(study(strategy=halving(trials=9)))
    job = job_of(spec, 4, 1, {ENV["field"]: "2"}, study_id=RUN, previous_run=RUN)
    assert job["recipe"]["stages"][0]["env"] == {
        "LR": "2",
        "STUDY_TRIAL": "4",
        "STUDY_RUNG": "1",
        "STUDY_RESOURCE": "3",
        "STUDY_RESOURCE_BEFORE": "1",
    }
    assert f"study:{RUN}" in job["tags"]
    assert "LR" not in COMMAND["recipe"]["stages"][0].get("env", {})
