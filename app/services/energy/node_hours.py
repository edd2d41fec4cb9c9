"""Hourly energy totals of a node, to compare with the energy charged to its runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.db import Session
from app.repositories.energy import hours
from pricetag.accounting.readings.component import ComponentKind
from pricetag.accounting.readings.reading import Method

HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class NodeHour:
    """Energy of one whole component of a node in one hour, as read so far.

    Attributes:
        component: Id: ``gpu:<uuid>``, ``cpu``, ``ram`` or ``rapl:<zone>``.
        name: Product name.
        kind: Kind of component.
        method: How its energy is measured.
        gain_std_ratio: Relative error of its meter's gain, one sigma (of a model: a factor).
        hour: Beginning of the UTC hour.
        energy_j: Total energy in this hour so far (not since the last call), J.
        covered_s: Metered part of the hour, s.
        flags: Flags of the measurement.
        site: Site of the node.

    Raises:
        ValueError: If a figure is negative or not finite, or the time is not a full UTC hour.
    """

    component: str
    name: str
    kind: ComponentKind
    method: Method
    gain_std_ratio: float
    hour: datetime
    energy_j: float
    covered_s: float
    flags: tuple[str, ...] = ()
    site: str | None = None

    def __post_init__(self) -> None:
        if self.hour.tzinfo is None or self.hour.timestamp() % HOUR_S != 0:
            raise ValueError(f"{self.component}: {self.hour} is not a full UTC hour")
        for name in ("energy_j", "covered_s", "gain_std_ratio"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{self.component}: {name} must be 0 or more, not {value}")


async def book_node_hours(session: Session, node_name: str, rows: Sequence[NodeHour]) -> None:
    """Stores the readings of a node's own meter; storing them again changes nothing.

    Each row has its hour's total so far, so the next call makes up for a lost one, and a
    repeated call adds nothing. A total never decreases: a meter that has lost the beginning of
    an hour does not overwrite the stored total.

    Args:
        session: Committed by the caller.
        node_name: The node.
        rows: Each component and hour at most once.

    Raises:
        ValueError: If there are two rows for a component and hour.
    """
    slots = {(row.component, row.hour) for row in rows}
    if len(slots) != len(rows):
        raise ValueError(f"node {node_name}: two rows for the same component and hour")
    await hours.raise_node_hours(session, [_node_row(node_name, row) for row in rows])


def _node_row(node_name: str, row: NodeHour) -> dict[str, Any]:
    return {
        "node_name": node_name,
        "component": row.component,
        "name": row.name,
        "kind": row.kind,
        "method": row.method,
        "gain_std_ratio": row.gain_std_ratio,
        "hour": row.hour.astimezone(UTC),
        "site": row.site,
        "energy_j": row.energy_j,
        "covered_s": min(row.covered_s, HOUR_S),
        "flags": sorted(set(row.flags)),
    }
