"""The price tag of a run: what every figure of it is, and how it is built."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pricetag.accounting.inputs import (
    AttemptInput,
    ComponentInfo,
    Device,
    Environment,
    Factor,
    Factors,
    FlopsCount,
    Measurement,
    PriceTagInputs,
    QualityInput,
    SecondOpinion,
    StageInput,
)
from pricetag.accounting.quantity import Quantity

__all__ = [
    "AttemptInput",
    "ComponentInfo",
    "Device",
    "Environment",
    "Factor",
    "Factors",
    "FlopsCount",
    "Measurement",
    "PriceTag",
    "PriceTagInputs",
    "QualityInput",
    "SecondOpinion",
    "StageInput",
    "build_price_tag",
    "content_sha256",
]

SCHEMA = "pricetag/1"


@dataclass(frozen=True, slots=True)
class FlopsTag:
    """Floating-point operations: of the dense network, times density, and low-bit ones apart."""

    dense: Quantity
    effective: Quantity
    low_bit: Quantity


@dataclass(frozen=True, slots=True)
class CostTag:
    """What the run would cost in the cloud (low to high) and did cost in electricity."""

    cloud: Quantity
    electricity: Quantity
    currency: str | None


@dataclass(frozen=True, slots=True)
class QualityTag:
    """A quality metric, with the stage and the attempt that reported it last."""

    metric: str
    value: float | None
    split: str | None
    stage: str
    unit: str | None
    attempt: int


@dataclass(frozen=True, slots=True)
class ComponentTag:
    """The energy of one component over a stage, an attempt or the run."""

    id: str
    kind: str
    name: str
    method: str
    it_energy_kwh: Quantity
    power_w: Quantity
    coverage_ratio: Quantity
    share_ratio: Quantity
    flags: tuple[str, ...]


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
    second_opinion: Mapping[str, Any] | None
    provenance: Mapping[str, Any]
    flags: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The price tag as JSON-able data, schema ``pricetag/1``."""
        raise NotImplementedError


def build_price_tag(inputs: PriceTagInputs) -> PriceTag:
    """Build the price tag of a run from its measurements and the site's factors."""
    raise NotImplementedError


def content_sha256(content: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON form (sorted keys, no spaces, no NaN) of a document."""
    canonical = json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return hashlib.sha256(canonical.encode()).hexdigest()
