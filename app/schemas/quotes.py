from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, Literal

from pydantic import ConfigDict, Field, RootModel

from app.schemas.common import Request, RunStatus, Wire
from app.schemas.projections import ProjectionRead, QuoteQuantities
from app.schemas.runs import RunCreate


class QuoteCreate(Request):
    """Work that was not metered: so many devices, so much power, so long."""

    # `true` is not one device.
    model_config = ConfigDict(extra="forbid", strict=True)

    devices: int = Field(ge=1, le=10**9, examples=[8])
    device_power_w: float = Field(ge=0, le=1e12, allow_inf_nan=False, examples=[300.0])
    hours: float = Field(ge=0, le=1e9, allow_inf_nan=False, examples=[84.0])
    pue: float = Field(ge=1, le=100, allow_inf_nan=False, examples=[1.58])
    grid_g_per_kwh: float = Field(ge=0, le=1e6, allow_inf_nan=False, examples=[429.0])
    price_low: float | None = Field(
        default=None, ge=0, le=1e9, allow_inf_nan=False, description="Per device-hour."
    )
    price_high: float | None = Field(
        default=None, ge=0, le=1e9, allow_inf_nan=False, description="Per device-hour."
    )
    price_devices: int | None = Field(
        default=None, ge=1, le=10**9, description="Devices that are paid for, if not `devices`."
    )
    currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$")


class QuoteRead(Wire):
    it_energy_kwh: float
    facility_energy_kwh: float = Field(description="IT energy x PUE.")
    co2e_kg: float
    co2e_lb: float
    cost_low: float | None
    cost_high: float | None
    currency: str | None


class RunQuoteCreate(Request):
    """A run that may be posted later: the same description, and nothing is booked."""

    run: RunCreate


class QuoteRequest(RootModel[QuoteCreate | RunQuoteCreate]):
    """Figures of one's own, or a run."""


class RunQuoteRead(Wire):
    """An estimate of a run before it begins, and what it rests on."""

    method: Literal["history", "flops", "unknown"]
    text: str = Field(examples=["12 runs of the same recipe in pool 'default'"])
    quantities: QuoteQuantities
    pool: str
    gpus: int
    level: str | None = Field(description="How alike the runs are that it rests on.")
    runs: list[uuid.UUID] = Field(description="Newest of them that you may see, up to 20.")
    run_count: int
    work_ratio: float | None = Field(description="The run's work as a multiple of theirs.")
    steps: list[dict[str, Any]] = Field(
        description="Each step with `[median, half width of the 95% interval of the logarithm]`."
    )
    factors: list[dict[str, Any]]
    notes: list[str]


class HitRead(Wire):
    """A quoted figure against the actual one."""

    quoted: float
    actual: float
    factor: float = Field(description="actual / quoted")
    log_error: float
    inside: bool = Field(description="Whether it lies in the quote's 95% interval.")


class RunScoreRead(Wire):
    """The quote against the price tag."""

    status: RunStatus
    price_tag_version: int
    quantities: dict[str, HitRead | None] = Field(description="null where either is unknown.")


class StoredQuoteRead(RunQuoteRead):
    """The quote of a run, how the run goes, and how near the quote came."""

    run_id: uuid.UUID
    created_at: datetime
    projection: ProjectionRead | None = Field(description="While it runs.")
    score: RunScoreRead | None = Field(description="Once it has ended.")


class ScoreGroup(Wire):
    """How good quotes of one kind were, for one quantity."""

    method: str
    level: str | None
    pool: str
    quantity: str
    count: int
    median_factor: float = Field(description="Half of the actuals were within this factor.")
    bias_factor: float = Field(description="Median of actual / quoted.")
    inside_ratio: float = Field(description="Share of actuals in the 95% interval.")


class ScoreRead(Wire):
    """How good the quotes of the newest runs were that succeeded."""

    runs: int
    unquoted: int = Field(description="How many of them had no quote, for want of history.")
    groups: list[ScoreGroup]
