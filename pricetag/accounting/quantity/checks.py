"""Checks that reject impossible numbers and name the field."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


class InvalidFactor(ValueError):  # noqa: N818 - callers show it with the invalid field
    """An invalid figure.

    Attributes:
        field: Name of the parameter or field.
        value: The invalid value.
        valid_values: Description of valid values.
        problem: The problem in words, without the field's name.
    """

    def __init__(
        self, field: str, value: object, valid_values: str, problem: str | None = None
    ) -> None:
        self.field = field
        self.value = value
        self.valid_values = valid_values
        self.problem = problem or ("is missing" if value in (None, "") else f"{value!r} is invalid")
        stated = f"is {value!r}" if problem is None else problem
        super().__init__(f"{field} {stated}: use {valid_values}")


class InvalidFigures(InvalidFactor):
    """All invalid figures; ``field``, ``value`` and ``valid_values`` are those of the first.

    Attributes:
        faults: The invalid figures.
    """

    def __init__(self, faults: Sequence[InvalidFactor]) -> None:
        first = faults[0]
        super().__init__(first.field, first.value, first.valid_values)
        self.faults = tuple(faults)
        self.args = ("; ".join(str(fault) for fault in faults),)


class Faults:
    """Collects invalid figures, to report all of them at once."""

    def __init__(self) -> None:
        self._found: list[InvalidFactor] = []

    def within(self, check: Callable[[], T], instead: T) -> T:
        """The result of a check; if it rejects, keeps the fault and returns ``instead``."""
        try:
            return check()
        except InvalidFigures as several:
            self._found.extend(several.faults)
        except InvalidFactor as fault:
            self._found.append(fault)
        return instead

    def raise_any(self) -> None:
        """Reject if any check has rejected.

        Raises:
            InvalidFigures: With every fault.
        """
        if self._found:
            raise InvalidFigures(self._found)


def require_number(
    field: str,
    value: object,
    *,
    at_least: float = 0.0,
    at_most: float = math.inf,
    what: str | None = None,
) -> float:
    """The value as a float, if it is a finite number in range.

    Raises:
        InvalidFactor: If it is not a number, not finite, or out of range.
    """
    limit = "" if math.isinf(at_most) else f" and at most {at_most:g}"
    expected = what or f"a finite number of at least {at_least:g}{limit}"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidFactor(field, value, expected)
    # An int may be too large for a float; comparing it never fails.
    if not -sys.float_info.max <= value <= sys.float_info.max or not at_least <= value <= at_most:
        raise InvalidFactor(field, value, expected)
    return float(value)


def require_positive(field: str, value: object) -> float:
    """The value as a float, if it is a finite number above zero.

    Raises:
        InvalidFactor: If it is not.
    """
    number = require_number(field, value, what="a finite number above 0")
    if number == 0:
        raise InvalidFactor(field, value, "a finite number above 0")
    return number


def require_count(field: str, value: object, *, at_least: int = 1, at_most: int = 10**15) -> int:
    """The value, if it is a whole number in range.

    Raises:
        InvalidFactor: If it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not at_least <= value <= at_most:
        raise InvalidFactor(field, value, f"a whole number from {at_least} to {at_most:,}")
    return value


def require_pue(field: str, value: object) -> float:
    """The value as a float, if it is a valid power usage effectiveness.

    Raises:
        InvalidFactor: If it is not a number from 1 to 1000.
    """
    what = "the facility's energy divided by the IT energy, a number from 1 to 1000"
    return require_number(field, value, at_least=1.0, at_most=1_000.0, what=what)
