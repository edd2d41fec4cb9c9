from __future__ import annotations

import uuid
from typing import Any, Literal

from pydantic import ConfigDict, Field, RootModel

from app.schemas.carbon_forecasts import GreenPlan
from app.schemas.common import Currency, Request, Wire
from app.schemas.fields import CreatedAt, PoolName, RunId, StatusOfRun
from app.schemas.projections import ProjectionRead, QuoteQuantities
from app.schemas.runs import RunCreate


class QuoteCreate(Request):
    """Work described by number of devices, power and hours, without metering."""

    # `true` must not count as one device.
    model_config = ConfigDict(extra="forbid", strict=True)

    devices: int = Field(ge=1, le=10**9, examples=[8], description="Number of devices.")
    device_power_w: float = Field(
        ge=0,
        le=1e12,
        allow_inf_nan=False,
        examples=[300.0],
        description="Mean power of one device (W).",
    )
    hours: float = Field(
        ge=0,
        le=1e9,
        allow_inf_nan=False,
        examples=[84.0],
        description="Duration of the job (hours).",
    )
    pue: float = Field(
        ge=1,
        le=100,
        allow_inf_nan=False,
        examples=[1.58],
        description="Power usage effectiveness of the site (1 or more).",
    )
    grid_g_per_kwh: float = Field(
        ge=0,
        le=1e6,
        allow_inf_nan=False,
        examples=[429.0],
        description="Carbon intensity of the electricity (g CO2e per kWh).",
    )
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

    it_energy_kwh: float = Field(
        description="Energy charged by the meters, before the PUE, in kWh."
    )
    facility_energy_kwh: float = Field(description="IT energy x PUE.")
    co2e_kg: float = Field(
        description="Location-based emissions of the facility energy, in kg CO2e."
    )
    co2e_lb: float = Field(description="The same emissions, in pounds of CO2e.")
    cost_low: float | None = Field(
        description="Cloud cost at the low price, in `currency`; null without prices."
    )
    cost_high: float | None = Field(
        description="Cloud cost at the high price, in `currency`; null without prices."
    )
    currency: str | None = Field(description="ISO 4217 code of the currency; null if unknown.")


class RunQuoteCreate(Request):
    """The description of a run to quote; nothing is reserved."""

    run: RunCreate = Field(description="The run to quote, as it would be posted.")


class QuoteRequest(RootModel[QuoteCreate | RunQuoteCreate]):
    """Your own figures to estimate from, or a run to quote."""


class RunQuoteRead(Wire):
    """An estimate of a run before it begins, with its basis."""

    method: Literal["history", "flops", "unknown"] = Field(
        description="Basis of the quote: `history` (similar runs), `flops` or `unknown`."
    )
    text: str = Field(
        examples=["12 runs of the same recipe in pool 'default'"],
        description="Basis of the quote, in words.",
    )
    quantities: QuoteQuantities = Field(description="Quantities by name.")
    pool: PoolName
    gpus: int = Field(description="Number of accelerators.")
    level: str | None = Field(description="Level of similarity of the runs behind the quote.")
    runs: list[uuid.UUID] = Field(
        description="Up to 20 of these runs that you may see, latest first."
    )
    run_count: int = Field(description="Number of similar runs behind the quote.")
    work_ratio: float | None = Field(description="The run's work as a multiple of theirs.")
    steps: list[dict[str, Any]] = Field(
        description="Each step with `[median, half width of the 95% interval of the logarithm]`."
    )
    factors: list[dict[str, Any]] = Field(description="Applied factors, each with its source.")
    notes: list[str] = Field(description="Human-readable remarks.")
    green_start: GreenPlan | None = Field(
        default=None,
        description="The start that a run with `not_before: greenest within N h` would get now; "
        "null for other runs, and once the run is posted: the run itself has it then.",
    )


class HitRead(Wire):
    """A quoted value compared with the actual value."""

    quoted: float = Field(description="Quoted value, in the unit of the quantity.")
    actual: float = Field(description="Measured value, in the unit of the quantity.")
    factor: float = Field(description="Actual value divided by the quoted one.")
    log_error: float = Field(description="Natural logarithm of actual / quoted.")
    inside: bool = Field(description="Whether the actual value is in the quote's 95% interval.")


class RunScoreRead(Wire):
    """The quote compared with the price tag."""

    status: StatusOfRun
    price_tag_version: int = Field(description="Version of the price tag.")
    quantities: dict[str, HitRead | None] = Field(
        description="Accuracy by quantity; null if the quoted or the actual value is unknown."
    )


class StoredQuoteRead(RunQuoteRead):
    """The quote of a run, its projection, and the accuracy of the quote."""

    run_id: RunId
    created_at: CreatedAt
    projection: ProjectionRead | None = Field(
        description="Projected totals while the run is running."
    )
    score: RunScoreRead | None = Field(description="Accuracy of the quote once the run has ended.")


class ScoreGroup(Wire):
    """Accuracy of one group of quotes for one quantity."""

    method: str = Field(description="Basis of the quotes: `history` (similar runs) or `flops`.")
    level: str | None = Field(
        description="Level of similarity of the runs behind the quotes; null without such runs."
    )
    pool: PoolName
    quantity: str = Field(description="Name of the quantity.")
    count: int = Field(description="Number of scored runs.")
    median_factor: float = Field(
        description="Half of the actual values were within this factor of the quote."
    )
    bias_factor: float = Field(description="Median of actual / quoted.")
    inside_ratio: float = Field(description="Share of actual values in the 95% interval.")


class ScoreRead(Wire):
    """Accuracy of the quotes of the latest successful runs."""

    runs: int = Field(description="Number of scored runs.")
    unquoted: int = Field(
        description="Number of these runs without a quote, because no similar run exists."
    )
    groups: list[ScoreGroup] = Field(description="Accuracy by method, level, pool and quantity.")
