"""Calibration of single meters: a lab's own comparison of a card with a reference meter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pricetag.accounting.bill.inputs import AttemptInput, Factor, Measurement
from pricetag.accounting.readings.window import WindowEnergy


def calibrated(
    attempts: Sequence[AttemptInput], calibrations: Mapping[str, Factor]
) -> tuple[AttemptInput, ...]:
    """The attempts, with every measurement of a calibrated component corrected.

    Args:
        attempts: The attempts as metered.
        calibrations: Ratio of reference to meter, by component id.

    Source:
        Yang, Adámek, Armour 2024 (SC24): each card's sensor has a gain error of its own that
        is stable over time, so that a factor measured once corrects it.
    """
    if not calibrations:
        return tuple(attempts)
    return tuple(_attempt(attempt, calibrations) for attempt in attempts)


def _attempt(attempt: AttemptInput, calibrations: Mapping[str, Factor]) -> AttemptInput:
    stages = tuple(
        replace(stage, measurements=_all(stage.measurements, calibrations))
        for stage in attempt.stages
    )
    return replace(attempt, measurements=_all(attempt.measurements, calibrations), stages=stages)


def _all(
    measurements: Sequence[Measurement], calibrations: Mapping[str, Factor]
) -> tuple[Measurement, ...]:
    return tuple(
        measurement
        if (factor := calibrations.get(measurement.component_id)) is None
        else _times(measurement, factor.value)
        for measurement in measurements
    )


def _times(measurement: Measurement, ratio: float) -> Measurement:
    by_hour_j = {hour: energy_j * ratio for hour, energy_j in measurement.energy_by_hour_j.items()}
    return replace(
        measurement, window=_window(measurement.window, ratio), energy_by_hour_j=by_hour_j
    )


def _window(window: WindowEnergy, ratio: float) -> WindowEnergy:
    def times(energy_j: float | None) -> float | None:
        return None if energy_j is None else energy_j * ratio

    return replace(
        window,
        energy_j=times(window.energy_j),
        energy_by_source_j={
            source: energy_j * ratio for source, energy_j in window.energy_by_source_j.items()
        },
        device_energy_j=times(window.device_energy_j),
        baseline_j=times(window.baseline_j),
    )
