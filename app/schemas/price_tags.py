"""Price tags on the wire: the document as `pricetag.accounting` describes it, and what is said
about its versions.
"""

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
    """What a run used, emitted, cost and achieved, over all its attempts. Never edited."""

    content_sha256: str = Field(
        description="SHA-256 of everything but this field, as `pricetag verify` computes it."
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
    """All versions, newest first."""

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
