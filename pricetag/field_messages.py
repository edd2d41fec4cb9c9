"""Pydantic's messages about fields, in Pricetag's wording."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

_TIME = "must be an ISO 8601 time with its time zone, e.g. 2026-03-01T12:00:00Z"
_MESSAGES = {
    "missing": "is missing",
    "extra_forbidden": "is not a known field",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "has too many digits",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "decimal_type": "must be a number",
    "decimal_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text",
    "string_unicode": "must be valid Unicode",
    "bytes_type": "must be text in base64",
    "base64_decode": "must be text in base64",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be an object of fields",
    "mapping_type": "must be an object of fields",
    "model_type": "must be an object of fields",
    "model_attributes_type": "must be an object of fields",
    "datetime_type": _TIME,
    "datetime_parsing": _TIME,
    "datetime_from_date_parsing": _TIME,
    "timezone_aware": _TIME,
}
_LIMITS = {
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "string_too_long": "must have at most {max_length} characters",
    "decimal_max_digits": "must have at most {max_digits} digits",
    "decimal_max_places": "must have at most {decimal_places} decimal places",
    "decimal_whole_digits": "must have at most {whole_digits} digits before the decimal point",
}
_LINE = "must be one line of text without control characters"
_PATTERNS = {
    r"^[^\x00-\x1f\x7f]+$": _LINE,
    r"^[^\x00-\x1f\x7f]*$": _LINE,
    r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$": f"{_LINE}, and not blank",
    r"^[^\x00]*$": "may not contain a NUL character",
    r"^[^\r\n]+$": "must be one line of text",
    r"^[^\x00-\x20\x7f?#]*$": "must be the encoded query of an address, without '?' and '#'",
    r"^[0-9a-fA-F]{64}$": "must be a SHA-256 hash of 64 hexadecimal digits",
    r"^(recipe|resources)(\.[A-Za-z0-9_-]+)+$": "must be the path of a field of the job, e.g. "
    "recipe.stages.0.learning_rate",
    r"^[A-Z]{3}$": "must be the three capital letters of an ISO 4217 code, e.g. EUR",
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$": "must have 1 to 100 letters, digits, '.', '_' or '-', "
    "and begin with a letter or digit",
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$": "must have 1 to 63 letters, digits, '.', '_' or '-', "
    "and begin with a letter or digit",
    r"^[A-Za-z0-9][A-Za-z0-9_.\-]*(/[A-Za-z0-9][A-Za-z0-9_.\-]*)?$": "must be NAME or OWNER/NAME "
    "of letters, digits, '.', '_' and '-'",
    r"^[a-z0-9-]{1,40}$": "must have 1 to 40 lower-case letters, digits or '-'",
    r"^[\w-]+$": "must have only letters, digits, '_' and '-'",
    r"^(https?://[^\s]+)?$": "must be a web address that begins with http:// or https://",
    r"^https?://[^\s?#]+$": "must be a web address that begins with http:// or https:// and has no "
    "'?' or '#'",
    r"^https?://": "must begin with http:// or https://",
    r"^[\x21-\x7e]+$": "must have only visible ASCII characters, without spaces",
    r"^[0-9]{1,18}$": "must be a whole number of up to 18 digits",
    r"^[0-9a-f]{7,64}$": "must be a commit: 7 to 64 digits and letters a to f",
    r"^[0-9a-f]{64}$": "must be a SHA-256: 64 digits and letters a to f",
}
"""Descriptions of valid texts, by the regular expression that checks them."""
MAX_SHOWN = 24
"""Digits of a number that a message repeats."""

_UUID_KINDS = ("uuid_parsing", "uuid_type")
_RUN_FIELD = re.compile(r"(?:^|\.)(?:runs?|run_id)(?:\.\d+)?$")
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_OF_OPTIONS = (
    (re.compile(r"Input should be a valid integer, .*"), "must be a whole number"),
    (re.compile(r"Input should be a valid number, .*"), "must be a number"),
    (re.compile(r"Input should be a valid UUID, .*"), "is not an ID"),
    (re.compile(r"Input should be greater than or equal to (\S+)"), r"must be at least \1"),
    (re.compile(r"Input should be less than or equal to (\S+)"), r"must be at most \1"),
    (re.compile(r"Value error, (.*) is not one of (.*)\."), r"\1 is not one of \2"),
    (
        re.compile(r"^(?:Missing|No such) (?:argument|command|option)(?!.*Did you mean).*"),
        r"\g<0> (--help shows the usage)",
    ),
)
"""Messages of the command line's parser, and their wording here."""


def message_of(error: Mapping[str, Any]) -> str:
    """The message about an invalid field.

    Args:
        error: An error of pydantic, with ``type``, ``msg`` and ``loc``.
    """
    kind = str(error.get("type"))
    if kind in _UUID_KINDS:
        field = ".".join(map(str, error.get("loc", ())))
        return (
            "is not a full run ID; see `pricetag runs --json`"
            if _RUN_FIELD.search(field)
            else "is not an ID"
        )
    if kind in ("literal_error", "enum"):
        return f"must be one of {error['ctx']['expected']}"
    context: Mapping[str, Any] = error.get("ctx") or {}
    if kind in _LIMITS:
        limits = {name: _plain(value) for name, value in context.items()}
        return _LIMITS[kind].format_map(limits) + _got(kind, error.get("input"))
    if kind == "string_too_short":
        least = context["min_length"]
        return "must not be empty" if least == 1 else f"must have at least {least} characters"
    if kind in ("too_short", "too_long"):
        bound, count = ("least", "min") if kind == "too_short" else ("most", "max")
        items = context[f"{count}_length"]
        return f"must have at {bound} {items} item{'' if items == 1 else 's'}"
    if kind == "string_pattern_mismatch":
        return _PATTERNS.get(str(context["pattern"]), "has an invalid form")
    message = _MESSAGES.get(kind) or str(error.get("msg", "invalid"))
    return message.removeprefix("Value error, ").removeprefix("Assertion failed, ")


def _plain(limit: object) -> str:
    """A limit without a needless ``.0`` or exponent."""
    if isinstance(limit, float | Decimal) and limit == int(limit):
        limit = int(limit)
    return str(limit)


def _got(kind: str, value: object) -> str:
    """The rejected number, if it is short."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    is_text = isinstance(value, str) and _NUMBER.fullmatch(value)
    if kind == "string_too_long" or not (is_number or is_text) or len(str(value)) > MAX_SHOWN:
        return ""
    return f" (got {value})"


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
