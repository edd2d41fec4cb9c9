"""Price tags on the wire: the document defined by `pricetag.accounting`, and its versions."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Literal

from pydantic import Field

from app.schemas.common import Moment, Quantity, Request, Wire
from app.schemas.derived import wire_type
from pricetag.accounting.document.records import PriceTag
from pricetag.tag.ratios import Metric


class PriceTagRead(wire_type(PriceTag)):  # type: ignore[misc]  # a class made from another
    """Energy, emissions, cost and quality of a run over all its attempts. Never edited."""

    content_sha256: str = Field(
        description="SHA-256 of the price tag without this field, as `pricetag verify` computes it."
    )


class RepriceRequest(Request):
    """Selects the factors of the new version."""

    as_of: Moment | None = Field(
        default=None,
        description="Use only factors entered by this time; by default all factors.",
        examples=["2026-03-01T00:00:00Z"],
    )


class PriceTagVersion(Wire):
    """One version of a run's price tag, with its totals."""

    version: int
    accounting_version: str
    cause: str = Field(description="`attempt-ended`, `journal-came-late` or `repriced`.")
    as_of: datetime | None = Field(
        description="Time up to which entered factors were applied; null: all at the time of issue."
    )
    created_at: datetime
    content_sha256: str
    it_energy_kwh: Quantity
    facility_energy_kwh: Quantity
    co2e_kg: Quantity
    cost: Quantity | None = Field(description="`cost.total`; null in accounting version 1.")


class PriceTagVersions(Wire):
    """All versions, newest first."""

    items: list[PriceTagVersion]


class VerificationStep(Wire):
    """One check of a price tag."""

    step: Literal["content-hash", "measurements", "arithmetic"]
    status: Literal["ok", "differs", "not-checked"]
    detail: str = Field(description="The compared content, or the path of the first difference.")


class VerificationRead(Wire):
    """A price tag checked against its hash, its readings and its own factors."""

    run_id: uuid.UUID
    version: int
    accounting_version: str
    content_sha256: str
    outcome: Literal["verified", "not-fully-checked", "differs"]
    steps: list[VerificationStep]


class ComparedRun(Wire):
    """A run with its figure."""

    run_id: uuid.UUID
    name: str
    version: int
    value: float | None


class ComparedSide(Wire):
    """Repetitions of the same work."""

    runs: list[ComparedRun]
    mean: float | None


class ComparisonRead(Wire):
    """The ratio of two groups of runs."""

    metric: Metric
    unit: str
    a: ComparedSide
    b: ComparedSide
    ratio: Quantity = Field(
        description="Mean of a divided by mean of b; low and high are null without repetitions."
    )
    method: str | None = Field(description="How the interval was computed.")
    degrees_of_freedom: float | None
    cancels: bool = Field(
        description="Whether errors cancel: the runs share devices, site and factors."
    )
    reasons: list[str] = Field(description="Reasons why errors do not cancel.")
    differences: list[str] = Field(
        description="Options of the recipes, hashes of code and upstream models, hardware, "
        "software and environment variables in which the runs differ; empty for repeats of the "
        "same work.",
        examples=[["stages.0.epochs: 1 (a), 3 (b)", "packages.torch: 2.12.0 (a), 2.13.0 (b)"]],
    )
    notes: list[str]
