"""Fingerprints of similar runs, and the steps and the work of a recipe."""

from __future__ import annotations

from typing import Any

import pytest

from app.services.quoting.likeness import former_likeness, likeness, steps
from pricetag.recipes import parse_recipe
from pricetag.recipes.code import GitCode
from pricetag.recipes.methods.command import Command
from workers.job.steps import plan

RECIPE: dict[str, Any] = {
    "task": "classification",
    "data": {"train": "a.tsv", "validation": "b.tsv", "test": None},
    "model": "models/minilm",
    "stages": [
        {"kind": "train", "epochs": 3.0, "batch_size": 8, "gradient_accumulation": 2, "seed": 0},
        {
            "kind": "prune",
            "recovery_epochs": 0.5,
            "rounds": 4,
            "mode": "iterative",
            "evaluate": False,
            "sparsity": 0.5,
        },
        {"kind": "measure", "min_seconds": 5.0},
    ],
}


def changed(index: int, **options: Any) -> dict[str, Any]:
    stages = [dict(stage) for stage in RECIPE["stages"]]
    stages[index] |= options
    return {**RECIPE, "stages": stages}


def test_steps_are_those_of_the_worker() -> None:
    for recipe in (RECIPE, {**RECIPE, "data": {**RECIPE["data"], "test": "c.tsv"}}):
        parsed = parse_recipe(recipe)
        planned = plan(parsed)
        quoted_steps = steps(parsed.model_dump(mode="json"), 1)
        assert [(s.kind, s.recipe_index, s.automatic) for s in quoted_steps] == [
            (s.kind, s.index, s.automatic) for s in planned
        ]


def test_work_follows_the_options() -> None:
    train, evaluate, prune, measure = steps(RECIPE, 1)
    assert (train.work.epochs, train.work.examples) == (3.0, None)
    assert (prune.work.epochs, measure.work.seconds) == (2.0, 5.0)
    assert evaluate.work.epochs is evaluate.work.examples is evaluate.work.seconds is None
    by_steps = steps(changed(0, epochs=None, max_steps=10), 4)[0]
    assert by_steps.work.examples == 10 * 8 * 2 * 4
    # Rounds and splits each count their own progress; only whole reports show the step's.
    assert [step.reports_whole for step in steps(RECIPE, 1)] == [True, True, False, False]
    both = {**RECIPE, "data": {**RECIPE["data"], "test": "c.tsv"}}
    assert not steps(both, 1)[1].reports_whole


def test_names_and_seeds_do_not_change_the_recipe_fingerprint() -> None:
    same = likeness(changed(0, name="first", seed=7))
    assert same == likeness(RECIPE)
    more = likeness(changed(0, epochs=5.0, learning_rate=0.1))
    assert more.recipe_sha256 != same.recipe_sha256
    assert more.shape_sha256 == same.shape_sha256
    longer = likeness(changed(0, max_length=64))
    assert longer.shape_sha256 != same.shape_sha256
    assert longer.family_sha256 == same.family_sha256
    other = likeness({**RECIPE, "model": "models/other"})
    assert other.family_sha256 != same.family_sha256
    assert other.data_sha256 == same.data_sha256
    assert other.model_sha256 != same.model_sha256
    # An option added by a later version makes no difference while it is unset.
    assert likeness(changed(0, an_option_to_come=None)) == same


def test_a_command_is_identified_by_its_script() -> None:
    def of(*argv: str) -> tuple[str, str]:
        fingerprints = likeness({"stages": [{"kind": "command", "argv": list(argv), "env": {}}]})
        assert fingerprints.data_sha256 is fingerprints.model_sha256 is None
        return fingerprints.recipe_sha256, fingerprints.shape_sha256

    one, two = of("python", "train.py", "--lr", "1"), of("python", "train.py", "--lr", "2")
    assert one[0] != two[0]
    assert one[1] == two[1]
    assert of("python", "-m", "lab.train", "a")[1] == of("python", "-m", "lab.train", "b")[1]
    assert of("python", "other.py")[1] != one[1]
    # Without a script there is nothing that two commands have in common.
    shell = of("/bin/sh", "-c", "sleep 1")
    assert shell[0] == shell[1] != of("/bin/sh", "-c", "sleep 100")[1]


def test_fingerprints_of_stored_outcomes_do_not_change() -> None:
    stages: list[dict[str, Any]] = [
        {"kind": "train", "epochs": 3, "learning_rate": 1e-4, "seed": 4},
        {"kind": "distill", "alpha": 0.3, "max_steps": 5, "student": {"layers": [0]}},
        {
            "kind": "prune",
            "sparsity": 0.5,
            "mode": "iterative",
            "rounds": 3,
            "recovery_epochs": 1.5,
        },
        {"kind": "evaluate", "splits": ["test"], "batch_size": 7},
        {"kind": "quantize"},
        {"kind": "measure", "min_seconds": 2, "batch_size": 4},
    ]
    data = {"train": "a.tsv", "validation": "b.tsv", "test": "c.tsv"}
    recipe = {"task": "classification", "data": data, "model": {"config": {}}, "stages": stages}
    fingerprints = likeness(parse_recipe(recipe).model_dump(mode="json"))
    assert fingerprints.shape_sha256.startswith("c6d2137fedcf1c3f")
    assert fingerprints.recipe_sha256.startswith("50735eb35adaf009")
    assert str(fingerprints.data_sha256).startswith("0716b0f8c0b42206")
    assert fingerprints.family_sha256.startswith("eefff5272373b93c")
    script = ["python", "train.py", "--lr", "1"]
    # As it was stored before a script needed its code to be named.
    program = Command(argv=script, timeout_s=60).model_dump(mode="json")
    fingerprints = likeness({"stages": [program]})
    assert fingerprints.recipe_sha256.startswith("5f35f78a421ade75")
    assert fingerprints.shape_sha256.startswith("9b893eff5c0f275e")


def test_scripts_of_one_name_in_two_folders_are_two_scripts() -> None:
    def shape(code: Any) -> str:
        stage = Command(code=code, argv=["python", "train.py"]).model_dump(mode="json")
        return likeness({"stages": [stage]}).shape_sha256

    assert shape("one") != shape("two")
    assert shape(GitCode(git="r", commit="a" * 40)) == shape(GitCode(git="r", commit="b" * 40))


WITHOUT_TEST: dict[str, Any] = {"train": "a.tsv", "validation": "b.tsv"}


@pytest.mark.parametrize(
    ("stage", "unread"),
    [
        ({"kind": "train", "evaluate": False}, ("validation", "test")),
        ({"kind": "evaluate", "splits": ["validation"]}, ("train", "test")),
        ({"kind": "measure", "accuracy": False}, ("train", "validation", "test")),
        ({"kind": "measure"}, ("train", "test")),
        ({"kind": "train"}, ()),
        ({"kind": "evaluate", "splits": ["validation", "test"]}, ("train",)),
    ],
)
def test_only_splits_that_a_stage_reads_make_runs_differ(
    stage: dict[str, Any], unread: tuple[str, ...]
) -> None:
    every = {"train": "a.tsv", "validation": "b.tsv", "test": "c.tsv"}

    def of(data: dict[str, Any]) -> Any:
        recipe = {"task": "classification", "data": data, "model": "m", "stages": [stage]}
        return likeness(parse_recipe(recipe).model_dump(mode="json"))

    exact = of(every)
    for split in every:
        other = of({**every, split: "other.tsv"})
        same = (other.recipe_sha256, other.shape_sha256, other.family_sha256) == (
            exact.recipe_sha256,
            exact.shape_sha256,
            exact.family_sha256,
        )
        assert same is (split in unread), split
        assert other.data_sha256 != exact.data_sha256
        if split in unread:
            dropped = of({name: file for name, file in every.items() if name != split})
            assert dropped.family_sha256 == exact.family_sha256


def test_fingerprints_of_earlier_versions_count_every_split() -> None:
    read_all = {**RECIPE, "data": WITHOUT_TEST}
    assert former_likeness(read_all) is None
    evaluated = {"kind": "evaluate", "splits": ["validation"]}
    recipe = parse_recipe(
        {"task": "classification", "data": WITHOUT_TEST, "model": "m", "stages": [evaluated]}
    ).model_dump(mode="json")
    former = former_likeness(recipe)
    assert former is not None
    assert former.recipe_sha256 != likeness(recipe).recipe_sha256
    assert former == likeness(recipe, every_split=True)
