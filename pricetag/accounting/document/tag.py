"""What a price tag is made of, and its wire form (schema ``pricetag/1``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pricetag.accounting.quantity.quantity import Quantity

SCHEMA = "pricetag/1"


@dataclass(frozen=True, slots=True)
class FlopsTag:
    """Floating-point operations: of the dense network, times density, and low-bit ones apart.

    Attributes:
        dense: Of the dense network.
        effective: Times the density of its weights.
        low_bit: In integers of 8 bits or fewer, counted apart.
        mfu_ratio: Dense operations over what the accelerators could have done meanwhile.
        flops_per_joule: Dense operations per joule of IT energy.
        methods: How they were counted.
        uncounted: Operators and stages that the counts leave out.
    """

    dense: Quantity
    effective: Quantity
    low_bit: Quantity
    mfu_ratio: Quantity
    flops_per_joule: Quantity
    methods: tuple[str, ...] = ()
    uncounted: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """All of it, JSON-able."""
        counts = _quantities(self, "dense", "effective", "low_bit", "mfu_ratio", "flops_per_joule")
        return counts | {"methods": list(self.methods), "uncounted": list(self.uncounted)}


@dataclass(frozen=True, slots=True)
class CostTag:
    """What a run, or an attempt of it, costs.

    Attributes:
        cloud: Its device-hours at cloud prices, low to high.
        electricity: Its facility energy at the site's tariff.
        owned_hardware: Its device-hours at the site's own price of its hardware.
        total: The figure to go by; ``basis`` says what is in it.
        basis: ``owned hardware and electricity``, ``owned hardware without electricity``,
            ``cloud``, ``electricity alone``; None where nothing is known.
        currency: Of all of them.
    """

    cloud: Quantity
    electricity: Quantity
    owned_hardware: Quantity
    total: Quantity
    basis: str | None
    currency: str | None

    def as_dict(self) -> dict[str, Any]:
        """All of it, JSON-able."""
        amounts = _quantities(self, "cloud", "electricity", "owned_hardware", "total")
        return amounts | {"basis": self.basis, "currency": self.currency}


@dataclass(frozen=True, slots=True)
class SplitTag:
    """What the devices used in all, and which part of the charge is idle draw.

    Attributes:
        gross_kwh: Energy of the whole devices, other jobs and idling included.
        charged_ratio: Part of it that is charged.
        baseline_kwh: Part of the charge that the devices, idle, would have used as well.
        dynamic_kwh: The rest of the charge.
    """

    gross_kwh: Quantity
    charged_ratio: Quantity
    baseline_kwh: Quantity
    dynamic_kwh: Quantity

    def as_dict(self) -> dict[str, Any]:
        """All of it, JSON-able."""
        return _quantities(self, "gross_kwh", "charged_ratio", "baseline_kwh", "dynamic_kwh")


@dataclass(frozen=True, slots=True)
class FootprintTag:
    """What stands beside energy and location-based carbon, of an attempt or a run.

    Attributes:
        co2e_market_kg: Emissions by the site's contracts, beside the location-based ones.
        water_l: Water, on site and for the electricity.
        embodied_co2e_kg: The part of the hardware's making that the reservation stands for.
        co2e_total_kg: Operational (location-based) and embodied emissions together.
    """

    co2e_market_kg: Quantity
    water_l: Quantity
    embodied_co2e_kg: Quantity
    co2e_total_kg: Quantity

    def as_dict(self) -> dict[str, Any]:
        """All of it, JSON-able."""
        return _quantities(self, "co2e_market_kg", "water_l", "embodied_co2e_kg", "co2e_total_kg")


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

    ``share_ratio`` is its part of the energy of that stage, attempt or run; ``calibration``
    what its meter's figure was multiplied with; ``reserved_ratio`` the part of it that was
    reserved, by which idle energy is charged; ``edge_s`` how far off an edge of its last window
    may be.
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
    split: SplitTag
    reserved_ratio: float
    calibration: Quantity | None
    edge_s: float | None
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
            "split": self.split.as_dict(),
            "reserved_ratio": self.reserved_ratio,
            "calibration": None if self.calibration is None else self.calibration.as_dict(),
            "edge_s": self.edge_s,
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
    split: SplitTag
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
            "split": self.split.as_dict(),
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
    site: str | None
    device_count: int
    energy: EnergyTag
    footprint: FootprintTag
    cost: CostTag
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
            "site": self.site,
            "device_count": self.device_count,
            **self.energy.as_dict(),
            **self.footprint.as_dict(),
            "cost": self.cost.as_dict(),
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
    footprint: FootprintTag
    pue: Quantity
    carbon_intensity_g_per_kwh: Quantity
    carbon_hours_share_ratio: Quantity
    flops: FlopsTag
    cost: CostTag
    quality: tuple[QualityTag, ...]
    stages: tuple[StageTag, ...]
    attempts: tuple[AttemptTag, ...]
    outside_stages: Quantity
    second_opinion: Mapping[str, Any] | None
    uncertainty: Mapping[str, Any]
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
            **self.footprint.as_dict(),
            **_quantities(self, "pue", "carbon_intensity_g_per_kwh", "carbon_hours_share_ratio"),
            "flops": self.flops.as_dict(),
            "cost": self.cost.as_dict(),
            "quality": [asdict(metric) for metric in self.quality],
            "stages": [stage.as_dict() for stage in self.stages],
            "attempts": [attempt.as_dict() for attempt in self.attempts],
            "second_opinion": None if self.second_opinion is None else dict(self.second_opinion),
            "uncertainty": dict(self.uncertainty),
            "provenance": provenance,
            "flags": list(self.flags),
        }


def _quantities(owner: object, *names: str) -> dict[str, Any]:
    wire: dict[str, Any] = {}
    for name in names:
        quantity: Quantity = getattr(owner, name)
        wire[name] = quantity.as_dict()
    return wire
