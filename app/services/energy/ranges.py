"""The requested hours of an energy account: full UTC hours, up to a maximum."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.schemas.energy import EnergyBy
from app.services.errors import InvalidError

HOUR = timedelta(hours=1)
DEFAULT_SPAN = timedelta(days=7)
LONGEST = timedelta(days=3660)
"""Ten years."""

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""No energy is older; a period of the same length before it is still a valid date."""

LONGEST_BY_HOUR = timedelta(days=31)


class InvalidEnergyRangeError(InvalidError):
    """The requested range of hours is invalid."""

    code = "invalid-energy-range"


@dataclass(frozen=True, slots=True)
class Hours:
    """Full UTC hours, end exclusive."""

    start: datetime
    stop: datetime


def hours_of(start: datetime | None, stop: datetime | None, by: EnergyBy, now: datetime) -> Hours:
    """The requested hours.

    Raises:
        InvalidEnergyRangeError: If the range is invalid.
    """
    end = _whole_hour(stop, "to") if stop is not None else _floor(now) + HOUR
    begin = _whole_hour(start, "from") if start is not None else end - DEFAULT_SPAN
    if begin >= end:
        raise InvalidEnergyRangeError(
            f"'from' ({begin.isoformat()}) must be before 'to' ({end.isoformat()}).", field="from"
        )
    if begin > now:
        raise InvalidEnergyRangeError(
            f"'from' ({begin.isoformat()}) is in the future.", field="from"
        )
    longest = LONGEST_BY_HOUR if by == "hour" else LONGEST
    if end - begin > longest:
        raise InvalidEnergyRangeError(
            f"{begin.isoformat()} to {end.isoformat()} spans {(end - begin).days} days;"
            f" by {by}, at most {longest.days} days can be requested at once.",
            field="from",
        )
    return Hours(begin, end)


def _whole_hour(moment: datetime, field: str) -> datetime:
    if moment < EARLIEST:
        raise InvalidEnergyRangeError(
            f"{field!r} ({moment.isoformat()}) is before {EARLIEST.isoformat()}.", field=field
        )
    utc = moment.astimezone(UTC)
    if utc != _floor(utc):
        raise InvalidEnergyRangeError(
            f"Energy is stored by UTC hour: {field!r} must be a full hour, e.g."
            f" {_floor(utc).isoformat()}, not {utc.isoformat()}.",
            field=field,
        )
    return utc


def _floor(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
