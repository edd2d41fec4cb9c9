"""What a price tag is made of, and its wire form (schema ``pricetag/1``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pricetag.accounting.quantity import Quantity

SCHEMA = "pricetag/1"


@dataclass(frozen=True, slots=True)
class FlopsTag:
    """Floating-point operations: of the dense network, times density, and low-bit ones apart."""

    dense: Quantity
    effective: Quantity
    low_bit: Quantity

    def as_dict(self) -> dict[str, Any]:
        """``{dense, effective, low_bit}``."""
        return _quantities(self, "dense", "effective", "low_bit")


@dataclass(frozen=True, slots=True)
class CostTag:
    """What the run would cost in the cloud (low to high) and did cost in electricity."""

    cloud: Quantity
    electricity: Quantity
    currency: str | None

    def as_dict(self) -> dict[str, Any]:
        """``{cloud, electricity, currency}``."""
        return _quantities(self, "cloud", "electricity") | {"currency": self.currency}


@dataclass(frozen=True, slots=True)
class QualityTag:
    """A quality metric, with the stage and the attempt that reported it."""

    metric: str
    value: float | None
    split: str | None
    stage: str
    unit: str | None
    attempt: int


@dataclass(frozen=True, slots=True)
class ComponentTag:
    """The energy of one component over a stage, an attempt or the run.

    ``share_ratio`` is its part of the energy of that stage, attempt or run.
    """

    id: str
    kind: str
    name: str
    method: str
    node: str | None
    it_energy_kwh: Quantity
    power_w: Quantity
    coverage_ratio: Quantity
    share_ratio: Quantity
    flags: tuple[str, ...]
    notes: str | None

    def as_dict(self) -> dict[str, Any]:
        """All of it, JSON-able."""
        return {
            "id": self.id,
            "kind": self.kind,
            "name": self.name,
            "method": self.method,
            "node": self.node,
            **_quantities(self, "it_energy_kwh", "power_w", "coverage_ratio", "share_ratio"),
            "flags": list(self.flags),
            "notes": self.notes,
        }


@dataclass(frozen=True, slots=True)
class EnergyTag:
    """The figures that a stage, an attempt and a run have in common."""

    duration_s: Quantity
    it_energy_kwh: Quantity
    facility_energy_kwh: Quantity
    co2e_kg: Quantity
    power_w: Quantity
    coverage_ratio: Quantity
    components: tuple[ComponentTag, ...]
    flags: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """All of it, JSON-able."""
        figures = _quantities(
            self,
            "duration_s",
            "it_energy_kwh",
            "facility_energy_kwh",
            "co2e_kg",
            "power_w",
            "coverage_ratio",
        )
        return figures | {
            "components": [component.as_dict() for component in self.components],
            "flags": list(self.flags),
        }


@dataclass(frozen=True, slots=True)
class StageTag:
    """One stage of one attempt; ``share_ratio`` is its part of the run's IT energy."""

    key: str
    index: int
    parent: str | None
    kind: str
    name: str
    status: str
    attempt: int
    energy: EnergyTag
    flops: FlopsTag
    quality: tuple[QualityTag, ...]
    share_ratio: Quantity

    def as_dict(self) -> dict[str, Any]:
        """All of it on one level, JSON-able."""
        return {
            "key": self.key,
            "index": self.index,
            "parent": self.parent,
            "kind": self.kind,
            "name": self.name,
            "status": self.status,
            "attempt": self.attempt,
            **self.energy.as_dict(),
            "flops": self.flops.as_dict(),
            "quality": [asdict(metric) for metric in self.quality],
            "share_ratio": self.share_ratio.as_dict(),
        }


@dataclass(frozen=True, slots=True)
class AttemptTag:
    """One attempt; ``outside_stages`` is what it used before, between and after its stages."""

    number: int
    status: str
    reason: Mapping[str, Any] | None
    started_at: str
    node: str | None
    device_count: int
    energy: EnergyTag
    outside_stages: Quantity
    share_ratio: Quantity

    def as_dict(self) -> dict[str, Any]:
        """All of it on one level, JSON-able."""
        return {
            "number": self.number,
            "status": self.status,
            "reason": None if self.reason is None else dict(self.reason),
            "started_at": self.started_at,
            "node": self.node,
            "device_count": self.device_count,
            **self.energy.as_dict(),
            "outside_stages": {"it_energy_kwh": self.outside_stages.as_dict()},
            "share_ratio": self.share_ratio.as_dict(),
        }


@dataclass(frozen=True, slots=True)
class PriceTag:
    """What a run used, emitted, cost and achieved, over all its attempts.

    The wire form is :meth:`as_dict`; it is stored as it is and never edited.
    """

    run_id: str
    name: str
    version: int
    hardware: Mapping[str, Any]
    device_count: int
    energy: EnergyTag
    pue: Quantity
    carbon_intensity_g_per_kwh: Quantity
    flops: FlopsTag
    cost: CostTag
    quality: tuple[QualityTag, ...]
    stages: tuple[StageTag, ...]
    attempts: tuple[AttemptTag, ...]
    outside_stages: Quantity
    second_opinion: Mapping[str, Any] | None
    provenance: Mapping[str, Any]
    flags: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The price tag as JSON-able data, schema ``pricetag/1``."""
        provenance = dict(self.provenance)
        provenance["outside_stages"] = {"it_energy_kwh": self.outside_stages.as_dict()}
        return {
            "schema": SCHEMA,
            "run_id": self.run_id,
            "name": self.name,
            "version": self.version,
            "hardware": dict(self.hardware),
            "device_count": self.device_count,
            **self.energy.as_dict(),
            **_quantities(self, "pue", "carbon_intensity_g_per_kwh"),
            "flops": self.flops.as_dict(),
            "cost": self.cost.as_dict(),
            "quality": [asdict(metric) for metric in self.quality],
            "stages": [stage.as_dict() for stage in self.stages],
            "attempts": [attempt.as_dict() for attempt in self.attempts],
            "second_opinion": None if self.second_opinion is None else dict(self.second_opinion),
            "provenance": provenance,
            "flags": list(self.flags),
        }


def _quantities(owner: object, *names: str) -> dict[str, Any]:
    wire: dict[str, Any] = {}
    for name in names:
        quantity: Quantity = getattr(owner, name)
        wire[name] = quantity.as_dict()
    return wire
