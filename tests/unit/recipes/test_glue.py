"""A task of GLUE determines task, splits, columns, classes and metrics of a run."""

from __future__ import annotations

from typing import Any

import pytest

from pricetag.recipes import RecipeError, parse_recipe
from pricetag.recipes.glue import GLUE
from pricetag.recipes.plan import plan, plan_of_stored

SPELLINGS = ("CoLA", "SST-2", "MRPC", "STS-B", "QQP", "MNLI", "QNLI", "RTE", "WNLI")


def parse(*stages: dict[str, Any], **data: Any) -> Any:
    described = {"data": data, "model": "m", "stages": list(stages or [{"kind": "train"}])}
    return parse_recipe(described)


def fault(*stages: dict[str, Any], **data: Any) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        parse(*stages, **data)
    return caught.value


@pytest.mark.parametrize("title", SPELLINGS)
@pytest.mark.parametrize("source", [{}, {"path": "glue_data"}, {"hub": "glue"}])
def test_a_task_is_named_as_in_papers_or_on_the_hub(title: str, source: dict[str, str]) -> None:
    recipe = parse(glue=title, **source)
    task = GLUE[recipe.data.glue]
    assert task.title == title
    assert recipe.task == ("regression" if title == "STS-B" else "classification")
    assert recipe.data.config == (None if "path" in source else task.name)
    assert parse_recipe(recipe.model_dump(mode="json")) == recipe
    assert parse(glue=task.name, **source) == recipe


def test_files_and_splits_are_the_official_ones() -> None:
    assert parse(glue="mnli", path="g/MNLI/").splits() == {
        "train": "g/MNLI/train.tsv",
        "validation": "g/MNLI/dev_matched.tsv",
        "validation_mismatched": "g/MNLI/dev_mismatched.tsv",
    }
    assert parse(glue="mnli").splits() == {
        "train": "train",
        "validation": "validation_matched",
        "validation_mismatched": "validation_mismatched",
    }
    assert parse(glue="rte").splits() == {"train": "train", "validation": "validation"}


@pytest.mark.parametrize("stage", [{"kind": "train"}, {"kind": "evaluate"}])
def test_both_development_sets_of_mnli_are_evaluated(stage: dict[str, Any]) -> None:
    for recipe in (parse(stage, glue="mnli"), parse(stage, glue="mnli", path="g")):
        planned = plan(recipe.stages, recipe.splits())
        stored = recipe.model_dump(mode="json")
        assert [step.params for step in plan_of_stored(stored)] == [s.params for s in planned]
        evaluation: Any = planned[-1].params
        assert evaluation.splits == ["validation", "validation_mismatched"]


def test_the_positive_class_is_that_of_the_task() -> None:
    positive = {name: parse(glue=name).data.positive_label for name in GLUE}
    assert {name: label for name, label in positive.items() if label} == {
        "mrpc": "equivalent",
        "qqp": "duplicate",
    }


@pytest.mark.parametrize(
    ("data", "field", "says"),
    [
        ({"glue": "sts"}, "glue", "must be one of: cola"),
        ({"glue": "rte", "text": "premise"}, "text", "is 'sentence1' for GLUE's RTE"),
        ({"glue": "rte", "label": "gold"}, "label", "is 'label'"),
        ({"glue": "mrpc", "positive_label": "not_equivalent"}, "positive_label", "'equivalent'"),
        ({"glue": "rte", "positive_label": "entailment"}, "positive_label", "comes from"),
        ({"glue": "cola", "labels": ["acceptable", "unacceptable"]}, "labels", "remove it"),
        ({"glue": "stsb", "labels": ["low", "high"]}, "labels", "a regression"),
        ({"glue": "stsb", "text_pair": "b"}, "text_pair", "is 'sentence2'"),
        ({"glue": "sst2", "text_pair": "b"}, "text_pair", "is not a column of"),
        ({"glue": "rte", "train": "rte.tsv", "path": "g"}, "train", "'g/train.tsv'"),
        ({"glue": "rte", "path": "g", "header": "none"}, "header", "has no effect"),
        ({"glue": "rte", "path": "g", "separator": ","}, "separator", "has no effect"),
        ({"glue": "rte", "path": "g", "hub": "glue"}, "path", "use one"),
        ({"glue": "rte", "path": "../g"}, "path", "'..'"),
        ({"glue": "rte", "path": "g", "revision": "main"}, "revision", "hub"),
        ({"glue": "rte", "test": "test"}, "test", "hidden (-1)"),
        ({"glue": "cola", "path": "g", "block_size": 8}, "block_size", "belongs to"),
        ({"path": "g", "train": "a.tsv"}, "path", "add 'glue'"),
    ],
)
def test_what_contradicts_the_task_is_rejected(data: dict[str, Any], field: str, says: str) -> None:
    error = fault({"kind": "train", "evaluate": False}, **data)
    assert error.field == f"recipe.data.{field}"
    assert says in error.message


@pytest.mark.parametrize(
    ("glue", "metric", "use"),
    [
        ("cola", "accuracy", "mcc"),
        ("cola", "pearson", "mcc"),
        ("stsb", "mcc", "pearson or spearman"),
        ("sst2", "f1", "accuracy"),
        ("mrpc", "mcc", "f1 or accuracy"),
        ("mnli", "matched", "accuracy"),
    ],
)
def test_only_official_metrics_decide(glue: str, metric: str, use: str) -> None:
    stage = {"kind": "train", "mid_evaluation": {"metric": metric}}
    error = fault(stage, glue=glue, path="g")
    assert error.field == "recipe.stages.0.mid_evaluation.metric"
    assert error.message == f"'{metric}' is not a metric of GLUE's {GLUE[glue].title}; use {use}"
    stage["mid_evaluation"] = {"metric": use.split()[0]}
    assert parse(stage, glue=glue, path="g")


def test_a_task_that_does_not_fit_is_rejected() -> None:
    described = {"data": {"glue": "stsb"}, "model": "m", "stages": [{"kind": "train"}]}
    with pytest.raises(RecipeError) as caught:
        parse_recipe(described | {"task": "classification"})
    assert caught.value.field == "recipe.task"
    assert "must be regression for GLUE's STS-B" in caught.value.message


def test_test_sets_are_evaluated_only_where_a_labeled_file_is_named() -> None:
    stage = {"kind": "evaluate", "splits": ["test"]}
    error = fault(stage, glue="cola", path="g")
    assert error.field == "recipe.data.test"
    assert "GLUE's test labels are not published" in error.message
    assert parse(stage, glue="cola", path="g", test="g/labeled.tsv").splits()["test"]
    other = fault({"kind": "evaluate", "splits": ["validation_mismatched"]}, glue="rte")
    assert "MNLI alone" in other.message


def test_two_development_sets_need_no_glue() -> None:
    recipe = parse_recipe(
        {
            "task": "classification",
            "data": {"train": "a.tsv", "validation": "b.tsv", "validation_mismatched": "c.tsv"},
            "model": "m",
            "stages": [{"kind": "train"}],
        }
    )
    evaluation: Any = plan(recipe.stages, recipe.splits())[-1].params
    assert evaluation.splits == ["validation", "validation_mismatched"]
