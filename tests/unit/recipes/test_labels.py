from __future__ import annotations

from itertools import permutations

import pytest

from pricetag.recipes import Data, RecipeError, parse_recipe
from pricetag.recipes.labels import (
    alike_names,
    class_name,
    class_order,
    find_class,
    generic_names,
    same_classes,
)

RECIPE: dict[str, object] = {
    "task": "classification",
    "data": {"train": "a.tsv"},
    "model": "m",
    "stages": [{"kind": "train", "evaluate": False}],
}


@pytest.mark.parametrize(
    "order",
    [
        ["not_equivalent", "equivalent"],
        ["not_duplicate", "duplicate"],
        ["entailment", "not_entailment"],  # as GLUE numbers RTE and QNLI
        ["unacceptable", "acceptable"],
        ["negative", "positive"],
        ["Not Equivalent", "Equivalent"],
        ["non-toxic", "toxic"],
        ["nontoxic", "toxic"],
        ["irrelevant", "relevant"],
        ["dishonest", "honest"],
        ["NOT", "HATE"],
        ["no", "yes"],
        ["False", "True"],
        ["neg", "pos"],
        ["0", "1"],
        ["-1", "1"],
        ["9", "10"],
        ["ham", "spam"],
        ["2", "10", "x"],
        ["contradiction", "entailment", "neutral"],
        ["class-0" + "0" * 5000, "class-1"],
    ],
)
def test_classes_are_ordered_the_same_from_any_start(order: list[str]) -> None:
    for start in list(permutations(order)):
        assert class_order(start) == order


@pytest.mark.parametrize(
    ("value", "name"),
    [(1, "1"), (1.0, "1"), ("1 ", "1"), (True, "True"), (" ", None), (1.5, None), (None, None)],
)
def test_a_cell_names_a_class(value: object, name: str | None) -> None:
    assert class_name(value) == name


def test_names_are_matched_exactly_then_but_for_case() -> None:
    assert find_class("positive", ["NEGATIVE", "POSITIVE"]) == 1
    assert find_class("us", ["US", "us"]) == 1
    assert find_class("Us", ["US", "us"]) is None
    assert same_classes(["a", "b"], ["B", "A"])
    assert not same_classes(["a", "b"], ["a", "c"])
    assert not same_classes(["a", "a"], ["a", "b"])
    assert generic_names(["LABEL_0", "LABEL_1"])
    assert not generic_names(["LABEL_1", "LABEL_0"])


def with_data(**changes: object) -> Data:
    data = parse_recipe({**RECIPE, "data": {"train": "a.tsv", **changes}}).data
    assert data is not None
    return data


def test_labels_in_a_job_are_named_as_in_a_table() -> None:
    data = with_data(labels=[0, 1], positive_label=0)
    assert (data.labels, data.positive_label) == (["0", "1"], "0")


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"labels": ["a", "a"]}, "data.labels", "more than once"),
        ({"labels": ["a", "b"], "positive_label": "c"}, "data.positive_label", "not one of"),
        (
            {"labels": ["a", "b", "c"], "positive_label": "c"},
            "data.positive_label",
            "more than two",
        ),
        ({"labels": ["a"]}, "data.labels", "at least 2"),
        ({"labels": ["a", 1.5]}, "data.labels.1", "must be text"),
    ],
)
def test_labels_that_do_not_fit_are_rejected(
    changes: dict[str, object], field: str, message: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        with_data(**changes)
    assert caught.value.field == f"recipe.{field}"
    assert message in caught.value.message


@pytest.mark.parametrize("option", [{"labels": ["a", "b"]}, {"positive_label": "a"}])
def test_scores_have_no_classes(option: dict[str, object]) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe({**RECIPE, "task": "regression", "data": {"train": "a.tsv", **option}})
    assert caught.value.field == f"recipe.data.{next(iter(option))}"


@pytest.mark.parametrize(
    ("names", "alike"),
    [
        (["0", "1", "1.0"], ("1", "1.0")),
        (["0", "01", "1"], ("01", "1")),
        (["neg", "Pos", "pos"], ("Pos", "pos")),
        (["very  good", "very good"], ("very  good", "very good")),
        (["-1", "1"], None),
        (["0", "1", "10", "1.5"], None),
        (["good", "goods"], None),
    ],
)
def test_names_that_look_like_one_class_are_noticed(
    names: list[str], alike: tuple[str, str] | None
) -> None:
    assert alike_names(names) == alike
