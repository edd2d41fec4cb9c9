"""Choices of forms: errors use the labels that the form shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from app.errors import field_problems
from app.schemas.common import FieldProblem

Choices = Mapping[str, Mapping[Any, str]]
"""The labels of each value of a field, by the field's name."""


def problems_of(errors: Iterable[Mapping[str, Any]], choices: Choices) -> list[FieldProblem]:
    """The errors in the fields of a form.

    Args:
        errors: Errors of pydantic.
        choices: What the form offers for each field in which one value is chosen.
    """
    listed = list(errors)
    return [
        _in_words(problem, choices) if error["type"] == "literal_error" else problem
        for error, problem in zip(listed, field_problems(listed), strict=True)
    ]


def _in_words(problem: FieldProblem, choices: Choices) -> FieldProblem:
    words = choices.get((problem.field or "").partition(".")[0])
    if not words:
        return problem
    *others, last = words.values()
    message = f"must be one of {', '.join(others)} or {last}" if others else f"must be {last}"
    return problem.model_copy(update={"message": message})
