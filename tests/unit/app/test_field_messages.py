"""Messages about invalid fields are in plain words: no regular expressions, no pydantic."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import BaseModel, TypeAdapter, ValidationError

from app.api.openapi import BODIES
from app.errors import field_problems
from app.settings import Settings
from pricetag import field_messages
from pricetag.one_line import VISIBLE
from pricetag.recipes import REGISTRY, RunSpec, not_before

PYDANTIC = re.compile(
    r"Input should|should (?:be|have|match)|Extra inputs|Field required|Value err"
)


def patterns(schema: object) -> Iterator[str]:
    """Every regular expression in a JSON schema."""
    if isinstance(schema, dict):
        if isinstance(schema.get("pattern"), str):
            yield schema["pattern"]
        for inner in schema.values():
            yield from patterns(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from patterns(inner)


def test_every_regular_expression_of_a_request_is_described_in_words(unserved: FastAPI) -> None:
    models: tuple[type[BaseModel], ...] = (
        *BODIES,
        RunSpec,
        Settings,
        *(entry.params for entry in REGISTRY.values()),
    )
    used = {one for model in models for one in patterns(model.model_json_schema())}
    used |= set(patterns(unserved.openapi()["paths"]))
    # Some are only documented so, and are checked by functions with their own messages.
    documented_only = {one for one in used if "train|" in one or VISIBLE in one}
    documented_only.add(not_before.PATTERN)
    assert len(used - documented_only) >= 10
    assert used - documented_only <= set(field_messages._PATTERNS)


def types() -> Iterator[tuple[str, Any]]:
    """Every field of a request body with its type."""
    for model in BODIES:
        if model.__name__ == "RunCreate":  # recipes have their own messages
            continue
        for name, info in model.model_fields.items():
            yield f"{model.__name__}.{name}", info.rebuild_annotation()


@pytest.mark.parametrize(("field", "annotation"), list(types()), ids=lambda v: str(v)[:40])
def test_no_invalid_value_has_a_message_of_pydantic(field: str, annotation: Any) -> None:
    values: list[object] = ["", "\x00", "x" * 6_000_001, -1, 1e300, float("nan"), True, None]
    values += [[], [None] * 2000, {}, {"x": 1}, "2026-13-01T00:00", "http:/x", 10**40, "1.0000001"]
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    for value in values:
        try:
            adapter.validate_python(value)
        except ValidationError as error:
            for problem in field_problems(error.errors()):
                assert not PYDANTIC.search(problem.message), (field, value, problem.message)
                assert "^" not in problem.message


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            {"type": "greater_than_equal", "ctx": {"ge": 1}, "input": 0},
            "must be at least 1 (got 0)",
        ),
        ({"type": "less_than", "ctx": {"lt": 1}, "input": "2"}, "must be less than 1 (got 2)"),
        ({"type": "less_than", "ctx": {"lt": 1}, "input": "9" * 99}, "must be less than 1"),
        ({"type": "greater_than", "ctx": {"gt": 0.0}}, "must be greater than 0"),
        ({"type": "less_than_equal", "ctx": {"le": Decimal("1e6")}}, "must be at most 1000000"),
        ({"type": "less_than_equal", "ctx": {"le": 0.5}}, "must be at most 0.5"),
        ({"type": "greater_than", "ctx": {"gt": 0}, "input": True}, "must be greater than 0"),
        ({"type": "string_too_short", "ctx": {"min_length": 1}, "input": ""}, "must not be empty"),
        (
            {"type": "string_too_short", "ctx": {"min_length": 2}, "input": "x"},
            "must have at least 2 characters",
        ),
        ({"type": "too_short", "ctx": {"min_length": 1}, "input": []}, "must have at least 1 item"),
        ({"type": "too_long", "ctx": {"max_length": 2}, "input": []}, "must have at most 2 items"),
        (
            {"type": "string_pattern_mismatch", "ctx": {"pattern": "^[A-Z]{3}$"}, "input": "euro"},
            "must be the three capital letters of an ISO 4217 code, e.g. EUR",
        ),
    ],
)
def test_limits_are_stated_in_words(error: dict[str, Any], message: str) -> None:
    assert field_messages.message_of({"loc": ("x",), "msg": "?", **error}) == message
