"""How large the lab is, and when its history was."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

HOUR = timedelta(hours=1)
WEEK_H = 168
WEEK = timedelta(hours=WEEK_H)
FULL_SIZE = 1_000_000
FULL_NODES = 40
FEWEST_NODES = 4


def nodes_for(runs: int) -> int:
    """Nodes of a lab with this many runs: 40 at a million, fewer in a smaller lab."""
    return max(FEWEST_NODES, round(FULL_NODES * math.sqrt(runs / FULL_SIZE)))


def variants_for(runs: int) -> int:
    """Number of different histories of a run; each is repeated with other ids and times."""
    return max(60, min(400, runs // 100))


@dataclass(frozen=True)
class Scale:
    """The size of a lab.

    Attributes:
        runs: Number of finished runs.
        nodes: Number of machines.
        devices: Accelerators of each machine.
        years: Length of the history.
        variants: Number of runs that are carried out for real; the others repeat them.
        extra_readings: Readings of a component in each stage, besides those at its edges.
        traces: Number of runs with a power trace of 1 Hz on all devices of a machine.
        trace_hours: Length of such a trace.
        seed: Seed of every choice.
        until: End of the history, a full hour.
    """

    runs: int
    nodes: int
    devices: int
    years: float
    variants: int
    extra_readings: int
    traces: int
    trace_hours: int
    seed: int
    until: datetime

    @property
    def weeks(self) -> int:
        """Weeks of history; every run begins in one of them."""
        return max(2, round(self.years * 365.25 / 7))

    @property
    def start(self) -> datetime:
        """Beginning of the history."""
        return self.week_start(0)

    def week_start(self, week: int) -> datetime:
        """Beginning of a week; the last one ends with the history."""
        return self.until - (self.weeks - week) * WEEK

    def rng(self, *purpose: object) -> random.Random:
        """Random numbers for one purpose, the same for the same seed."""
        return random.Random(":".join(map(str, (self.seed, *purpose))))

    def runs_by_week(self) -> list[int]:
        """Number of runs that begin in each week; a growing lab runs ever more."""
        weights = [0.5 + week / self.weeks for week in range(self.weeks)]
        return spread(self.runs, weights)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"until": self.until.isoformat()}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Scale:
        return cls(**{**stored, "until": datetime.fromisoformat(stored["until"])})


def present_hour() -> datetime:
    """Beginning of the present hour."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


def spread(total: int, weights: Sequence[float]) -> list[int]:
    """Divides a number by weights; the parts add up to it."""
    whole = sum(weights)
    edges = [0]
    reached = 0.0
    for weight in weights:
        reached += weight
        edges.append(round(total * reached / whole))
    return [after - before for before, after in pairwise(edges)]
