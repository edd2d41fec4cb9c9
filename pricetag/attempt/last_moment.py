"""The last moment of an attempt whose worker died: read from the counters, or bounded."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pricetag.accounting.readings.component import Component
from pricetag.accounting.readings.reading import Reading
from pricetag.accounting.readings.step_energy import IMPLAUSIBLE_POWER, RESET
from pricetag.accounting.readings.unread import RECENT_S, UNREAD_S, unread_bound_j
from pricetag.metering.counters import read_on
from pricetag.metering.journal import FSYNC_INTERVAL_S
from pricetag.metering.machine import UNKNOWN, boot_id

SILENT_S = 5.0
"""Gap in s after which a meter, which reads every second, counts as stopped."""

PROMPT_S = 2.5
"""Maximum age of the last record, in s, for a job to have ended just now."""


def clock_of_meter(now_s: float) -> dict[str, Any]:
    """Data for continuing the meter's clock in another process, for the ``start`` record."""
    return {"boot": boot_id(), "opened_s": time.monotonic() - now_s}


@dataclass
class Trace:
    """A journal's records about the end of its attempt.

    Attributes:
        components: The components with the job's share, by ID.
        recent: Recent readings of each component.
        jumped: Components whose readings no longer follow their counter's value.
        read_s: Time of the last reading.
        last_s: Time of the last record.
        last_at: Time of the last record, UTC, as written; None without records.
        is_ended: Whether the end is recorded.
        clock: The clock of the meter, if recorded.
    """

    components: dict[str, Component] = field(default_factory=dict)
    recent: dict[str, deque[Reading]] = field(default_factory=dict)
    jumped: set[str] = field(default_factory=set)
    read_s: float = 0.0
    last_s: float = 0.0
    last_at: str | None = None
    is_ended: bool = False
    clock: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, records: Iterable[Mapping[str, Any]]) -> Trace:
        """Read the records of a journal."""
        trace = cls()
        for record in records:
            trace.last_s = max(trace.last_s, float(record["t_s"]))
            trace.last_at = record.get("at")
            if record["type"] == "start":
                trace.clock = record.get("clock")
                listed = (
                    Component.from_dict(listed_component)
                    for listed_component in record.get("components", ())
                )
                trace.components = {component.id: component for component in listed}
            elif record["type"] == "reading":
                trace._add(record)
            trace.is_ended = trace.is_ended or record["type"] == "end"
        return trace

    def _add(self, record: Mapping[str, Any]) -> None:
        self.read_s = self.last_s
        reading = Reading.from_record({**NO_FIGURES, **record})
        recent = self.recent.setdefault(reading.component, deque())
        recent.append(reading)
        while recent[0].t_s < reading.t_s - RECENT_S:
            recent.popleft()
        if IMPLAUSIBLE_POWER in reading.flags:
            self.jumped.add(reading.component)
        elif RESET in reading.flags:
            self.jumped.discard(reading.component)

    def now_s(self) -> float | None:
        """The present time on the meter's clock; None if it was lost with a reboot."""
        boot = boot_id()
        if self.clock is None or boot == UNKNOWN or self.clock.get("boot") != boot:
            return None
        return time.monotonic() - float(self.clock["opened_s"])

    def latest_s(self) -> float:
        """The present time on the meter's clock; by the calendar if that clock was lost."""
        now_s = self.now_s()
        if now_s is not None or self.last_at is None:
            return self.last_s if now_s is None else now_s
        age_s = (datetime.now(UTC) - datetime.fromisoformat(self.last_at)).total_seconds()
        return self.last_s + max(0.0, age_s)

    def counted(self) -> dict[str, Reading]:
        """The last reading of each component that has a counter."""
        last: dict[str, Reading] = {}
        for id_, readings in self.recent.items():
            counted = [reading for reading in readings if reading.counter_j is not None]
            if counted and id_ in self.components:
                last[id_] = counted[-1]
        return last


NO_FIGURES: Mapping[str, Any] = {
    "counter_j": None,
    "integrated_j": None,
    "power_w": None,
    "flags": (),
}


@dataclass(frozen=True, slots=True)
class LastMoment:
    """How an attempt ends.

    Attributes:
        end_s: Time of its end, on the meter's clock.
        readings: Readings at that time.
        unread_j: By component, the most that is charged after its last reading, in J.
    """

    end_s: float
    readings: tuple[Reading, ...]
    unread_j: dict[str, float]


def last_moment(
    trace: Trace, root: Path, *, saw_end: bool, is_incomplete: bool = False
) -> LastMoment:
    """The end of an attempt from its journal, and from the counters if they still continue it.

    Args:
        trace: What the journal contains.
        root: Folder of the RAPL zones.
        saw_end: Whether the job has just ended. Otherwise its end is only known to be after the
            last reading, and counters show an upper bound.
        is_incomplete: Whether records after the last one of the journal are missing. Then the
            job may have run until now.
    """
    now_s = trace.now_s()
    counted = trace.counted()
    shown = {} if now_s is None else read_on(counted, now_s, root, unaligned=trace.jumped)
    # Ended later than its last reading, it would seem to have used less power than it did.
    is_read = bool(shown) and shown.keys() == counted.keys()
    if saw_end and is_read and now_s is not None and now_s > trace.read_s:
        return LastMoment(now_s, tuple(shown.values()), _bounds(trace, now_s, {}, shown.keys()))
    is_silent = trace.last_s - trace.read_s > SILENT_S
    until_s = trace.last_s + UNREAD_S if is_silent else max(trace.read_s + UNREAD_S, trace.last_s)
    if now_s is None:
        until_s += FSYNC_INTERVAL_S  # a crash of the machine may have taken the last records
    else:
        until_s = min(until_s, now_s)
    if is_incomplete:
        until_s = max(until_s, trace.latest_s())
    end_s = trace.last_s if is_silent else trace.read_s
    return LastMoment(end_s, (), _bounds(trace, until_s, shown, ()))


def _bounds(
    trace: Trace, until_s: float, shown: Mapping[str, Reading], read_ids: Iterable[str]
) -> dict[str, float]:
    bounds_j: dict[str, float] = {}
    for id_ in trace.components.keys() - set(read_ids):
        later = shown.get(id_)
        counter_j = None if later is None else later.counter_j
        bound_j = unread_bound_j(
            trace.components[id_], list(trace.recent.get(id_, ())), until_s, counter_j
        )
        if bound_j:
            bounds_j[id_] = bound_j
    return bounds_j
