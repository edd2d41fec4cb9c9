"""Metrics of the lab in the text format of Prometheus, without names of projects or people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

import pricetag
from app.db import Session
from app.schemas.stream import DeviceState, PowerFrame
from app.services.energy.account import energy_account
from app.services.health import lab_health
from app.services.principals import Principal
from app.services.queueing import waiting

MEDIA_TYPE = CONTENT_TYPE_LATEST
PARTS = ("charged", "running", "unallocated", "undecided")


@dataclass(frozen=True, slots=True)
class DevicePower:
    """The latest power of a device that reports, in W."""

    node: str
    component: str
    name: str
    power_w: int


def powers(devices: Iterable[DeviceState], frames: Sequence[PowerFrame]) -> Sequence[DevicePower]:
    """The latest sample of each device that reports.

    Args:
        devices: Devices of the live stream.
        frames: Their samples, oldest first.
    """
    latest: dict[int, int] = {}
    for frame in frames:
        for id_, samples in zip(frame.ids, frame.w, strict=True):
            reporting = [sample for sample in samples if sample is not None]
            if reporting:
                latest[id_] = reporting[-1]
    return [
        DevicePower(device.node, device.component, device.name, latest[device.id])
        for device in devices
        if device.reporting and device.id in latest
    ]


async def metrics(
    session: Session, by: Principal, *, powers: Sequence[DevicePower], alarms: int
) -> bytes:
    """All metrics, as text.

    Args:
        session: Database session, only read.
        by: The caller.
        powers: Latest power of each device, as this process knows it.
        alarms: Number of alarms of this process.
    """
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    _gauge(
        registry,
        "pricetag_build_info",
        "Version of the server; the value is always 1.",
        [({"version": pricetag.__version__}, 1)],
    )
    _gauge(registry, "pricetag_alarms", "Problems with the stored figures.", [({}, alarms)])
    _gauge(
        registry,
        "pricetag_open_runs",
        "Runs that have not ended, by pool and status.",
        [
            ({"pool": each.pool, "status": status}, getattr(each, status))
            for each in await lab_health.open_runs(session)
            for status in ("queued", "running")
        ],
    )
    workers: dict[str, int] = {}
    for worker in await waiting.live(session):
        workers[worker.pool] = workers.get(worker.pool, 0) + 1
    _gauge(
        registry,
        "pricetag_live_workers",
        "Live workers, by pool.",
        [({"pool": pool}, count) for pool, count in sorted(workers.items())],
    )
    _gauge(
        registry,
        "pricetag_power_watts",
        "Latest power of a device in W, for display only; billing uses cumulative readings.",
        [
            ({"node": power.node, "component": power.component, "name": power.name}, power.power_w)
            for power in powers
        ],
    )
    energy = await _month(session, by)
    _gauge(
        registry,
        "pricetag_month_energy_kwh",
        "Metered energy of this month (UTC) in kWh, by part of the account.",
        [
            ({"part": part}, energy[f"{part}_kwh"]["value"])
            for part in PARTS
            if energy[f"{part}_kwh"]["value"] is not None
        ],
    )
    return generate_latest(registry)


def _gauge(
    registry: CollectorRegistry,
    name: str,
    help_text: str,
    samples: Sequence[tuple[Mapping[str, str], float]],
) -> None:
    if not samples:
        return  # no value is not 0
    gauge = Gauge(name, help_text, list(samples[0][0]), registry=registry)
    for values, value in samples:
        (gauge.labels(**values) if values else gauge).set(value)


async def _month(session: Session, by: Principal) -> Mapping[str, Any]:
    """The lab's account of this month."""
    start = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    account = await energy_account(session, by, start=start, stop=None, by="month", node=None)
    total: Mapping[str, Any] = json.loads(account)["total"]
    return total
