"""Data of a run on the wire: power, metrics, logs, artifacts, events."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from pydantic import Field

from app.schemas.common import Wire


class PowerSeries(Wire):
    """Power of one component in one attempt, as parallel arrays.

    Each point covers `[t_s, t_s + duration_s]` and has the energy metered in it, so that the
    points of a series add up to the same energy at any resolution. `mean_w` is that energy over
    the metered time; `min_w` and `max_w` are the extremes.
    """

    component: str = Field(examples=["gpu:GPU-6f0c"])
    kind: str | None = Field(examples=["gpu"])
    name: str | None
    downsampled: bool
    energy_kwh: float | None = Field(description="Energy over all points; null if unknown.")
    t_s: list[float] = Field(description="Seconds since the attempt's meter opened.")
    duration_s: list[float]
    mean_w: list[float | None]
    min_w: list[float | None]
    max_w: list[float | None]
    energy_kwh_points: list[float | None] = Field(description="Energy of each point.")


class AttemptPower(Wire):
    """Power of one attempt over time."""

    attempt: int
    status: str
    started_at: datetime
    series: list[PowerSeries]


class RunPower(Wire):
    """Power of a run over time."""

    run_id: uuid.UUID
    attempts: list[AttemptPower]


class MetricRead(Wire):
    """A metric that a job reported."""

    attempt: int
    seq: int
    at: datetime
    stage: str | None
    name: str
    value: float | None
    unit: str | None
    split: str | None
    step: int | None
    quality: bool = Field(description="Whether the metric is on the price tag.")
    of_class: str | None = Field(
        default=None, description="Class of an F1 score, or its averaging over classes."
    )
    reason: str | None = Field(default=None, description="Reason why the value is missing.")


class MetricPage(Wire):
    """A page of metrics, in the order of their reports."""

    items: list[MetricRead]
    next_cursor: str | None


class LogRead(Wire):
    """A line of a run's log."""

    attempt: int
    seq: int
    at: datetime
    stream: str = Field(examples=["stdout"])
    text: str


class LogPage(Wire):
    """Log lines, oldest first."""

    items: list[LogRead]
    next_after: str | None = Field(
        description="Pass as `after` to continue; repeat while the run is running."
    )


class ArtifactRead(Wire):
    """A file that a stage published."""

    id: uuid.UUID
    attempt: int
    stage: str | None
    name: str
    path: str
    size_bytes: int
    sha256: str
    card: dict[str, Any] | None
    created_at: datetime
    node: str = Field(description="Node on which the artifact was written.")
    download_url: str


class ArtifactList(Wire):
    """Artifacts of a run."""

    items: list[ArtifactRead]


class EventRead(Wire):
    """The `data` of one server-sent event; its `id` resumes the stream."""

    id: int
    run_id: uuid.UUID
    at: datetime
    kind: str = Field(examples=["status", "stage", "progress", "power", "waiting"])
    payload: dict[str, Any]
