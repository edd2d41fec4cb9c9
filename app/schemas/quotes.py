from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, Literal

from pydantic import ConfigDict, Field, RootModel

from app.schemas.common import Currency, Request, RunStatus, Wire
from app.schemas.projections import ProjectionRead, QuoteQuantities
from app.schemas.runs import RunCreate


class QuoteCreate(Request):
    """Work described by number of devices, power and hours, without metering."""

    # `true` must not count as one device.
    model_config = ConfigDict(extra="forbid", strict=True)

    devices: int = Field(ge=1, le=10**9, examples=[8])
    device_power_w: float = Field(ge=0, le=1e12, allow_inf_nan=False, examples=[300.0])
    hours: float = Field(ge=0, le=1e9, allow_inf_nan=False, examples=[84.0])
    pue: float = Field(ge=1, le=100, allow_inf_nan=False, examples=[1.58])
    grid_g_per_kwh: float = Field(ge=0, le=1e6, allow_inf_nan=False, examples=[429.0])
    price_low: float | None = Field(
        default=None, ge=0, le=1e9, allow_inf_nan=False, description="Price per device-hour."
    )
    price_high: float | None = Field(
        default=None, ge=0, le=1e9, allow_inf_nan=False, description="Price per device-hour."
    )
    price_devices: int | None = Field(
        default=None,
        ge=1,
        le=10**9,
        description="Number of paid devices, if different from `devices`.",
    )
    currency: Currency = "USD"


class QuoteRead(Wire):
    """The estimate from your own figures, without intervals."""

    it_energy_kwh: float
    facility_energy_kwh: float = Field(description="IT energy x PUE.")
    co2e_kg: float
    co2e_lb: float
    cost_low: float | None
    cost_high: float | None
    currency: str | None


class RunQuoteCreate(Request):
    """The description of a run to quote; nothing is reserved."""

    run: RunCreate


class QuoteRequest(RootModel[QuoteCreate | RunQuoteCreate]):
    """Your own figures to estimate from, or a run to quote."""


class RunQuoteRead(Wire):
    """An estimate of a run before it begins, with its basis."""

    method: Literal["history", "flops", "unknown"]
    text: str = Field(examples=["12 runs of the same recipe in pool 'default'"])
    quantities: QuoteQuantities
    pool: str
    gpus: int
    level: str | None = Field(description="Level of similarity of the runs behind the quote.")
    runs: list[uuid.UUID] = Field(
        description="Up to 20 of these runs that you may see, latest first."
    )
    run_count: int
    work_ratio: float | None = Field(description="The run's work as a multiple of theirs.")
    steps: list[dict[str, Any]] = Field(
        description="Each step with `[median, half width of the 95% interval of the logarithm]`."
    )
    factors: list[dict[str, Any]]
    notes: list[str]


class HitRead(Wire):
    """A quoted value compared with the actual value."""

    quoted: float
    actual: float
    factor: float = Field(description="Actual value divided by the quoted one.")
    log_error: float
    inside: bool = Field(description="Whether the actual value is in the quote's 95% interval.")


class RunScoreRead(Wire):
    """The quote compared with the price tag."""

    status: RunStatus
    price_tag_version: int
    quantities: dict[str, HitRead | None] = Field(
        description="Accuracy by quantity; null if the quoted or the actual value is unknown."
    )


class StoredQuoteRead(RunQuoteRead):
    """The quote of a run, its projection, and the accuracy of the quote."""

    run_id: uuid.UUID
    created_at: datetime
    projection: ProjectionRead | None = Field(
        description="Projected totals while the run is running."
    )
    score: RunScoreRead | None = Field(description="Accuracy of the quote once the run has ended.")


class ScoreGroup(Wire):
    """Accuracy of one group of quotes for one quantity."""

    method: str
    level: str | None
    pool: str
    quantity: str
    count: int
    median_factor: float = Field(
        description="Half of the actual values were within this factor of the quote."
    )
    bias_factor: float = Field(description="Median of actual / quoted.")
    inside_ratio: float = Field(description="Share of actual values in the 95% interval.")


class ScoreRead(Wire):
    """Accuracy of the quotes of the latest successful runs."""

    runs: int
    unquoted: int = Field(
        description="Number of these runs without a quote, because no similar run exists."
    )
    groups: list[ScoreGroup]
