"""Time of expiry: after a lifetime, or on a date."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

HOURS = {"h": 1, "d": 24, "w": 168}
_LIFETIME = re.compile(r"([1-9][0-9]{0,5})([hdw])", re.ASCII)


class InvalidLifetimeError(ValueError):
    """Neither a lifetime nor a date."""


def end_of(text: str, now: datetime) -> datetime:
    """The end of a lifetime such as ``90d``; a date (UTC) or a time is returned as is.

    Raises:
        InvalidLifetimeError: If the text is neither.
    """
    lifetime = _LIFETIME.fullmatch(text)
    try:
        if lifetime is not None:
            return now + timedelta(hours=HOURS[lifetime[2]] * int(lifetime[1]))
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise InvalidLifetimeError(
            f"{text!r} is neither a lifetime such as 12h, 90d or 8w nor a date such as 2027-01-31"
        ) from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
