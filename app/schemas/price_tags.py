"""The price tag on the wire: a description of what `pricetag.accounting` issues.

What is stored is sent byte for byte the same; these classes document it.
"""

from __future__ import annotations

import uuid
from typing import Any

from pydantic import ConfigDict, Field

from app.schemas.common import Quantity, Wire


class _Issued(Wire):
    model_config = ConfigDict(extra="allow", populate_by_name=True)


class FlopsRead(_Issued):
    dense: Quantity
    effective: Quantity
    low_bit: Quantity


class CostRead(_Issued):
    cloud: Quantity = Field(description="From the low price to the high.")
    electricity: Quantity
    currency: str | None


class QualityRead(_Issued):
    metric: str
    value: float | None
    split: str | None
    stage: str
    unit: str | None
    attempt: int


class ComponentRead(_Issued):
    id: str
    kind: str
    name: str
    method: str
    it_energy_kwh: Quantity
    power_w: Quantity
    coverage_ratio: Quantity
    share_ratio: Quantity
    flags: list[str]


class EnergyRead(_Issued):
    """What a stage, an attempt and a run have in common."""

    duration_s: Quantity
    it_energy_kwh: Quantity
    facility_energy_kwh: Quantity = Field(description="IT energy x PUE.")
    co2e_kg: Quantity
    power_w: Quantity
    coverage_ratio: Quantity = Field(description="Metered time over the whole.")
    components: list[ComponentRead]
    flags: list[str]


class StageTagRead(EnergyRead):
    key: str
    index: int
    parent: str | None
    kind: str
    name: str
    status: str
    attempt: int
    flops: FlopsRead
    quality: list[QualityRead]
    share_ratio: Quantity


class AttemptTagRead(EnergyRead):
    number: int
    status: str
    reason: dict[str, Any] | None
    started_at: str
    node: str | None
    device_count: int
    share_ratio: Quantity


class PriceTagRead(EnergyRead):
    """What a run used, emitted, cost and achieved, over all its attempts. Never edited."""

    schema_name: str = Field(alias="schema", examples=["pricetag/1"])
    run_id: uuid.UUID
    name: str
    version: int
    hardware: dict[str, Any]
    device_count: int
    pue: Quantity
    carbon_intensity_g_per_kwh: Quantity
    flops: FlopsRead
    cost: CostRead
    quality: list[QualityRead]
    stages: list[StageTagRead]
    attempts: list[AttemptTagRead]
    second_opinion: dict[str, Any] | None
    provenance: dict[str, Any]
