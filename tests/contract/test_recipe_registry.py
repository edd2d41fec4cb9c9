"""Every stage kind is complete: parameters, code, paper, and a tiny example that runs."""

from __future__ import annotations

import importlib
import inspect
import json
import typing
from pathlib import Path
from typing import Any

import pytest

from pricetag.recipes import REGISTRY, RecipeEntry, describe, registry

ENTRIES = list(REGISTRY.values())
by_kind = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.kind)


def test_registry_and_union_have_the_same_kinds() -> None:
    union = typing.get_args(typing.get_args(registry.Stage)[0])
    assert {typing.get_args(one)[0] for one in union} == {entry.params for entry in ENTRIES}


def test_every_recipe_file_is_registered() -> None:
    recipes = Path(__file__).parents[2] / "workers" / "recipes"
    files = {path.stem for path in recipes.glob("*.py")} - {"__init__"}
    assert files == {entry.file_name for entry in ENTRIES}


@by_kind
def test_the_entry_point_exists_and_takes_params_and_context(entry: RecipeEntry[Any]) -> None:
    run = importlib.import_module(entry.module).run
    assert list(inspect.signature(run).parameters) == ["params", "context"]
    assert "Source:" in (run.__doc__ or "")


@by_kind
def test_the_example_is_valid_and_small(entry: RecipeEntry[Any]) -> None:
    params = entry.params.model_validate(entry.example)
    assert params.kind == entry.family
    assert params.stage_kind() == entry.kind
    assert getattr(params, "epochs", 1) in (None, 1)
    assert getattr(params, "min_seconds", 1) <= 1


@by_kind
def test_the_paper_is_cited(entry: RecipeEntry[Any]) -> None:
    assert entry.paper.url.startswith("https://")
    assert any(f"({year})" in entry.paper.citation for year in range(1990, 2027))
    assert "Source:" in (entry.params.__doc__ or "")


def test_descriptions_are_json_with_a_schema_for_every_option() -> None:
    descriptions = json.loads(json.dumps(describe()))
    assert [one["kind"] for one in descriptions] == list(REGISTRY)
    for one, entry in zip(descriptions, ENTRIES, strict=True):
        assert set(one["schema"]["properties"]) == set(entry.params.model_fields)
        assert one["schema"]["additionalProperties"] is False
