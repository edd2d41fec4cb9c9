"""Hourly carbon intensities from CSV: one invalid line rejects the whole file."""

from __future__ import annotations

import csv
import itertools
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.schemas.common import FieldProblem, is_plain_number
from app.services.factors.price_files import MalformedFileError

HEAD = ["hour", "g_per_kwh"]
HOUR = timedelta(hours=1)
MOST_G_PER_KWH = 5_000.0
EARLIEST_YEAR = 1990
OFFSET = "add the offset from UTC, e.g. 2026-03-29T02:00+01:00 or 2026-03-29T01:00Z"

_MOMENT = re.compile(
    r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2})?(\.0+)?(Z|[+-]\d{2}:?\d{2})?", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Gap:
    """Consecutive hours that are missing within a series."""

    first: datetime
    hours: int


def read_hours(text: str, now: datetime) -> dict[datetime, float]:
    """Carbon intensity (g CO2e/kWh) of each UTC hour of a file with ``hour,g_per_kwh``.

    Args:
        text: Content of the file.
        now: Present time; hours that are not over yet are rejected.

    Raises:
        MalformedFileError: With line and column of every invalid cell.
    """
    intensities: dict[datetime, float] = {}
    lines: dict[datetime, int] = {}
    faults: list[FieldProblem] = []
    for line, cells in _lines(text):
        if len(cells) != len(HEAD):
            faults.append(_fault(line, "", f"has {len(cells)} cells instead of {len(HEAD)}"))
            continue
        hour = _hour(line, cells[0].strip(), now)
        value = _value(line, cells[1].strip())
        faults += [part for part in (hour, value) if isinstance(part, FieldProblem)]
        if isinstance(hour, datetime) and hour in lines:
            faults.append(_fault(line, "hour", f"repeats the hour of line {lines[hour]}"))
        elif isinstance(hour, datetime):
            lines[hour] = line
            if isinstance(value, float):
                intensities[hour] = value
    if faults:
        raise MalformedFileError(faults)
    if not intensities:
        raise MalformedFileError([FieldProblem(field="content", message="contains no hours")])
    return dict(sorted(intensities.items()))


def gaps(hours: Iterable[datetime]) -> list[Gap]:
    """Gaps between the first and the last hour."""
    missing_hours: list[Gap] = []
    ordered = sorted(hours)
    for earlier, later in itertools.pairwise(ordered):
        missing = round((later - earlier) / HOUR) - 1
        if missing:
            missing_hours.append(Gap(earlier + HOUR, missing))
    return missing_hours


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(text.removeprefix("\ufeff").splitlines(), strict=True)
    try:
        head = [name.strip() for name in next(reader, [])]
        if head != HEAD:
            header = ",".join(head) or "nothing"
            raise MalformedFileError(
                [_fault(1, "", f"is {header!r}: the header line must be {','.join(HEAD)}")]
            )
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise MalformedFileError([_fault(reader.line_num, "", f"is not CSV: {error}")]) from error


def _hour(line: int, cell: str, now: datetime) -> datetime | FieldProblem:
    match = _MOMENT.fullmatch(cell)
    try:
        moment = datetime.fromisoformat(cell) if match else None
    except ValueError:
        moment = None
    if moment is None or match is None:
        hint = "an ISO 8601 time, e.g. 2026-03-01T12:00Z"
        return _fault(line, "hour", f"{cell!r} is not a time", hint)
    if moment.tzinfo is None:
        return _fault(line, "hour", f"{cell!r} has no time zone", OFFSET)
    if not EARLIEST_YEAR <= moment.year <= now.year:
        span = f"an hour from {EARLIEST_YEAR} to now"
        return _fault(line, "hour", f"{cell} is in the year {moment.year}", span)
    hour = moment.astimezone(UTC)
    if hour.minute or hour.second or hour.microsecond:
        return _fault(line, "hour", f"{cell} does not begin on the hour in UTC")
    if hour + HOUR > now:
        return _fault(line, "hour", f"{cell} is not over yet: forecasts are not accepted")
    return hour


def _value(line: int, cell: str) -> float | FieldProblem:
    value = float(cell) if is_plain_number(cell) else math.nan
    if not 0 <= value <= MOST_G_PER_KWH:
        hint = f"a number from 0 to {MOST_G_PER_KWH:g}, in g CO2e/kWh"
        return _fault(line, "g_per_kwh", f"{cell!r} is not a carbon intensity", hint)
    return value


def _fault(line: int, column: str, message: str, hint: str | None = None) -> FieldProblem:
    place = f"line {line}, {column}" if column else f"line {line}"
    return FieldProblem(field=place, message=message, hint=hint)
