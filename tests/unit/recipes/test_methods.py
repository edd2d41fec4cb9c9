"""Methods of a kind: how recipes write them, and what everything else calls them."""

from __future__ import annotations

from typing import Any

from pricetag.recipes import derive_kind, kind_of, kinds_within, parse_recipe
from pricetag.recipes.differences import differences
from pricetag.recipes.registry import methods_of

HEAD: dict[str, Any] = {
    "task": "classification",
    "data": {"train": "a.tsv", "validation": "b.tsv"},
    "model": "base",
}


def recipe(**stage: Any) -> dict[str, Any]:
    return {**HEAD, "stages": [{"kind": "train"}, {"kind": "distill", **stage}]}


def test_a_method_that_need_not_be_named_has_the_kinds_own_name() -> None:
    for stage in ({}, {"method": "logits"}):
        assert derive_kind(parse_recipe(recipe(**stage))) == "train+distill"
    assert derive_kind(parse_recipe(recipe(method="pkd"))) == "train+distill-pkd"
    assert kind_of({"kind": "distill", "method": "none of these"}) == "distill"


def test_the_methods_of_a_kind_begin_with_the_one_that_need_not_be_named() -> None:
    first, *named = methods_of("distill")
    assert first == "logits"
    assert "pkd" in named
    assert methods_of("evaluate") == []
    assert methods_of("train") == ["early_exit"]


def test_a_search_for_a_kind_finds_its_methods() -> None:
    first, *named = kinds_within("distill")
    assert first == "distill"
    assert "distill-pkd" in named
    assert kinds_within("distill-pkd") == ["distill-pkd"]
    assert kinds_within("train") == ["train", "train-early_exit"]
    assert kinds_within("evaluate") == ["evaluate"]


def test_a_named_default_is_not_a_difference_and_another_method_is_one() -> None:
    assert differences([recipe()], [recipe(method="logits")]) == []
    assert differences([recipe()], [recipe(method="pkd")]) == [
        "stages: train, distill (a), train, distill-pkd (b)"
    ]
