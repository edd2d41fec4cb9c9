"""What one project or user used: totals, trend, failed work, best run."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field

from app.schemas.common import Quantity, Unit, Wire
from app.schemas.energy import EnergyChange, FailedFigures, Grain
from app.schemas.fields import RunId, RunName


class WorkPoint(Wire):
    """The energy of one hour, day or month."""

    start: datetime = Field(description="Its beginning (UTC).")
    energy_kwh: Quantity = Field(description="IT energy charged to the runs in it.")


class WorkSum(Wire):
    """A sum over the price tags of attempts that ended in the range, and over running ones."""

    value: float | None = Field(
        description="Sum of the known values, including running attempts so far; null if none is "
        "known, with a `reason`. It has no interval: runs share meters and factors, so that their "
        "errors neither cancel nor simply add up; those of the parts are on each run."
    )
    running: float | None = Field(
        description="Part of `value` that running attempts have used so far, if the range reaches "
        "the present time; null if it is unknown."
    )
    unit: Unit
    source: Literal["counter", "integrated", "modelled", "estimated", "assumed"] | None = Field(
        description="Weakest evidence behind it; null if no value is known."
    )
    unknown_attempts: int = Field(
        description=(
            "Number of attempts of unknown value: the sum is at least this. An unknown cost has "
            "no currency, and counts in each currency."
        )
    )
    reason: str | None = Field(
        description=(
            "Reason why the sum is unknown, or what it excludes; null if all values are known."
        )
    )


class BestRun(Wire):
    """The run with the least energy for its score."""

    run_id: RunId
    name: RunName
    metric: str = Field(description="Name of the score.", examples=["accuracy"])
    split: str | None = Field(description="Data split of the score; null without one.")
    score: float = Field(description="The score.")
    it_energy_kwh: Quantity = Field(description="IT energy of all its attempts.")
    kwh_per_score: Quantity = Field(description="IT energy divided by the score.")
    runs: int = Field(description="Number of runs with this score that were compared.")


class WorkRead(Wire):
    """Use of the runs of one project or user in a range."""

    model_config = ConfigDict(populate_by_name=True)

    name: str = Field(description="Name of the project or user.")
    start: datetime = Field(alias="from", description="Beginning of the first hour (UTC).")
    stop: datetime = Field(alias="to", description="End of the range, exclusive (UTC).")
    grain: Grain = Field(description="Length of the buckets of `points`, in UTC.")
    energy_kwh: Quantity = Field(
        description="IT energy charged in the range, including running runs so far."
    )
    provisional: bool = Field(
        description="Whether this energy may still grow: the range reaches the present hour, or "
        "some of its runs are running."
    )
    before_kwh: Quantity = Field(
        description="IT energy charged in the preceding period of the same length."
    )
    change: EnergyChange = Field(description="Change from `before_kwh` to `energy_kwh`.")
    points: list[WorkPoint] = Field(description="The energy over time.")
    attempts: int = Field(description="Number of attempts that ended in the range.")
    running_attempts: int = Field(
        description="Number of running attempts, if the range reaches the present time; else 0."
    )
    facility_energy_kwh: WorkSum = Field(
        description="Facility energy of these attempts, ended and running ones."
    )
    co2e_kg: WorkSum = Field(description="Location-based emissions of these attempts.")
    costs: list[WorkSum] = Field(description="Cost of these attempts, by currency.")
    failed: FailedFigures = Field(description="Energy of attempts that led to no result.")
    best: BestRun | None = Field(
        description=(
            "The run with the least energy for its score among the newest 50 succeeded runs; null "
            "if there is none."
        )
    )
    best_reason: str | None = Field(description="Reason why there is none; null if there is one.")
