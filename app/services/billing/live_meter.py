"""Keeps what a running attempt is charged so far on its row, reading by reading."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from models import Attempt
from pricetag.accounting.bill import live
from pricetag.accounting.bill.live import LiveCharge, LiveHour
from pricetag.accounting.readings.component import Component
from pricetag.accounting.readings.reading import Reading


def advance(
    attempt: Attempt, readings: Sequence[Mapping[str, Any]]
) -> Mapping[str, Mapping[str, LiveHour]]:
    """Charges further readings to an open attempt.

    Args:
        attempt: Locked by the caller.
        readings: Its new readings of all components, in the order in which they were taken.

    Returns:
        By component the hours whose charge so far they changed.
    """
    new: dict[str, list[Reading]] = defaultdict(list)
    for row in readings:
        new[row["component"]].append(Reading.from_record(row))
    if not new:
        return {}
    known = dict(attempt.live or {})
    # The attempt began when it was claimed; its meter opened a moment later.
    opened_at = attempt.meter_opened_at or attempt.started_at
    hours: dict[str, Mapping[str, LiveHour]] = {}
    for stored in attempt.components:
        id_ = stored["id"]
        if id_ in new:
            before = _charge(known[id_]) if id_ in known else LiveCharge()
            after = live.advance(before, new[id_], Component.from_dict(stored), opened_at)
            known[id_] = _stored(after)
            hours[id_] = after.hours
    attempt.live = known
    return hours


def charges(stored: Mapping[str, Any] | None) -> dict[str, LiveCharge]:
    """What an attempt is charged so far, by component, as its row has it."""
    return {id_: _charge(one) for id_, one in (stored or {}).items()}


def duration_s(charged: Mapping[str, LiveCharge]) -> float:
    """For how long it has been metered."""
    return max((one.last.t_s for one in charged.values() if one.last is not None), default=0.0)


def _stored(charge: LiveCharge) -> dict[str, Any]:
    anchor, last = (
        None
        if one is None
        else [
            one.t_s,
            one.counter_j,
            one.integrated_j,
            one.power_w,
            list(one.flags),
            one.own_busy_s,
            one.all_busy_s,
        ]
        for one in (charge.anchor, charge.last)
    )
    hours = {hour: [one.settled_j, one.settled_s] for hour, one in charge.hours.items()}
    found = {
        "energy_j": charge.energy_j,
        "settled_j": charge.settled_j,
        "last": last,
        "hours": hours,
    }
    return found if anchor == last else {**found, "anchor": anchor}


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
