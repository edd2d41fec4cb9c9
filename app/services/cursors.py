"""Opaque page cursors: the end of the previous page."""

from __future__ import annotations

import base64
import binascii
import json
import math
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from app.services.errors import InvalidError
from pricetag.storable import problem_of

Row = TypeVar("Row")


class CursorError(InvalidError):
    """The cursor is not from this server, or belongs to another list or order."""

    code = "invalid-cursor"


def encode(*parts: str | int) -> str:
    """Encodes the parts as URL-safe text, which clients send back unchanged."""
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def page(
    rows: Sequence[Row], limit: int, place: Callable[[Row], Sequence[str | int]]
) -> tuple[Sequence[Row], str | None]:
    """The rows of a page, and the cursor of the next page or None.

    Args:
        rows: Rows in the order of the list, with one extra row if there is a next page.
        limit: Maximum number of rows on the page.
        place: Parts of the cursor that continues after a row.
    """
    shown = rows[:limit]
    return shown, encode(*place(shown[-1])) if len(rows) > limit else None


def decode(cursor: str, *kinds: type[str] | type[int], field: str = "cursor") -> list[str | int]:
    """Decodes the parts of a cursor from `encode`.

    Args:
        cursor: Cursor sent by the client.
        *kinds: Type of each part.
        field: Name of the query parameter, for the error.

    Raises:
        CursorError: If it is not a cursor of this form.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        parts = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise invalid(field) from error
    if not isinstance(parts, list) or [type(part) for part in parts] != list(kinds):
        raise invalid(field)
    for part in parts:
        if isinstance(part, str) and problem_of(part):
            raise invalid(field)
        if isinstance(part, int) and not 0 <= part < 2**31:
            raise invalid(field)
    return parts


def invalid(field: str) -> CursorError:
    return CursorError(
        "This cursor does not belong to this list; start without a cursor.", field=field
    )


def parse_id(text: str, field: str = "cursor") -> uuid.UUID:
    """Parses an id in a cursor.

    Raises:
        CursorError: If it is invalid.
    """
    try:
        return uuid.UUID(text)
    except ValueError as error:
        raise invalid(field) from error


def check_time(text: str, field: str = "cursor") -> None:
    """Requires that a cursor's sort value is a time.

    Raises:
        CursorError: If it is invalid.
    """
    if text == "infinity":
        return
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise invalid(field) from error
    if moment.tzinfo is None:
        raise invalid(field)


def check_number(text: str, field: str = "cursor") -> None:
    """Requires that a cursor's sort value is a number; `infinity` for an unknown one.

    Raises:
        CursorError: If it is invalid.
    """
    try:
        number = float(text)
    except ValueError as error:
        raise invalid(field) from error
    if math.isnan(number):
        raise invalid(field)


def position(cursor: str | None, expected_list: str) -> tuple[datetime, uuid.UUID] | None:
    """Start of a page ordered by time of entry.

    Raises:
        CursorError: If the cursor does not belong to this list.
    """
    if cursor is None:
        return None
    list_name, moment, row_id = map(str, decode(cursor, str, str, str))
    if list_name != expected_list or moment == "infinity":
        raise invalid("cursor")
    check_time(moment)
    return datetime.fromisoformat(moment), parse_id(row_id)


class Entered(Protocol):
    """A row with an id and a time of entry."""

    @property
    def id(self) -> uuid.UUID:
        """Its id."""

    @property
    def created_at(self) -> datetime:
        """When it was entered."""


def place(list_name: str, row: Entered) -> tuple[str, str, str]:
    """The parts of a cursor of a list by time of entry."""
    return list_name, row.created_at.isoformat(), str(row.id)
