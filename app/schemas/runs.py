"""Runs on the wire: list items, details, and responses to a post."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from app.schemas.carbon_forecasts import GreenStartRead
from app.schemas.common import AttemptStatus, Quantity, Reason, Request, Whole, Wire
from app.schemas.fields import (
    AttemptNumber,
    CreatedAt,
    ExperimentName,
    Items,
    ObjectId,
    OriginOfRun,
    PoolName,
    ProjectName,
    RunName,
    StatusOfRun,
    TagVersion,
)
from app.schemas.lineage import LineageRead
from app.schemas.projections import ProjectionRead
from pricetag.recipes import REGISTRY, RunSpec

RunSort = Literal[
    "-created_at",
    "created_at",
    "-finished_at",
    "finished_at",
    "name",
    "-name",
    "-it_energy_kwh",
    "it_energy_kwh",
    "-cost",
    "cost",
]


_KIND = "|".join(REGISTRY)


def _of_known_stages(kind: str) -> str:
    unknown = [part for part in kind.split("+") if part not in REGISTRY]
    if unknown:
        raise PydanticCustomError(
            "unknown_kind",
            "has no stage kind {unknown}; known, joined by '+' as in a run: {known}",
            {"unknown": repr(unknown[0]), "known": ", ".join(REGISTRY)},
        )
    return kind


RunKind = Annotated[
    str,
    Field(
        min_length=1,
        max_length=200,
        examples=["train+quantize+measure"],
        json_schema_extra={"pattern": rf"^({_KIND})(\+({_KIND}))*$"},
    ),
    AfterValidator(_of_known_stages),
]
"""One stage kind, or all stage kinds of a run in order."""


SearchText = Annotated[
    str,
    Field(
        min_length=1,
        max_length=200,
        pattern=r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$",
        examples=["resnet lr-0.1"],
    ),
]
"""Words to search for: one line, not blank."""


class RunCreate(RunSpec):
    """The body of a posted run, checked by `pricetag.recipes`."""


class RunPriority(Request):
    """The new priority of a queued run."""

    priority: Annotated[Whole, Field(ge=-1000, le=1000)] = Field(
        description="Runs with a higher priority start first."
    )


class RunResources(Wire):
    """Requirements of a run on its worker."""

    gpus: int = Field(ge=0, description="Number of accelerators.")
    pool: PoolName
    power_limit_w: float | None = Field(
        default=None,
        description="Power limit of each accelerator while the run is executed (W); null for none.",
    )


class HeadlineFigures(Wire):
    """Totals of the latest price tag, each with its interval and its evidence."""

    duration_s: Quantity = Field(description="Run time of all attempts, in seconds.")
    it_energy_kwh: Quantity = Field(description="Energy charged by the meters, in kWh.")
    facility_energy_kwh: Quantity = Field(description="IT energy x PUE, in kWh.")
    co2e_kg: Quantity = Field(description="Location-based emissions, in kg CO2e.")
    co2e_market_kg: Quantity = Field(
        description="Market-based emissions by the site's contracts, in kg CO2e."
    )
    cost: Quantity = Field(description="Cost of the run, in the currency of its `unit`.")
    flops_dense: Quantity = Field(description="Operations of the dense network.")
    kwh_per_score: Quantity = Field(
        description="IT energy divided by the score, in kWh for a score of 1; unknown where a "
        "smaller score is better."
    )


class HeadlineScore(Wire):
    """The score that represents a run: of its best known metric, as its last model reached it."""

    metric: str = Field(examples=["accuracy"], description="Name of the metric.")
    split: str | None = Field(
        examples=["validation"],
        description="Data split: validation, or else test, none or train; null without one.",
    )
    value: float = Field(description="The score.")


class HeadlineOpinion(Wire):
    """How far another tool's figure of the energy is from ours."""

    tool: str = Field(examples=["codecarbon"], description="Name of the other tool.")
    compared_with: Literal["gross", "charged"] = Field(
        description="Our figure: that of whole devices (`gross`) where it is known, since the "
        "other tool sees whole machines, or the charged energy."
    )
    difference_ratio: Quantity = Field(
        description="Difference relative to our figure: (theirs - ours) / ours."
    )


class Headline(Wire):
    """Totals of the latest price tag, shown in lists.

    While a run continues, they cover its earlier attempts.
    """

    version: TagVersion
    it_energy_kwh: float | None = Field(
        description="Energy charged by the meters, in kWh; null if unknown."
    )
    facility_energy_kwh: float | None = Field(
        description="IT energy x PUE, in kWh; null if unknown."
    )
    co2e_kg: float | None = Field(description="Emissions, in kg CO2e; null if unknown.")
    duration_s: float | None = Field(
        description="Run time of all attempts, in seconds; null if unknown."
    )
    figures: HeadlineFigures = Field(description="The totals with intervals and evidence.")
    score: HeadlineScore | None = Field(
        description="The score that represents the run; null if none was reported."
    )
    hardware: str | None = Field(
        examples=["2x NVIDIA H100"],
        description="Accelerators of the run, or its processor if it has none; null if unknown.",
    )
    flags: list[str] = Field(description="Flags that reduce trust in a figure.")
    second_opinion: HeadlineOpinion | None = Field(
        description="Another tool's figure beside ours; null if none ran."
    )


class RunSummary(Wire):
    """A run in a list."""

    id: ObjectId
    project: ProjectName
    experiment: ExperimentName
    name: RunName
    user: str | None = Field(description="Name of the user who posted it.")
    tags: list[str] = Field(description="Tags of the run.")
    kind: str = Field(
        examples=["train+quantize+measure"],
        description="All stage kinds of the run, e.g. `train+measure`.",
    )
    origin: OriginOfRun
    measured_by: str | None = Field(
        examples=["codecarbon 3.3.2"],
        description="Program that measured the run, with its version, as its sender states it; "
        "null for the workers of this server, and if it is unknown.",
    )
    resources: RunResources = Field(description="Requirements of the run on its worker.")
    priority: int = Field(
        description="Priority in the queue: runs with higher numbers start first."
    )
    not_before: datetime | None = Field(
        description="Earliest start (UTC); null if the run may start at once."
    )
    status: StatusOfRun
    status_reason: Reason | None = Field(description="Reason for the status.")
    progress: dict[str, Any] | None = Field(
        description="Progress of the running stage: done, total, unit, power_w, power_unknown "
        "(reason by component), energy_kwh, eta_s."
    )
    cancel_requested_at: datetime | None = Field(
        description="Time at which the run was asked to stop (UTC); null if it was not."
    )
    created_at: CreatedAt
    started_at: datetime | None = Field(description="Time of the start (UTC); null before.")
    finished_at: datetime | None = Field(
        description="Time at which the run ended (UTC); null before."
    )
    price_tag: Headline | None = Field(
        description="Totals of the latest price tag; null until one is issued."
    )


class StageRead(Wire):
    """A stage of an attempt."""

    key: str = Field(description="Key of the stage within its attempt.")
    index: int = Field(description="Position in the order of execution, from 0.")
    parent_key: str | None = Field(description="Key of the parent stage; null at the top.")
    recipe_index: int | None = Field(description="Index in the recipe's list of stages.")
    kind: str = Field(description="Stage kind, e.g. `train`.")
    name: str = Field(description="Name of the stage.")
    status: str = Field(
        examples=["succeeded"],
        description="Status of the stage, e.g. `running`, `succeeded` or `reused`.",
    )
    start_s: float = Field(description="Seconds since the attempt's meter opened.")
    end_s: float | None = Field(
        description="End of the stage, in seconds since the attempt's meter opened; null while it "
        "runs."
    )
    flops: dict[str, Any] | None = Field(
        description="Floating-point operations; null or with a reason if they were not counted."
    )


class RejectedReason(Wire):
    """A reason for rejected reports, with their number."""

    reason: str = Field(description="Reason for the rejection.")
    count: int = Field(description="Number of kept records with this reason.")


class RejectedRead(Wire):
    """Reports of the job that were rejected; they are not part of any figure."""

    count: int = Field(description="Number of rejected reports.")
    reasons: list[RejectedReason] = Field(
        description="Up to 20 reasons, in order; of many rejected reports only the first are kept."
    )


class AttemptRead(Wire):
    """One execution of a run by one worker."""

    number: AttemptNumber
    status: AttemptStatus = Field(description="Status of the attempt.")
    reason: Reason | None = Field(
        description="Reason why the attempt did not succeed; null otherwise."
    )
    node: str = Field(description="Name of the node.")
    devices: list[Any] = Field(description="Devices: kind, product name and UUID or count.")
    started_at: datetime = Field(description="Time of the start (UTC).")
    ended_at: datetime | None = Field(
        description="Time at which the attempt ended (UTC); null while it runs."
    )
    duration_s: float | None = Field(description="Duration, in seconds.")
    left_out: dict[str, int] = Field(
        description="Number of metrics, quality_metrics and artifacts that exceeded the limits "
        "and were dropped; empty if there are none.",
        examples=[{"metrics": 250}],
    )
    rejected: RejectedRead | None = Field(
        description="Rejected reports of the job, with the reasons; null if there are none."
    )
    stages: list[StageRead] = Field(description="Stages in the order of execution.")


class WaitingRead(Wire):
    """Reason why no live worker can take a queued run, which starts once one can."""

    code: Literal["no-worker-in-pool", "no-worker-large-enough", "no-worker-allows-commands"] = (
        Field(description="Stable code for programs.")
    )
    message: str = Field(
        examples=["no worker serves pool lab"], description="Human-readable message."
    )
    hint: str = Field(
        examples=["pools with a live worker: default, gpu"], description="What to do."
    )
    pools_served: list[str] = Field(description="Pools with a live worker.")


class RunRead(RunSummary):
    """A run with its recipe and every attempt."""

    recipe: dict[str, Any] = Field(description="Task, data, model and stages of the run.")
    max_attempts: int = Field(description="Maximum number of attempts of the run.")
    green_start: GreenStartRead | None = Field(
        default=None,
        description="How the start was chosen by a forecast of carbon intensity, and what that "
        "saved; null if it was not.",
    )
    waiting: WaitingRead | None = Field(
        description="Reason why no live worker can take the queued run; null if one can."
    )
    created_by: uuid.UUID | None = Field(
        description="ID of the user who posted the run; null if unknown."
    )
    projection: ProjectionRead | None = Field(
        description="Projected totals while the run is running."
    )
    lineage: LineageRead | None = Field(
        description="Upstream runs of its model, with cumulative usage; null without any."
    )
    attempts: list[AttemptRead] = Field(description="Attempts of the run, in order.")


class RunAccepted(Wire):
    """Response to posting, canceling or resuming a run."""

    id: ObjectId
    status: StatusOfRun
    name: RunName
    project: ProjectName
    experiment: ExperimentName
    kind: str = Field(description="All stage kinds of the run, e.g. `train+measure`.")
    created_at: CreatedAt
    cancel_requested_at: datetime | None = Field(
        default=None,
        description="Time at which the run was asked to stop (UTC); null if it was not.",
    )
    url: str = Field(
        examples=["/v1/runs/6f0c0d0e-0000-4000-8000-000000000000"], description="Path of the run."
    )
    waiting: WaitingRead | None = Field(
        default=None,
        description="Reason why no live worker can take the queued run; null if one can.",
    )
    warnings: list[str] = Field(
        default=[],
        description="Budgets past a threshold or without a reservation for this run, and the "
        "reason if no live worker can take the run.",
    )


class RunCount(Wire):
    """Number of runs of all pages."""

    runs: int = Field(ge=0, description="Number of matching runs, up to 10,000.")
    at_least: bool = Field(description="Whether there are more: counting stops at 10,000.")


class RunPage(Wire):
    """A page of runs."""

    items: Items[RunSummary]
    next_cursor: str | None = Field(description="Pass as `cursor` for the next page.")
    previous_cursor: str | None = Field(
        default=None,
        description="Pass as `cursor` for the previous page; null on the first one.",
    )
    count: RunCount | None = Field(
        default=None, description="Number of runs of all pages; only with `count=true`."
    )
