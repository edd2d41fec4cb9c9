"""Computes the energy of one component of an attempt; pure, so that any process can."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.services.attempts.stage_windows import StageEnergy, StagePlan, stage_energies
from app.services.billing.inputs import WHOLE_ATTEMPT
from models.packed.columns import Columns
from pricetag.accounting.readings.component import Component
from pricetag.accounting.readings.hours import energy_by_hour_j, metered_hours
from pricetag.accounting.readings.ledger import EnergyLedger, WindowEnergy


@dataclass(frozen=True, slots=True)
class Settled:
    """One component's energy: its windows, and the hours of the whole attempt."""

    windows: list[StageEnergy]
    hours: list[tuple[datetime, float, WindowEnergy]]


def settle(
    columns: Columns,
    component: Mapping[str, Any],
    stages: StagePlan,
    end_s: float,
    opened_at: datetime,
) -> Settled:
    """The energy of one component over the attempt, its stages and its hours.

    Args:
        columns: The component's readings.
        component: The component, as stored.
        stages: The attempt's stages.
        end_s: End of the attempt on the meter's clock, in s.
        opened_at: Zero of that clock, with a time zone.
    """
    ledger = EnergyLedger.of(Component.from_dict(component), columns.readings())
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
