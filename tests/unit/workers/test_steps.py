from __future__ import annotations

from collections.abc import Mapping

from pricetag.recipes import parse_recipe
from workers.job.steps import plan

DATA = {"train": "a.tsv", "validation": "b.tsv"}


def names(*stages: Mapping[str, object]) -> list[str]:
    recipe = parse_recipe(
        {"task": "classification", "data": DATA, "model": "m", "stages": list(stages)}
    )
    return [step.name for step in plan(recipe)]


def test_no_two_steps_have_one_name() -> None:
    measure = {"kind": "measure"}
    assert names({"kind": "train"}, measure, {"kind": "quantize"}, measure) == [
        "train",
        "evaluate train",
        "measure",
        "quantize",
        "measure 2",
    ]


def test_the_authors_names_are_kept() -> None:
    assert names({"kind": "train", "name": "teacher"}, {"kind": "train", "name": "teacher"}) == [
        "teacher",
        "evaluate teacher",
        "teacher 2",
        "evaluate teacher 2",
    ]


def test_a_declined_evaluation_is_omitted() -> None:
    assert names({"kind": "train", "evaluate": False}) == ["train"]
