"""How the work of runs differs: by what their recipes do, not by seeds and names."""

from __future__ import annotations

from typing import Any

import pytest

from pricetag.recipes.differences import differences

TRAIN = {"kind": "train", "epochs": 1, "batch_size": 32, "seed": 0, "name": None}
DATA = {"train": "a.tsv", "text": "sentence"}


def recipe(*stages: dict[str, Any], **changes: Any) -> dict[str, Any]:
    common = {"task": "classification", "data": DATA, "model": "bert"}
    return {**common, "stages": list(stages or (TRAIN,)), **changes}


@pytest.mark.parametrize(
    "other",
    [
        recipe(),
        recipe({**TRAIN, "seed": 7}),
        recipe({**TRAIN, "name": "second"}),
        recipe({**TRAIN, "warmup_ratio": None}),
    ],
)
def test_repeats_are_the_same_work(other: dict[str, Any]) -> None:
    assert differences([recipe()], [other, recipe()]) == []


@pytest.mark.parametrize(
    ("other", "line"),
    [
        (recipe({**TRAIN, "epochs": 3}), "stages.0.epochs: 1 (a), 3 (b)"),
        (recipe({**TRAIN, "max_steps": 10}), "stages.0.max_steps: nothing (a), 10 (b)"),
        (recipe(data={**DATA, "train": "b.tsv"}), 'data.train: "a.tsv" (a), "b.tsv" (b)'),
        (recipe(model={"config": {"layers": 2}}), 'model: "bert" (a), nothing (b)'),
        (recipe(task="regression"), 'task: "classification" (a), "regression" (b)'),
        (
            recipe(TRAIN, {"kind": "measure", "batch_size": 1}),
            "stages: train (a), train, measure (b)",
        ),
        (
            recipe({"kind": "of a later version", "seed": 1}),
            "stages: train (a), of a later version (b)",
        ),
    ],
)
def test_different_work_is_named(other: dict[str, Any], line: str) -> None:
    assert differences([recipe()], [other])[0] == line
    assert differences([recipe(), recipe()], [other])[0] == line


def test_recipes_with_other_stages_are_compared_only_by_common_fields() -> None:
    command = {"stages": [{"kind": "command", "argv": ["true"]}], "task": None, "data": None}
    assert differences([recipe()], [command]) == ["stages: train (a), command (b)"]
    measured = recipe(TRAIN, {"kind": "measure"}, model="gpt2")
    assert differences([recipe()], [measured]) == [
        "stages: train (a), train, measure (b)",
        'model: "bert" (a), "gpt2" (b)',
    ]


def test_runs_of_one_side_may_differ_too() -> None:
    lines = differences([recipe(), recipe({**TRAIN, "epochs": 3})], [recipe()])
    assert lines == ["stages.0.epochs: 1 and 3 (a), 1 (b)"]


def test_many_and_long_differences_are_cut() -> None:
    options = {f"option_{index}": index for index in range(20)}
    lines = differences([recipe()], [recipe({**TRAIN, **options, "name": "x"})])
    assert len(lines) == 9
    assert lines[-1] == "and 12 more options"
    (line,) = differences([recipe(model="m" * 500)], [recipe()])
    assert len(line) < 160


def test_long_values_that_differ_only_at_their_end_are_different() -> None:
    argv = ["python", "train.py", *(f"--option-{index}=1" for index in range(20))]
    sides = [recipe({"kind": "command", "argv": [*argv, last]}) for last in ("--lr=1", "--lr=2")]
    (line,) = differences(sides[:1], sides[1:])
    assert "--lr=1" in line
    assert "--lr=2" in line
    assert len(line) < 160
