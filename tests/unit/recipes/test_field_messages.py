"""Errors of a field are stated once, in the project's words."""

from __future__ import annotations

import json
from typing import Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, ValidationError, field_validator

from app import errors
from pricetag.recipes import RecipeError, parse_run_spec


class Body(BaseModel, strict=True):
    metric: Literal["energy", "cost"] = "cost"
    run_id: UUID | None = None
    runs: list[UUID] = []
    token_id: UUID | None = None
    count: int = 0
    power_w: float = 0.0
    name: str = ""
    is_on: bool = True
    choice: str = "a"

    @field_validator("choice")
    @classmethod
    def _known(cls, value: str) -> str:
        if value != "a":
            raise ValueError("is not a")
        return value


@pytest.mark.parametrize(
    ("field", "value", "message", "hint"),
    [
        ("metric", "x", "must be one of 'energy' or 'cost'", None),
        ("run_id", "x", "is not a full run ID; see `pricetag runs --json`", None),
        ("runs", ["x"], "is not a full run ID; see `pricetag runs --json`", None),
        ("token_id", "x", "is not an ID", None),
        ("count", "3", "must be a whole number", "remove the quotes"),
        ("count", "x", "must be a whole number", None),
        ("count", 1.5, "must be a whole number", None),
        ("power_w", "1e3", "must be a number", "remove the quotes"),
        ("name", 3, "must be text", "put it in quotes"),
        ("is_on", "x", "must be true or false", None),
        ("choice", "b", "is not a", None),
    ],
)
def test_an_error_is_in_plain_words(field: str, value: Any, message: str, hint: str | None) -> None:
    with pytest.raises(ValidationError) as caught:
        Body.model_validate_json(json.dumps({field: value}))
    (problem,) = errors.field_problems(caught.value.errors())
    assert (problem.message, problem.hint) == (message, hint)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"priority": "3"}, "priority: must be a whole number (remove the quotes)"),
        ({"priority": 1.5}, "priority: must be a whole number"),
        ({"name": 7}, "name: must be text (put it in quotes)"),
        (
            {"recipe": {"model": {"run": "abc"}}},
            "recipe.model.run: is not a full run ID; see `pricetag",
        ),
    ],
)
def test_errors_in_a_job_file_are_in_plain_words(changes: dict[str, Any], message: str) -> None:
    spec = {"project": "p", "experiment": "e", "name": "n", "recipe": {"stages": []}}
    with pytest.raises(RecipeError) as caught:
        parse_run_spec({**spec, **changes})
    assert message in str(caught.value)
