"""Computes the energy of one component of an attempt; pure, so that any process can."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from models.packed.columns import Columns
from pricetag.accounting.readings.component import Component
from pricetag.accounting.readings.settled import Settled
from pricetag.accounting.readings.settled import settle as settle_readings
from pricetag.accounting.readings.stage_windows import StagePlan


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
    return settle_readings(
        Component.from_dict(component), columns.readings(), stages, end_s, opened_at
    )
