"""Data of a run on the wire: power, metrics, logs, artifacts, events."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from app.schemas.common import Wire
from app.schemas.fields import (
    AttemptNumber,
    CreatedAt,
    EventTime,
    Items,
    NextCursor,
    ObjectId,
    RunId,
)


class PowerSeries(Wire):
    """Power of one component in one attempt, as parallel arrays.

    Each point covers `[t_s, t_s + duration_s]` and has the energy metered in it, so that the
    points of a series add up to the same energy at any resolution. `mean_w` is that energy over
    the metered time; `min_w` and `max_w` are the extremes.
    """

    component: str = Field(
        examples=["gpu:GPU-6f0c"],
        description="ID of the component, e.g. the UUID of a GPU, `cpu` or `ram`.",
    )
    kind: str | None = Field(
        examples=["gpu"], description="Kind of component: `gpu`, `cpu` or `ram`."
    )
    name: str | None = Field(description="Product name of the device; null if unknown.")
    method: str | None = Field(
        default=None,
        examples=["counter"],
        description="How its energy was measured: `counter`, `integrated` or `modelled`; null if "
        "unknown.",
    )
    downsampled: bool = Field(description="Whether each point sums up several readings.")
    energy_kwh: float | None = Field(description="Energy over all points; null if unknown.")
    t_s: list[float] = Field(description="Seconds since the attempt's meter opened.")
    duration_s: list[float] = Field(description="Length of each point's interval, in seconds.")
    mean_w: list[float | None] = Field(
        description="Mean power in the interval of each point (W); null in gaps."
    )
    min_w: list[float | None] = Field(description="Lowest power in the interval of each point (W).")
    max_w: list[float | None] = Field(
        description="Highest power in the interval of each point (W)."
    )
    energy_kwh_points: list[float | None] = Field(description="Energy of each point.")


class AttemptPower(Wire):
    """Power of one attempt over time."""

    attempt: AttemptNumber
    status: str = Field(description="Status of the attempt.")
    started_at: datetime = Field(description="Time of the start (UTC).")
    series: list[PowerSeries] = Field(description="Power of each component.")


class RunPower(Wire):
    """Power of a run over time."""

    run_id: RunId
    attempts: list[AttemptPower] = Field(description="Attempts of the run, in order.")


class MetricRead(Wire):
    """A metric that a job reported."""

    attempt: AttemptNumber
    seq: int = Field(description="Number within the attempt, in the order of the reports.")
    at: EventTime
    stage: str | None = Field(
        description="Key of the stage that reported it; null outside the stages."
    )
    name: str = Field(description="Name of the metric, e.g. `accuracy` or `loss`.")
    value: float | None = Field(description="The value; null if unknown, with a `reason`.")
    unit: str | None = Field(description="Unit of the value; null without one.")
    split: str | None = Field(
        description="Data split: `train`, `validation` or `test`; null without one."
    )
    step: int | None = Field(description="Optimizer step of the report; null without one.")
    quality: bool = Field(description="Whether the metric is on the price tag.")
    of_class: str | None = Field(
        default=None, description="Class of an F1 score, or its averaging over classes."
    )
    reason: str | None = Field(default=None, description="Reason why the value is missing.")


class MetricPage(Wire):
    """A page of metrics, in the order of their reports."""

    items: Items[MetricRead]
    next_cursor: NextCursor


class LogRead(Wire):
    """A line of a run's log."""

    attempt: AttemptNumber
    seq: int = Field(description="Number within the attempt, in the order of the reports.")
    at: EventTime
    stream: str = Field(
        examples=["stdout"], description="Stream of the line: `stdout`, `stderr` or `pricetag`."
    )
    text: str = Field(description="The line, without its line feed.")


class LogPage(Wire):
    """Log lines, oldest first."""

    items: Items[LogRead]
    next_after: str | None = Field(
        description="Pass as `after` to continue; repeat while the run is running."
    )


class ArtifactRead(Wire):
    """A file that a stage published."""

    id: ObjectId
    attempt: AttemptNumber
    stage: str | None = Field(
        description="Key of the stage that reported it; null outside the stages."
    )
    name: str = Field(description="Name of the artifact.")
    path: str = Field(description="Path of the file within the run's artifacts.")
    size_bytes: int = Field(description="Size of the file, in bytes.")
    sha256: str = Field(description="SHA-256 of the file.")
    card: dict[str, Any] | None = Field(
        description="Model card: shape, size, hashes, scores of a published model; null for other "
        "files."
    )
    created_at: CreatedAt
    node: str = Field(description="Node on which the artifact was written.")
    place: Literal["folder", "store", "removed"] = Field(
        description="`folder`: its file is in the artifact folder of its node; `store`: in the "
        "artifact store; `removed`: its content was removed to save space."
    )
    place_reason: str | None = Field(
        description="Why the file cannot be moved to the artifact store, or when it was removed; "
        "null otherwise."
    )
    download_url: str = Field(description="Path of the file's content on this server.")


class ArtifactList(Wire):
    """Artifacts of a run."""

    items: Items[ArtifactRead]


class EventRead(Wire):
    """The `data` of one server-sent event; its `id` resumes the stream."""

    id: int
    run_id: uuid.UUID
    at: datetime
    kind: str = Field(examples=["status", "stage", "progress", "power", "waiting"])
    payload: dict[str, Any]
