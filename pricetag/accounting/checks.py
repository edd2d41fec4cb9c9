"""Refusing numbers that cannot be what they claim to be, by the name of the field."""

from __future__ import annotations

import math


class InvalidFactor(ValueError):  # noqa: N818 - it names what is invalid, and callers show it
    """A figure that was handed in cannot be used.

    Attributes:
        field: Name of the parameter or field.
        value: What was given.
        what_would_do: What would be accepted.
    """

    def __init__(self, field: str, value: object, what_would_do: str) -> None:
        self.field = field
        self.value = value
        self.what_would_do = what_would_do
        super().__init__(f"{field} is {value!r}: give {what_would_do}")


def require_number(
    field: str, value: object, *, at_least: float = 0.0, what: str | None = None
) -> float:
    """The value as a float, if it is a finite number that is large enough.

    Raises:
        InvalidFactor: If it is not a number, not finite, or below ``at_least``.
    """
    wanted = what or f"a finite number of at least {at_least:g}"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidFactor(field, value, wanted)
    number = float(value)
    if not math.isfinite(number) or number < at_least:
        raise InvalidFactor(field, value, wanted)
    return number


def require_positive(field: str, value: object) -> float:
    """The value as a float, if it is a finite number above zero.

    Raises:
        InvalidFactor: If it is not.
    """
    number = require_number(field, value, what="a finite number above 0")
    if number == 0:
        raise InvalidFactor(field, value, "a finite number above 0")
    return number


def require_count(field: str, value: object, *, at_least: int = 1) -> int:
    """The value, if it is a whole number that is large enough.

    Raises:
        InvalidFactor: If it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
        raise InvalidFactor(field, value, f"a whole number of at least {at_least}")
    return value


def require_pue(field: str, value: object) -> float:
    """The value as a float, if it can be a power usage effectiveness.

    Raises:
        InvalidFactor: If it is not a finite number of at least 1.
    """
    what = "the facility's energy divided by the IT energy, a finite number of at least 1"
    return require_number(field, value, at_least=1.0, what=what)
