"""Where a node's energy went: its own totals by the hour, beside what its runs were charged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.db import Session
from app.repositories import energy
from pricetag.accounting.readings.component import ComponentKind
from pricetag.accounting.readings.reading import Method

HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class NodeHour:
    """What one whole component of a node has used in one hour, as far as it has been read.

    Attributes:
        component: Its id, ``gpu:<uuid>``, ``cpu``, ``ram`` or ``rapl:<zone>``.
        name: Its product name.
        kind: What it is.
        method: How its energy is had.
        gain_std_ratio: Relative error of its meter's gain, one sigma (of a model: a factor).
        hour: Beginning of the UTC hour.
        energy_j: Its energy in this hour so far (not since the last call), J.
        covered_s: For how much of the hour it was metered, s.
        flags: What was remarkable.
        site: Where the node stands.

    Raises:
        ValueError: If a figure is negative or not finite, or the time no whole UTC hour.
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
            raise ValueError(f"{self.component}: {self.hour} is no whole hour of UTC")
        for name in ("energy_j", "covered_s", "gain_std_ratio"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{self.component}: {name} must be 0 or more, not {value}")


async def book_node_hours(session: Session, node_name: str, rows: Sequence[NodeHour]) -> None:
    """Stores what a node's own meter has read; telling it again changes nothing.

    Each row bears its hour's total so far, so that a call which is lost is made good by the
    next one, and one that is repeated adds nothing. A total never falls: a meter that has
    forgotten the beginning of an hour leaves what was known of it.

    Args:
        session: Committed by the caller.
        node_name: The node.
        rows: Each component and hour at most once.

    Raises:
        ValueError: If a component's hour is given twice.
    """
    slots = {(row.component, row.hour) for row in rows}
    if len(slots) != len(rows):
        raise ValueError(f"node {node_name}: a component's hour is given twice")
    await energy.raise_node_hours(session, [_node_row(node_name, row) for row in rows])


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
