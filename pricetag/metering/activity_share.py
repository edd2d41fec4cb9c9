"""Adds the activity at its time to each reading of a shared component."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pricetag.accounting.readings.reading import Reading
from pricetag.metering.activity import Activity


@dataclass(frozen=True, slots=True)
class _Activity:
    t_s: float
    own_s: float | None
    all_s: float | None


class ActivityNotes:
    """Adds ``own_busy_s`` and ``all_busy_s`` to the meter's readings.

    A reading delivered later than its time (a counter's tick between two periodic readings)
    gets a value interpolated between the adjacent readings.

    Args:
        activities: Activity source of each shared component; components that a job holds
            alone are not included.
    """

    def __init__(self, activities: Mapping[str, Activity]) -> None:
        self._activities = dict(activities)
        self._before: dict[str, _Activity] = {}

    def begin(self, t_s: float) -> None:
        """Record the starting activity; earlier readings get the same values."""
        for component, activity in self._activities.items():
            self._before[component] = _Activity(t_s, *activity.busy(t_s))

    def note(self, readings: list[Reading]) -> None:
        """Complete a batch in place; readings that are already complete stay unchanged."""
        now_s = max((reading.t_s for reading in readings), default=0.0)
        activity_now: dict[str, _Activity] = {}
        for index, reading in enumerate(readings):
            component = reading.component
            activity = self._activities.get(component)
            if activity is None or reading.all_busy_s is not None:
                continue
            now = activity_now.get(component)
            if now is None:
                now = activity_now[component] = _Activity(now_s, *activity.busy(now_s))
            then = _between(self._before.get(component), now, reading.t_s)
            readings[index] = replace(reading, own_busy_s=then.own_s, all_busy_s=then.all_s)
        self._before.update(activity_now)

    def close(self) -> None:
        """Close the activity sources."""
        for activity in set(self._activities.values()):
            activity.close()


def _between(before: _Activity | None, now: _Activity, t_s: float) -> _Activity:
    if t_s >= now.t_s:
        return now
    if before is None:
        return _Activity(t_s, None, None)
    if t_s <= before.t_s:
        return before
    share = (t_s - before.t_s) / (now.t_s - before.t_s)
    return _Activity(
        t_s, _mix(before.own_s, now.own_s, share), _mix(before.all_s, now.all_s, share)
    )


def _mix(before: float | None, now: float | None, share: float) -> float | None:
    if before is None or now is None:
        return None
    return before + (now - before) * share
