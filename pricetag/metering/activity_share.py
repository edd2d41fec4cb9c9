"""Each reading of a shared component bears the activity of its time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pricetag.metering.activity import Activity


@dataclass(frozen=True, slots=True)
class _Told:
    t_s: float
    own_s: float | None
    all_s: float | None


class ActivityNotes:
    """Notes ``own_busy_s`` and ``all_busy_s`` on the meter's readings.

    A reading that is handed over later than it was taken (a counter's tick between two
    periodic readings) gets what lies between its neighbours.

    Args:
        activities: What tells each shared component's activity; components that are a job's
            alone are not in it.
    """

    def __init__(self, activities: Mapping[str, Activity]) -> None:
        self._activities = dict(activities)
        self._before: dict[str, _Told] = {}

    def begin(self, t_s: float) -> None:
        """The activity from which on it counts; earlier readings bear the same."""
        for component, activity in self._activities.items():
            self._before[component] = _Told(t_s, *activity.busy(t_s))

    def note(self, records: Sequence[dict[str, Any]]) -> None:
        """Completes a batch in place; one that was completed before is left as it is."""
        now_s = max((record["t_s"] for record in records), default=0.0)
        told_now: dict[str, _Told] = {}
        for record in records:
            activity = self._activities.get(record["component"])
            if activity is None or "own_busy_s" in record:
                continue
            now = told_now.get(record["component"])
            if now is None:
                now = _Told(now_s, *activity.busy(now_s))
                told_now[record["component"]] = now
            told = _between(self._before.get(record["component"]), now, record["t_s"])
            record["own_busy_s"], record["all_busy_s"] = told.own_s, told.all_s
        self._before.update(told_now)

    def close(self) -> None:
        """Gives back what the activities hold open."""
        for activity in set(self._activities.values()):
            activity.close()


def _between(before: _Told | None, now: _Told, t_s: float) -> _Told:
    if t_s >= now.t_s:
        return now
    if before is None:
        return _Told(t_s, None, None)
    if t_s <= before.t_s:
        return before
    share = (t_s - before.t_s) / (now.t_s - before.t_s)
    return _Told(t_s, _mix(before.own_s, now.own_s, share), _mix(before.all_s, now.all_s, share))


def _mix(before: float | None, now: float | None, share: float) -> float | None:
    if before is None or now is None:
        return None
    return before + (now - before) * share
