"""The state of the service as a view model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.schemas.lab_health import Disk, HealthCheck, LabHealth, MeterHealth
from app.web.views.figures import FigureView, figure
from pricetag.tag.figure import Figure

STATES = {"ok": "passed", "warning": "needs attention", "failed": "failed"}
"""States of checks in words."""

ICONS = {"ok": "succeeded", "warning": "queued", "failed": "failed"}
"""The status whose shape and color each state has."""


@dataclass(frozen=True, slots=True)
class CheckRow:
    """A check."""

    check: HealthCheck
    words: str
    icon: str


@dataclass(frozen=True, slots=True)
class DiskRow:
    """A disk."""

    disk: Disk
    free: FigureView
    total: FigureView


@dataclass(frozen=True, slots=True)
class HealthView:
    """The state of the service.

    Attributes:
        health: As the API states it.
        sentence: The worst state in words.
        checks: The checks, the worst first.
        disks: The disks.
        size: Size of the database.
        meters: The metered devices, silent ones first.
    """

    health: LabHealth
    sentence: str
    checks: Sequence[CheckRow]
    disks: Sequence[DiskRow]
    size: FigureView
    meters: Sequence[MeterHealth]


def health(state: LabHealth) -> HealthView:
    """The view of the service's state."""
    worst_first = sorted(state.checks, key=lambda check: -list(STATES).index(check.state))
    sentences = {
        "ok": "All checks passed.",
        "warning": "The service works, but some checks need attention.",
        "failed": "At least one check failed.",
    }
    return HealthView(
        health=state,
        sentence=sentences[state.state],
        checks=[CheckRow(item, STATES[item.state], ICONS[item.state]) for item in worst_first],
        disks=[
            DiskRow(item, _bytes(item.free_bytes), _bytes(item.total_bytes)) for item in state.disks
        ],
        size=_bytes(state.database.size_bytes),
        meters=sorted(state.meters, key=lambda meter: meter.reporting),
    )


def _bytes(count: int) -> FigureView:
    return figure(Figure.exact(float(count), "bytes", "counter"))
