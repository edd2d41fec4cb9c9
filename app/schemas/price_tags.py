"""The price tag on the wire: a description of what `pricetag.accounting` issues.

What is stored is sent as it was issued; these classes document it.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, Literal

from pydantic import ConfigDict, Field

from app.schemas.common import Moment, Quantity, Request, Wire
from pricetag.tag.ratios import Metric


class _Issued(Wire):
    model_config = ConfigDict(extra="allow", populate_by_name=True)


def _since_2(**told: Any) -> Any:
    """A field that price tags of accounting version 1 lack."""
    return Field(default=None, **told)


class FlopsRead(_Issued):
    dense: Quantity
    effective: Quantity
    low_bit: Quantity
    mfu_ratio: Quantity = _since_2(
        description="Dense operations over the accelerators' dense 16-bit peak."
    )
    flops_per_joule: Quantity = _since_2(description="Per joule of IT energy.")
    methods: list[str] = _since_2(description="How they were counted.")
    uncounted: list[str] = _since_2(description="Operators and stages that they leave out.")


class CostRead(_Issued):
    cloud: Quantity = Field(description="From the low price to the high.")
    electricity: Quantity
    owned_hardware: Quantity = _since_2(description="Device-hours at the site's own price.")
    total: Quantity = _since_2(description="The figure to go by.")
    basis: str | None = _since_2(
        description="What is in the total: `owned hardware and electricity`, `owned hardware "
        "without electricity`, `cloud` or `electricity alone`."
    )
    currency: str | None


class SplitRead(_Issued):
    """What the devices used in all, and which part of the charge is idle draw."""

    gross_kwh: Quantity = Field(description="Of the whole devices, other jobs included.")
    charged_ratio: Quantity = Field(description="Part of it that is charged.")
    baseline_kwh: Quantity = Field(description="Part of the charge that idle devices use too.")
    dynamic_kwh: Quantity = Field(description="The rest of the charge.")


class ErrorTermRead(_Issued):
    """One cause of error of a total."""

    term: str
    relative_std_ratio: float = Field(description="One sigma, relative to the total.")
    share_of_variance: float


class UncertaintyRead(_Issued):
    """The causes of error of each total, the largest first."""

    it_energy: list[ErrorTermRead]
    facility_energy: list[ErrorTermRead]
    co2e: list[ErrorTermRead]
    cost: list[ErrorTermRead]


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
    split: SplitRead = _since_2()
    reserved_ratio: float | None = _since_2(
        description="Part of it that was reserved for the run, by which idle energy is charged."
    )
    calibration: Quantity | None = _since_2(description="What its meter was multiplied with.")
    edge_s: float | None = _since_2(description="How far off an edge of its window may be.")
    flags: list[str]


class EnergyRead(_Issued):
    """What a stage, an attempt and a run have in common."""

    duration_s: Quantity
    it_energy_kwh: Quantity
    facility_energy_kwh: Quantity = Field(description="IT energy x PUE.")
    co2e_kg: Quantity
    power_w: Quantity
    coverage_ratio: Quantity = Field(description="Metered time over the whole.")
    split: SplitRead = _since_2()
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


class FootprintRead(EnergyRead):
    """What an attempt and a run have beside their energy."""

    co2e_market_kg: Quantity = _since_2(description="By the site's contracts.")
    water_l: Quantity = _since_2(description="On site and for the electricity.")
    embodied_co2e_kg: Quantity = _since_2(description="Of making the reserved hardware.")
    co2e_total_kg: Quantity = _since_2(description="`co2e_kg` and `embodied_co2e_kg`.")
    cost: CostRead = _since_2()


class AttemptTagRead(FootprintRead):
    number: int
    status: str
    reason: dict[str, Any] | None
    started_at: str
    node: str | None
    device_count: int
    share_ratio: Quantity


class PriceTagRead(FootprintRead):
    """What a run used, emitted, cost and achieved, over all its attempts. Never edited."""

    schema_name: str = Field(alias="schema", examples=["pricetag/1"])
    run_id: uuid.UUID
    name: str
    version: int
    hardware: dict[str, Any]
    device_count: int
    pue: Quantity
    carbon_intensity_g_per_kwh: Quantity = Field(description="As it was applied.")
    carbon_hours_share_ratio: Quantity = _since_2(
        description="Part of the energy whose hour had a carbon intensity of its own."
    )
    flops: FlopsRead
    quality: list[QualityRead]
    stages: list[StageTagRead]
    attempts: list[AttemptTagRead]
    second_opinion: dict[str, Any] | None
    uncertainty: UncertaintyRead = _since_2()
    provenance: dict[str, Any]
    content_sha256: str = Field(
        description="Of everything but this field, as `pricetag verify` works it out."
    )


class RepriceRequest(Request):
    """With which factors to price a run again."""

    as_of: Moment | None = Field(
        default=None,
        description="Take the factors that had been entered by then; without it, all of them.",
        examples=["2026-03-01T00:00:00Z"],
    )


class PriceTagVersion(Wire):
    """One version of a run's price tag, with its totals."""

    version: int
    accounting_version: str
    cause: str = Field(description="`attempt-ended`, `journal-came-late` or `repriced`.")
    as_of: datetime | None = Field(description="Its factors are as they had been entered by then.")
    created_at: datetime
    content_sha256: str
    it_energy_kwh: Quantity
    facility_energy_kwh: Quantity
    co2e_kg: Quantity
    cost: Quantity | None = Field(description="`cost.total`; null in accounting version 1.")


class PriceTagVersions(Wire):
    """All versions, the newest first."""

    items: list[PriceTagVersion]


class VerificationStep(Wire):
    """One check of a price tag."""

    step: Literal["content-hash", "measurements", "arithmetic"]
    status: Literal["ok", "differs", "not-checked"]
    detail: str = Field(description="What was compared; the first difference by its path.")


class VerificationRead(Wire):
    """A price tag held against its hash, its readings and its own factors."""

    run_id: uuid.UUID
    version: int
    accounting_version: str
    content_sha256: str
    outcome: Literal["verified", "not-fully-checked", "differs"]
    steps: list[VerificationStep]


class ComparedRun(Wire):
    run_id: uuid.UUID
    name: str
    version: int
    value: float | None


class ComparedSide(Wire):
    """Repeats of one piece of work."""

    runs: list[ComparedRun]
    mean: float | None


class ComparisonRead(Wire):
    """Two groups of runs as a ratio."""

    metric: Metric
    unit: str
    a: ComparedSide
    b: ComparedSide
    ratio: Quantity = Field(description="Mean of a over mean of b; its ends null without repeats.")
    method: str | None = Field(description="What the interval is of.")
    degrees_of_freedom: float | None
    cancels: bool = Field(description="Whether the runs share cards, site and factors.")
    reasons: list[str] = Field(description="Why not.")
    notes: list[str]
