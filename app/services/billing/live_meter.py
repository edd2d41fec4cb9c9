"""Updates a running attempt's charge so far with each reading, on the attempt's row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models import Attempt
from pricetag.accounting.bill import live
from pricetag.accounting.bill.live import LiveCharge, LiveHour
from pricetag.accounting.readings.component import Component
from pricetag.accounting.readings.reading import Reading


def advance(
    attempt: Attempt, readings: Sequence[Mapping[str, Any]]
) -> Mapping[str, Mapping[str, LiveHour]]:
    """Charges new readings to an open attempt.

    Args:
        attempt: The attempt; locked by the caller.
        readings: Its new readings of all components, in order of time.

    Returns:
        The hours whose charge has changed, by component.
    """
    new: dict[str, list[Reading]] = defaultdict(list)
    for row in readings:
        new[row["component"]].append(Reading.from_record(row))
    if not new:
        return {}
    charged = dict(attempt.live or {})
    # An attempt begins with its claim; its meter opens a moment later.
    opened_at = attempt.meter_opened_at or attempt.started_at
    hours: dict[str, Mapping[str, LiveHour]] = {}
    for stored in attempt.components:
        id_ = stored["id"]
        if id_ in new:
            before = _charge(charged[id_]) if id_ in charged else LiveCharge()
            after = live.advance(before, new[id_], Component.from_dict(stored), opened_at)
            charged[id_] = _stored(after)
            hours[id_] = after.hours
    attempt.live = charged
    return hours


@dataclass(frozen=True, slots=True)
class ChargeSoFar:
    """Charge of an attempt up to its last reading.

    Attributes:
        energy_j: Energy of each metered component, J; None while unknown.
        duration_s: Metered duration, s.
    """

    energy_j: Mapping[str, float | None]
    duration_s: float


def so_far(stored: Mapping[str, Any]) -> ChargeSoFar:
    """Charge of an attempt, from its row."""
    last_s = [fields["last"][0] for fields in stored.values() if fields["last"] is not None]
    return ChargeSoFar(
        energy_j={id_: fields["energy_j"] for id_, fields in stored.items()},
        duration_s=max(last_s, default=0.0),
    )


def _stored(charge: LiveCharge) -> dict[str, Any]:
    anchor, last = (
        None
        if reading is None
        else [
            reading.t_s,
            reading.counter_j,
            reading.integrated_j,
            reading.power_w,
            list(reading.flags),
            reading.own_busy_s,
            reading.all_busy_s,
        ]
        for reading in (charge.anchor, charge.last)
    )
    hours = {hour: [part.settled_j, part.settled_s] for hour, part in charge.hours.items()}
    fields = {
        "energy_j": charge.energy_j,
        "settled_j": charge.settled_j,
        "last": last,
        "hours": hours,
    }
    return fields if anchor == last else {**fields, "anchor": anchor}


def _charge(stored: Mapping[str, Any]) -> LiveCharge:
    last = _of(stored["last"])
    anchor = _of(stored["anchor"]) if "anchor" in stored else last
    hours = {hour: LiveHour(*settled, *settled) for hour, settled in stored["hours"].items()}
    return LiveCharge(stored["energy_j"], stored["settled_j"], anchor, last, hours)


def _of(stored: Sequence[Any] | None) -> Reading | None:
    if stored is None:
        return None
    t_s, counter_j, integrated_j, power_w, flags, *busy_s = stored
    return Reading(t_s, counter_j, integrated_j, power_w, tuple(flags), *busy_s)
