"""Windows on a meter's clock, cut at full UTC hours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pricetag.accounting.readings.ledger import Ledger

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class HourSpan:
    """The part of a window within one hour.

    Attributes:
        hour: Beginning of the UTC hour.
        start_s: Beginning of the part, on the meter's clock.
        end_s: End of the part.
    """

    hour: datetime
    start_s: float
    end_s: float

    @property
    def key(self) -> str:
        """The hour's key in measurements: ``2026-11-21T04:00:00+00:00``."""
        return self.hour.isoformat()


def hour_spans(opened_at: datetime, start_s: float, end_s: float) -> Iterator[HourSpan]:
    """Cut a window at full UTC hours; the parts adjoin, and none is empty.

    Args:
        opened_at: Opening of the meter, the zero of its clock; with a time zone.
        start_s: Beginning of the window, in s since then.
        end_s: End of the window.

    Raises:
        ValueError: If ``opened_at`` has no time zone.
    """
    if opened_at.tzinfo is None:
        raise ValueError(f"{opened_at} has no time zone")
    zero = opened_at.astimezone(UTC)
    hour = (zero + timedelta(seconds=start_s)).replace(minute=0, second=0, microsecond=0)
    here_s = start_s
    while here_s < end_s:
        hour_ends_s = (hour + HOUR - zero).total_seconds()
        if hour_ends_s > here_s:
            yield HourSpan(hour, here_s, min(hour_ends_s, end_s))
            here_s = hour_ends_s
        hour += HOUR


def metered_hours(
    ledger: Ledger, opened_at: datetime, start_s: float, end_s: float
) -> Iterator[HourSpan]:
    """The hours of a window in which the component was read."""
    read_s = ledger.read_s
    if read_s is not None:
        yield from hour_spans(opened_at, max(start_s, read_s[0]), min(end_s, read_s[1]))


def energy_by_hour_j(
    ledger: Ledger, opened_at: datetime, start_s: float, end_s: float
) -> dict[str, float]:
    """Energy charged in a window by UTC hour, in J; hours without energy are omitted.

    Args:
        ledger: The component's readings.
        opened_at: Zero of their clock, with a time zone.
        start_s: Beginning of the window, on that clock.
        end_s: End of the window.

    Returns:
        Energies that add up to the energy of the window, by the beginning of their hour (ISO
        8601).

    Raises:
        ValueError: If ``opened_at`` has no time zone.
    """
    spans = metered_hours(ledger, opened_at, start_s, end_s)
    by_hour = {span.key: ledger.charged_j(span.start_s, span.end_s) for span in spans}
    return {key: energy_j for key, energy_j in by_hour.items() if energy_j > 0}
