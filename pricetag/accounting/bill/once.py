"""Devices are counted once by host, device and time, however many meters have watched them.

Several ranks of one job may each have brought a meter, and an attempt that was given up may
have gone on beside its successor. Their windows of one device then hold the same energy. Of two
meters the one that was covered better counts, and of two alike the one named first; the other
keeps what it has metered outside that time, in proportion to time. Where the device is shared
and each is charged a part, both stay as far as the parts together are no more than the device.
A device is known by its host and its id: two hosts that name a device alike have two.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise

from pricetag.accounting.bill.inputs import AttemptInput, Measurement
from pricetag.accounting.readings.window import WindowEnergy

METERED_TWICE = "metered_twice"

CLOCK_TOLERANCE_S = 2.0
"""An attempt's start is written when it is claimed, its meter opens a moment later."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Part of a device that is accounted for over some time, s since the epoch."""

    start_s: float
    end_s: float
    ratio: float


@dataclass(frozen=True, slots=True)
class Metered:
    """What one meter reports for one device.

    Attributes:
        host: The machine; None where it is unknown; then it matches no other meter.
        component_id: The device on it, such as ``gpu:<uuid>``.
        opened_at_s: Zero of the window's clock, s since the epoch.
        window: Its energy.
    """

    host: str | None
    component_id: str
    opened_at_s: float
    window: WindowEnergy

    @property
    def taken(self) -> Taken:
        """What it is charged, as a part of the device over the window's time."""
        return Taken(
            self.opened_at_s + self.window.start_s,
            self.opened_at_s + self.window.end_s,
            _charged_ratio(self.window),
        )


def counted_once(attempts: Sequence[AttemptInput]) -> tuple[AttemptInput, ...]:
    """The attempts of a run with each device's time counted once, stages included."""
    if len(attempts) < 2:
        return tuple(attempts)
    places = [
        (index, metered) for index, one in enumerate(attempts) for metered in one.measurements
    ]
    meters = [_metered(attempts[index], measurement) for index, measurement in places]
    counted = _counted_elsewhere(meters, CLOCK_TOLERANCE_S)
    lost: dict[int, dict[str, list[Taken]]] = defaultdict(dict)
    for (index, measurement), spans in zip(places, counted, strict=True):
        if spans:
            lost[index][measurement.component_id] = spans
    return tuple(
        _reduced(attempt, lost[index]) if index in lost else attempt
        for index, attempt in enumerate(attempts)
    )


def _counted_elsewhere(meters: Sequence[Metered], tolerance_s: float) -> list[list[Taken]]:
    """For each meter what others account for of its device while it was watched."""
    counted: dict[tuple[str, str], list[Taken]] = defaultdict(list)
    elsewhere: list[list[Taken]] = [[] for _ in meters]
    for index in sorted(range(len(meters)), key=lambda index: _rank(meters[index].window, index)):
        meter = meters[index]
        if meter.host is None or meter.window.energy_j is None:
            continue
        own = meter.taken
        others = counted[meter.host, meter.component_id]
        elsewhere[index] = [one for one in others if _overlap_s(one, own) > tolerance_s]
        others.append(own)
    return elsewhere


def _rank(window: WindowEnergy, index: int) -> tuple[float, int]:
    lasted_s = window.duration_s
    return (-(window.covered_s / lasted_s) if lasted_s > 0 else 0.0, index)


def _charged_ratio(window: WindowEnergy) -> float:
    """The part of the device's energy that is charged; all of it where that was not kept."""
    if not window.device_energy_j or window.energy_j is None:
        return 1.0
    return min(window.energy_j / window.device_energy_j, 1.0)


def _overlap_s(one: Taken, other: Taken) -> float:
    return min(one.end_s, other.end_s) - max(one.start_s, other.start_s)


def _excess_ratio(own: Taken, others: Sequence[Taken]) -> float:
    """Which part of a charge exceeds what the others have left of the device."""
    overlapping = [one for one in others if _overlap_s(one, own) > 0]
    if not overlapping or own.ratio <= 0:
        return 0.0
    inside = (edge for one in overlapping for edge in (one.start_s, one.end_s))
    edges = sorted({own.start_s, own.end_s, *(e for e in inside if own.start_s < e < own.end_s)})
    excess_s = 0.0
    for start_s, end_s in pairwise(edges):
        middle_s = (start_s + end_s) / 2
        held = sum(one.ratio for one in overlapping if one.start_s <= middle_s < one.end_s)
        left = max(1.0 - min(held, 1.0), 0.0)
        excess_s += (end_s - start_s) * max(own.ratio - left, 0.0) / own.ratio
    return min(excess_s / (own.end_s - own.start_s), 1.0)


def _less(window: WindowEnergy, part: float) -> WindowEnergy:
    """A window without a part of its energy; what it has metered stays metered."""
    if part == 0 or window.energy_j is None:
        return window
    left = 1 - part
    by_source_j = {name: value * left for name, value in window.energy_by_source_j.items()}
    return replace(
        window,
        energy_j=sum(by_source_j.values()),
        energy_by_source_j=by_source_j,
        device_energy_j=_times(window.device_energy_j, left),
        baseline_j=_times(window.baseline_j, left),
        flags=tuple(sorted({*window.flags, METERED_TWICE})),
    )


def _times(value: float | None, ratio: float) -> float | None:
    return None if value is None else value * ratio


def _opened_at_s(attempt: AttemptInput) -> float:
    return datetime.fromisoformat(attempt.started_at).timestamp()


def _metered(attempt: AttemptInput, measurement: Measurement) -> Metered:
    return Metered(
        attempt.node_name, measurement.component_id, _opened_at_s(attempt), measurement.window
    )


def _reduced(attempt: AttemptInput, lost: Mapping[str, list[Taken]]) -> AttemptInput:
    stages = tuple(
        replace(stage, measurements=_all_reduced(attempt, stage.measurements, lost))
        for stage in attempt.stages
    )
    measurements = _all_reduced(attempt, attempt.measurements, lost)
    return replace(attempt, measurements=measurements, stages=stages)


def _all_reduced(
    attempt: AttemptInput, measurements: Iterable[Measurement], lost: Mapping[str, list[Taken]]
) -> tuple[Measurement, ...]:
    reduced = []
    for measurement in measurements:
        spans = lost.get(measurement.component_id, [])
        part = _excess_ratio(_metered(attempt, measurement).taken, spans)
        by_hour_j = {key: j * (1 - part) for key, j in measurement.energy_by_hour_j.items()}
        window = _less(measurement.window, part)
        reduced.append(replace(measurement, window=window, energy_by_hour_j=by_hour_j))
    return tuple(reduced)
