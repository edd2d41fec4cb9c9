"""Computes the energy of one component of an attempt."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from app.repositories.readings.readings import StoredReadings
from models.packed.ledger import ledger_of
from pricetag.accounting.readings.component import Component
from pricetag.accounting.readings.settled import Settled, settle_steps
from pricetag.accounting.readings.stage_windows import StagePlan


def settle(
    stored: StoredReadings,
    component: Mapping[str, Any],
    stages: StagePlan,
    end_s: float,
    opened_at: datetime,
) -> Settled:
    """The energy of one component over the attempt, its stages and its hours.

    Args:
        stored: The component's readings, as stored.
        component: The component, as stored.
        stages: The attempt's stages.
        end_s: End of the attempt on the meter's clock, in s.
        opened_at: Zero of that clock, with a time zone.

    Raises:
        DamagedReadingsError: If packed readings are not those that were packed.
    """
    ledger = ledger_of(Component.from_dict(component), stored.columns())
    return settle_steps(ledger, stages, end_s, opened_at)
