"""Ensembles: averaged class probabilities against every subset, jobs that keep them, and doors."""

from __future__ import annotations

import itertools
import json
import random
from typing import Any
from uuid import UUID

import pytest

from pricetag.studies.ensemble import (
    Member,
    ensemble_curve,
    ensemble_note,
    estimator_of,
    member_text,
)
from pricetag.studies.jobs import job_of
from pricetag.studies.parse import StudyError, parse_study

CLASSES = ("no", "perhaps", "yes")
STUDY = UUID(int=7)
BASE: dict[str, Any] = {
    "project": "text",
    "experiment": "cola",
    "name": "a classifier",
    "recipe": {
        "task": "classification",
        "model": "minilm",
        "data": {"train": "train.csv", "validation": "dev.csv"},
        "stages": [{"kind": "train", "epochs": 1}],
    },
}


def made(count: int, examples: int = 40) -> list[Member]:
    rng = random.Random(3)
    labels = [rng.randrange(3) for _ in range(examples)]
    members = []
    for _ in range(count):
        rows = []
        for label in labels:
            weights = [rng.random() + (0.4 if n == label else 0.0) for n in range(3)]
            rows.append([each / sum(weights) for each in weights])
        text = member_text("validation", CLASSES, labels, rows)
        members.append(Member.read(json.loads(text)))
    return members


def accuracy(members: tuple[Member, ...]) -> float:
    """By the definition: the class with the largest mean probability."""
    right = 0
    for place, label in enumerate(members[0].labels):
        rows = [each.probabilities[3 * place : 3 * place + 3] for each in members]
        means = [sum(row[n] for row in rows) / len(rows) for n in range(3)]
        right += means.index(max(means)) == label
    return right / len(members[0].labels)


def study(recipe: dict[str, Any] | None = None, **strategy: Any) -> dict[str, Any]:
    base = BASE if recipe is None else {**BASE, "recipe": {**BASE["recipe"], **recipe}}
    return {
        "name": "an ensemble",
        "base": base,
        "strategy": {"kind": "ensemble", "members": 3, **strategy},
        "metric": {"name": "accuracy"},
    }


def test_accuracy_is_the_mean_over_all_subsets() -> None:
    members = made(5)
    points = ensemble_curve(members)
    assert [point.members for point in points] == [1, 2, 3, 4, 5]
    for point in points:
        each = [accuracy(subset) for subset in itertools.combinations(members, point.members)]
        assert point.ensembles == len(each)
        assert point.accuracy == pytest.approx(sum(each) / len(each), abs=1e-15)
        assert (point.low, point.high) == (min(each), max(each))
    assert points[-1].accuracy > points[0].accuracy


def test_of_many_members_the_first_are_averaged_in_order() -> None:
    members = made(11, examples=20)
    assert estimator_of(len(members)) == "order_of_seeds"
    points = ensemble_curve(members)
    for point in points:
        assert point.ensembles == 1
        assert point.accuracy == point.low == point.high
        assert point.accuracy == accuracy(tuple(members[: point.members]))
    assert ensemble_curve([]) == []


def test_members_of_other_examples_and_broken_files_are_rejected() -> None:
    members = made(2)
    other = made(2, examples=39)
    with pytest.raises(ValueError, match="member 1 was evaluated on other examples"):
        ensemble_curve([members[0], other[1]])
    whole = json.loads(member_text("validation", CLASSES, [0], [[0.2, 0.3, 0.5]]))
    for changes, message in (
        ({"labels": None}, "does not have the form"),
        ({"labels": [0, 1]}, "not those of its labels"),
        ({"probabilities": [[0.5, 0.5]]}, "not those of its labels"),
        ({"probabilities": [[0.5, 0.5, float("nan")]]}, "not a number"),
        ({"probabilities": [], "labels": []}, "no examples"),
    ):
        with pytest.raises(ValueError, match=message):
            Member.read(whole | changes)


def test_each_member_has_its_seed_and_keeps_its_class_probabilities() -> None:
    spec = parse_study(study(first=5))
    assert spec.plan.trials == 3
    jobs = [job_of(spec, n, 0, spec.plan.values(n), study_id=STUDY) for n in range(3)]
    assert [job["recipe"]["stages"][0]["seed"] for job in jobs] == [5, 6, 7]
    assert jobs[0]["recipe"]["stages"][1] == {"kind": "evaluate", "keep_probabilities": True}
    assert "keep_probabilities" not in json.dumps(BASE)
    own = {"stages": [*BASE["recipe"]["stages"], {"kind": "evaluate", "batch_size": 8}]}
    spec = parse_study(study(own))
    stages = job_of(spec, 0, 0, spec.plan.values(0), study_id=STUDY)["recipe"]["stages"]
    assert stages[1:] == [{"kind": "evaluate", "batch_size": 8, "keep_probabilities": True}]


@pytest.mark.parametrize(
    ("described", "field", "message"),
    [
        (study({"task": "regression"}), "base.recipe.task", "must be classification"),
        (study({"stages": [{"kind": "evaluate"}]}), "base.recipe.stages", "trains no model"),
        (study(members=1), "strategy.members", "at least 2"),
        (study(seed_field="recipe.stages.0.sead"), "strategy.seed_field", "not a known field"),
        (
            study(first=8, seed_field="recipe.stages.0.batch_size"),
            "strategy.seed_field",
            "must be the seed of a stage",
        ),
        (
            study(
                {"task": "regression", "stages": [{"kind": "evaluate", "keep_probabilities": True}]}
            ),
            "base.recipe.stages.0.keep_probabilities",
            "needs a classification",
        ),
        (
            {
                **study(),
                "space": [{"kind": "int", "field": "recipe.stages.0.epochs", "low": 1, "high": 2}],
            },
            "space",
            "not used by strategy ensemble",
        ),
    ],
)
def test_a_wrong_ensemble_is_rejected(described: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(StudyError) as error:
        parse_study(described)
    assert field in [fault.field for fault in error.value.errors], error.value
    assert message in str(error.value)


def test_the_note_states_estimator_and_what_is_missing() -> None:
    shown = {"estimator": "all_subsets", "members": 3, "examples": 1043, "split": "validation"}
    note = ensemble_note({**shown, "reason": "1 without: x"})
    assert "3 members on 1,043 examples of validation" in note
    assert "mean over all ensembles of k" in note
    assert note.endswith("Missing: 1 without: x.")
    in_order = {**shown, "estimator": "order_of_seeds", "examples": None, "reason": None}
    assert "order of the seeds" in ensemble_note(in_order)
