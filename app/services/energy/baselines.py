"""Idle power of a node's components."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.db import Session
from app.repositories.nodes import baselines


@dataclass(frozen=True, slots=True)
class IdlePower:
    """Mean power of one idle component in one state.

    Attributes:
        component: Id of the component.
        state: Settings on which idle power depends: driver, P-state, governor.
        power_w: The mean, W.
        power_std_w: Standard deviation of the samples, W; None without samples.
        duration_s: Duration of the measurement, s.
        source: ``counter``, ``integrated`` or ``modelled``.
        measured_at: End of the measurement.

    Raises:
        ValueError: If a figure is negative or not finite.
    """

    component: str
    state: str
    power_w: float
    power_std_w: float | None
    duration_s: float
    source: str
    measured_at: datetime

    def __post_init__(self) -> None:
        for name, value in (("power_w", self.power_w), ("duration_s", self.duration_s)):
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{self.component}: {name} must be 0 or more, not {value}")


async def record(session: Session, node_name: str, measured: Sequence[IdlePower]) -> None:
    """Stores measurements; storing one again changes nothing.

    Args:
        session: Committed by the caller.
        node_name: The node.
        measured: New measurements.
    """
    await baselines.add(
        session,
        [
            {
                "node_name": node_name,
                "component": item.component,
                "state": item.state,
                "power_w": item.power_w,
                "power_std_w": item.power_std_w,
                "duration_s": item.duration_s,
                "source": item.source,
                "measured_at": item.measured_at,
            }
            for item in measured
        ],
    )


async def newest(session: Session) -> dict[str, list[IdlePower]]:
    """The newest measurement of every component in each of its states, by node."""
    by_node: dict[str, list[IdlePower]] = {}
    for row in await baselines.newest(session):
        by_node.setdefault(row.node_name, []).append(
            IdlePower(
                component=row.component,
                state=row.state,
                power_w=row.power_w,
                power_std_w=row.power_std_w,
                duration_s=row.duration_s,
                source=row.source,
                measured_at=row.measured_at,
            )
        )
    return by_node
