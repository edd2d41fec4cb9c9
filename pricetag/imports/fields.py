"""Fields of another tool's file: numbers, durations and times, with errors that name them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo

NOT_THERE = frozenset({"", "n/a", "na", "nan", "none", "null", "unknown"})
"""How files write that a value is missing."""

_DURATION = re.compile(r"(?:(\d+) days?, )?(\d+):(\d{2}):(\d{2}(?:\.\d+)?)")


class FieldError(ValueError):
    """A field is missing or has an invalid value; the message names it."""


def text(row: Mapping[str, str], *names: str) -> str | None:
    """The first of some fields that has a value; None if none has."""
    for name in names:
        value = row.get(name, "").strip()
        if value.lower() not in NOT_THERE:
            return value
    return None


def number(row: Mapping[str, str], *names: str) -> float | None:
    """The first of some fields that has a value, as a number; None if none has.

    Raises:
        FieldError: If it is not a finite number: `nan` is a failed computation, not a figure that
            the tool dropped.
    """
    for name in names:
        value = row.get(name, "").strip()
        if value.lower() == "nan" or value.lower() not in NOT_THERE:
            return as_number(value, name)
    return None


def amount(row: Mapping[str, str], *names: str) -> float | None:
    """The first of some fields that has a value, as a number that is not negative.

    Raises:
        FieldError: If it is negative, or not a finite number.
    """
    for name in names:
        value = number(row, name)
        if value is not None:
            return not_negative(value, name)
    return None


def required_amount(row: Mapping[str, str], *names: str) -> float:
    """A number that must be there and is not negative.

    Raises:
        FieldError: If it is missing, negative, or not a finite number.
    """
    return not_negative(required(row, *names), names[0])


def not_negative(value: float, name: str) -> float:
    """The value.

    Raises:
        FieldError: If it is negative.
    """
    if value < 0:
        raise FieldError(f"{name}: must not be negative (got {value:g})")
    return value


def required(row: Mapping[str, str], *names: str) -> float:
    """A number that must be there.

    Raises:
        FieldError: If it is missing, or not a finite number.
    """
    value = number(row, *names)
    if value is None:
        raise FieldError(f"{names[0]}: is missing")
    return value


def as_number(value: str, name: str) -> float:
    """A finite number.

    Raises:
        FieldError: If it is none.
    """
    try:
        converted = float(value)
    except ValueError:
        converted = math.nan
    if not math.isfinite(converted):
        raise FieldError(f"{name}: must be a number (got {value!r:.60})")
    return converted


def moment(value: str, name: str, zone: tzinfo | None) -> datetime:
    """A time: ISO 8601, or seconds since 1970.

    Args:
        value: The field.
        name: Its name.
        zone: Time zone of times that state none; None for that of this machine.

    Raises:
        FieldError: If it is not a time.
    """
    try:
        seconds = float(value)
    except ValueError:
        pass
    else:
        try:
            return datetime.fromtimestamp(seconds, UTC)
        except (ValueError, OverflowError, OSError) as error:
            raise _not_a_time(value, name) from error
    try:
        parsed = datetime.fromisoformat(value.replace(",", "."))
        if parsed.tzinfo is not None:
            return parsed
        return parsed.astimezone() if zone is None else parsed.replace(tzinfo=zone)
    except (ValueError, OverflowError) as error:
        raise _not_a_time(value, name) from error


def _not_a_time(value: str, name: str) -> FieldError:
    return FieldError(
        f"{name}: is not a time (got {value!r:.60}): it must be ISO 8601, such as "
        "2026-11-02T10:00:00, or seconds since 1970"
    )


def before(ended_at: datetime, lasted_s: float, name: str) -> datetime:
    """The beginning of what ended at a time.

    Raises:
        FieldError: If it lasted too long for that.
    """
    try:
        return ended_at - timedelta(seconds=lasted_s)
    except OverflowError as error:
        raise FieldError(f"{name}: is too long (got {lasted_s:g} s)") from error


def duration_s(value: str, name: str) -> float:
    """A duration such as ``1 day, 2:03:04.5``, in s.

    Raises:
        FieldError: If it is none.
    """
    parts = _DURATION.fullmatch(value.strip())
    if parts is None:
        raise FieldError(f"{name}: is not a duration such as 1:02:03 (got {value!r:.60})")
    days, hours, minutes, seconds = parts.groups()
    return int(days or 0) * 86_400 + int(hours) * 3600 + int(minutes) * 60 + float(seconds)
