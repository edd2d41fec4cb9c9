"""The energy of one component of an attempt, from its readings: attempt, stages and hours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pricetag.accounting.readings.component import Component
from pricetag.accounting.readings.hours import energy_by_hour_j, metered_hours
from pricetag.accounting.readings.ledger import EnergyLedger, Ledger, WindowEnergy
from pricetag.accounting.readings.reading import Reading
from pricetag.accounting.readings.stage_windows import StageEnergy, StagePlan, stage_energies

WHOLE_ATTEMPT = ""
"""Stage key of the measurements over a whole attempt."""


@dataclass(frozen=True, slots=True)
class Settled:
    """One component's energy: its windows, and the hours of the whole attempt."""

    windows: list[StageEnergy]
    hours: list[tuple[datetime, float, WindowEnergy]]


def settle(
    component: Component,
    readings: Sequence[Reading],
    stages: StagePlan,
    end_s: float,
    opened_at: datetime,
) -> Settled:
    """The energy of one component over the attempt, its stages and its hours.

    Args:
        component: The component, with the share of it that is reserved for the job.
        readings: Its readings in order of time.
        stages: The attempt's stages.
        end_s: End of the attempt on the meter's clock, in s.
        opened_at: Zero of that clock, with a time zone.
    """
    return settle_steps(EnergyLedger.of(component, readings), stages, end_s, opened_at)


def settle_steps(ledger: Ledger, stages: StagePlan, end_s: float, opened_at: datetime) -> Settled:
    """The same, from the component's booked steps.

    Args:
        ledger: The steps.
        stages: The attempt's stages.
        end_s: End of the attempt on the meter's clock, in s.
        opened_at: Zero of that clock, with a time zone.
    """
    attempt_energy = ledger.window(0.0, end_s)
    by_hour_j = energy_by_hour_j(ledger, opened_at, 0.0, end_s)
    measurements = [
        StageEnergy(WHOLE_ATTEMPT, attempt_energy, by_hour_j),
        *stage_energies(ledger, stages, opened_at),
    ]
    hours = [
        (span.hour, ledger.window(span.start_s, span.end_s))
        for span in metered_hours(ledger, opened_at, attempt_energy.start_s, attempt_energy.end_s)
    ]
    charged = [(hour, window.energy_j, window) for hour, window in hours if window.energy_j]
    return Settled(measurements, charged)
