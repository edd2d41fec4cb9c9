"""Pydantic's messages about fields, in the words of this project."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_MESSAGES = {
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "has too many digits",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text",
}
_UUID_KINDS = ("uuid_parsing", "uuid_type")
_RUN_FIELD = re.compile(r"(?:^|\.)(?:runs?|run_id)(?:\.\d+)?$")
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_OF_OPTIONS = (
    (re.compile(r"Input should be a valid integer, .*"), "must be a whole number"),
    (re.compile(r"Input should be a valid number, .*"), "must be a number"),
    (re.compile(r"Input should be a valid UUID, .*"), "is not an ID"),
)


def message_of(error: Mapping[str, Any]) -> str:
    """The message about an invalid field.

    Args:
        error: An error of pydantic, with ``type``, ``msg`` and ``loc``.
    """
    kind = str(error.get("type"))
    if kind in _UUID_KINDS:
        field = ".".join(map(str, error.get("loc", ())))
        return (
            "is not a run ID; see `pricetag runs`" if _RUN_FIELD.search(field) else "is not an ID"
        )
    if kind in ("literal_error", "enum"):
        return f"must be one of {error['ctx']['expected']}"
    message = _MESSAGES.get(kind) or str(error.get("msg", "invalid"))
    return message.removeprefix("Value error, ").removeprefix("Assertion failed, ")


def option_message(text: str) -> str:
    """The error of an option or argument, without pydantic's wording."""
    for pattern, message in _OF_OPTIONS:
        text = pattern.sub(message, text)
    return text


def quotes_hint(error: Mapping[str, Any]) -> str | None:
    """Hint for a number in quotes, or for a text without quotes."""
    kind, value = error.get("type"), error.get("input")
    if kind in ("int_type", "float_type") and isinstance(value, str) and _NUMBER.fullmatch(value):
        return "remove the quotes"
    if kind == "string_type" and isinstance(value, int | float) and not isinstance(value, bool):
        return "put it in quotes"
    return None
