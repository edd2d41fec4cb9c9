"""The live stream: frames of power, and changes of runs, queue and budgets."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from app.schemas.common import RunStatus, Wire

Topic = Literal["power", "runs", "queue", "budgets"]
Watts = list[int | None]


class PowerOfComponent(BaseModel):
    """Samples of one component in a worker's message."""

    id: str = Field(max_length=200, description="ID of the component on its node.")
    kind: str = Field(max_length=50, description="Kind of the component.")
    name: str = Field(max_length=200, description="Product name.")
    limit_w: int | None = Field(description="Power limit, in W; null if unknown.")
    method: str | None = Field(
        default=None, max_length=50, description="How its power is obtained; null if not stated."
    )
    w: Watts = Field(max_length=100, description="Samples, in W; null where there is none.")


class PowerBatch(BaseModel):
    """A worker's message: the samples of one second, or of a part of its components."""

    node: str = Field(max_length=300, description="Name of the node.")
    t0: int = Field(ge=0, description="Start of the second, in ms since 1970.")
    dt_ms: int = Field(ge=10, le=60_000, description="Time between two samples, in ms.")
    components: list[PowerOfComponent] = Field(description="Components with their samples.")


class PowerFrame(Wire):
    """Samples of several devices with common times."""

    t0: int = Field(description="Time of the first sample, in ms since 1970 (clock of the node).")
    dt_ms: int = Field(description="Time between two samples, in ms.")
    ids: list[int] = Field(description="Devices, as the event `devices` lists them.")
    w: list[Watts] = Field(
        description="Samples of each device, in whole watts; null where there is none."
    )


class DeviceState(Wire):
    """A metered device of a node."""

    id: int = Field(description="Number of the device in frames of this stream.")
    node: str = Field(description="Name of the node.")
    component: str = Field(description="ID of the component on its node, e.g. `gpu:GPU-5f3c`.")
    kind: str = Field(description="Kind of the component: gpu, cpu or ram.")
    name: str = Field(description="Product name.")
    limit_w: int | None = Field(description="Power limit, in W; null if unknown.")
    method: str | None = Field(
        default=None,
        description="How its power is obtained: counter, integrated or modelled; null if the "
        "worker does not state it.",
    )
    reporting: bool = Field(description="Whether the device reports; if not, it has no samples.")


class LiveRun(Wire):
    """A run that is open, or has just changed."""

    id: uuid.UUID = Field(description="ID of the run.")
    name: str = Field(description="Name of the run.")
    project: str = Field(description="Name of the project.")
    experiment: str = Field(description="Name of the experiment.")
    user: str | None = Field(description="Name of the author; null if unknown.")
    status: RunStatus = Field(description="Status of the run.")
    status_reason: dict[str, Any] | None = Field(description="Reason for the status.")
    pool: str = Field(description="Pool of workers.")
    gpus: int = Field(description="Number of accelerators.")
    node: str | None = Field(description="Node of the open attempt; null without one.")
    components: list[str] = Field(description="Components that its meter reads on this node.")
    reserved_ratios: list[float] = Field(
        description="Share of each of these components that is reserved for the run."
    )
    progress: dict[str, Any] | None = Field(description="Latest progress; null before the first.")
    started_at: datetime | None = Field(description="Start of the run (UTC).")
    finished_at: datetime | None = Field(description="End of the run (UTC).")


class LiveBudget(Wire):
    """A budget in its present period."""

    id: uuid.UUID = Field(description="ID of the budget.")
    name: str = Field(description="Name of the budget.")
    scope: str = Field(description="lab, project, experiment or user.")
    metric: str = Field(description="Figure that the budget limits.")
    unit: str = Field(description="Unit of the amounts.")
    limit: float = Field(description="Amount of the budget.")
    spent: float = Field(description="Used by attempts that ended in the period.")
    running: float = Field(description="Used by running attempts so far.")
    reserved: float = Field(description="Expected by the quotes of open runs beyond their use.")
    left: float = Field(description="The limit minus these three, at least 0.")
    unknown_runs: int = Field(description="Number of runs whose use is unknown.")
    period_end: datetime | None = Field(description="End of the period (UTC); null without one.")
