"""Counts each device once by host, device and time, however many meters have read it.

Several ranks of one job may each have had a meter, and an attempt that was given up may have
continued beside its successor. Their windows of one device then contain the same energy. Of two
meters, the one with the better coverage counts, or else the first one; the other keeps the
energy that it metered outside that time, in proportion to time. If the device is shared and
each is charged a part, both parts count as long as they do not exceed the whole device. A device
is identified by its host and its id: the same id on two hosts means two devices.
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
"""Tolerance in s between the start of an attempt, its claim, and the opening of its meter."""


@dataclass(frozen=True, slots=True)
class ChargedPart:
    """Part of a device that is already charged during an interval, in s since the epoch."""

    start_s: float
    end_s: float
    ratio: float


@dataclass(frozen=True, slots=True)
class Metered:
    """What one meter reports for one device.

    Attributes:
        host: The machine; None if unknown, so that it matches no other meter.
        component_id: The device on it, such as ``gpu:<uuid>``.
        opened_at_s: Zero of the window's clock, s since the epoch.
        window: Its energy.
    """

    host: str | None
    component_id: str
    opened_at_s: float
    window: WindowEnergy

    @property
    def charged_part(self) -> ChargedPart:
        """Its charge, as a part of the device during the window."""
        return ChargedPart(
            self.opened_at_s + self.window.start_s,
            self.opened_at_s + self.window.end_s,
            _charged_ratio(self.window),
        )


def counted_once(attempts: Sequence[AttemptInput]) -> tuple[AttemptInput, ...]:
    """The attempts of a run with each device's time counted once, stages included."""
    if len(attempts) < 2:
        return tuple(attempts)
    places = [
        (index, metered)
        for index, attempt in enumerate(attempts)
        for metered in attempt.measurements
    ]
    meters = [_metered(attempts[index], measurement) for index, measurement in places]
    counted = _counted_elsewhere(meters, CLOCK_TOLERANCE_S)
    lost: dict[int, dict[str, list[ChargedPart]]] = defaultdict(dict)
    for (index, measurement), spans in zip(places, counted, strict=True):
        if spans:
            lost[index][measurement.component_id] = spans
    return tuple(
        _reduced(attempt, lost[index]) if index in lost else attempt
        for index, attempt in enumerate(attempts)
    )


def _counted_elsewhere(meters: Sequence[Metered], tolerance_s: float) -> list[list[ChargedPart]]:
    """For each meter, the parts of its device that other meters charge during its window."""
    counted: dict[tuple[str, str], list[ChargedPart]] = defaultdict(list)
    elsewhere: list[list[ChargedPart]] = [[] for _ in meters]
    for index in sorted(range(len(meters)), key=lambda index: _rank(meters[index].window, index)):
        meter = meters[index]
        if meter.host is None or meter.window.energy_j is None:
            continue
        own = meter.charged_part
        others = counted[meter.host, meter.component_id]
        elsewhere[index] = [charge for charge in others if _overlap_s(charge, own) > tolerance_s]
        others.append(own)
    return elsewhere


def _rank(window: WindowEnergy, index: int) -> tuple[float, int]:
    lasted_s = window.duration_s
    return (-(window.covered_s / lasted_s) if lasted_s > 0 else 0.0, index)


def _charged_ratio(window: WindowEnergy) -> float:
    """The charged share of the device's energy; 1 if it was not stored."""
    if not window.device_energy_j or window.energy_j is None:
        return 1.0
    return min(window.energy_j / window.device_energy_j, 1.0)


def _overlap_s(first: ChargedPart, second: ChargedPart) -> float:
    return min(first.end_s, second.end_s) - max(first.start_s, second.start_s)


def _excess_ratio(own: ChargedPart, others: Sequence[ChargedPart]) -> float:
    """The share of a charge that exceeds the part of the device not charged by others."""
    overlapping = [charge for charge in others if _overlap_s(charge, own) > 0]
    if not overlapping or own.ratio <= 0:
        return 0.0
    inside = (edge for charge in overlapping for edge in (charge.start_s, charge.end_s))
    edges = sorted({own.start_s, own.end_s, *(e for e in inside if own.start_s < e < own.end_s)})
    excess_s = 0.0
    for start_s, end_s in pairwise(edges):
        middle_s = (start_s + end_s) / 2
        charged_ratio = sum(
            charge.ratio for charge in overlapping if charge.start_s <= middle_s < charge.end_s
        )
        free_ratio = max(1.0 - min(charged_ratio, 1.0), 0.0)
        excess_s += (end_s - start_s) * max(own.ratio - free_ratio, 0.0) / own.ratio
    return min(excess_s / (own.end_s - own.start_s), 1.0)


def _less(window: WindowEnergy, part: float) -> WindowEnergy:
    """A window without a part of its energy; its metered time stays the same."""
    if part == 0 or window.energy_j is None:
        return window
    kept_ratio = 1 - part
    by_source_j = {name: value * kept_ratio for name, value in window.energy_by_source_j.items()}
    return replace(
        window,
        energy_j=sum(by_source_j.values()),
        energy_by_source_j=by_source_j,
        device_energy_j=_times(window.device_energy_j, kept_ratio),
        baseline_j=_times(window.baseline_j, kept_ratio),
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


def _reduced(attempt: AttemptInput, lost: Mapping[str, list[ChargedPart]]) -> AttemptInput:
    stages = tuple(
        replace(stage, measurements=_all_reduced(attempt, stage.measurements, lost))
        for stage in attempt.stages
    )
    measurements = _all_reduced(attempt, attempt.measurements, lost)
    return replace(attempt, measurements=measurements, stages=stages)


def _all_reduced(
    attempt: AttemptInput,
    measurements: Iterable[Measurement],
    lost: Mapping[str, list[ChargedPart]],
) -> tuple[Measurement, ...]:
    reduced = []
    for measurement in measurements:
        spans = lost.get(measurement.component_id, [])
        part = _excess_ratio(_metered(attempt, measurement).charged_part, spans)
        by_hour_j = {key: j * (1 - part) for key, j in measurement.energy_by_hour_j.items()}
        window = _less(measurement.window, part)
        reduced.append(replace(measurement, window=window, energy_by_hour_j=by_hour_j))
    return tuple(reduced)
