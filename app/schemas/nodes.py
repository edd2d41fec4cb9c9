from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from pydantic import Field

from app.schemas.common import Wire
from app.schemas.fields import CreatedAt, Items, ObjectId, PoolName


class IdlePowerRead(Wire):
    """Mean idle power of a component in one of its states."""

    component: str = Field(
        description="ID of the component, e.g. the UUID of a GPU, `cpu` or `ram`."
    )
    state: str = Field(description="State of the component: driver, P-state, governor.")
    power_w: float = Field(description="Mean power (W).")
    power_std_w: float | None = Field(
        description="Standard deviation of the power (W); null if unknown."
    )
    duration_s: float = Field(description="Duration, in seconds.")
    source: str = Field(
        description="How the power was measured: `counter`, `integrated` or `modelled`."
    )
    measured_at: datetime = Field(description="Time of the measurement (UTC).")


class WorkerRead(Wire):
    """A live worker of the node, and which runs it takes."""

    pool: PoolName
    gpus: int = Field(description="Maximum number of accelerators of one run.")
    cpu_slots: int = Field(
        description="Number of CPU slots, each for one run without accelerators."
    )
    allows_commands: bool = Field(
        description="Whether the worker runs stages of the kind `command`."
    )
    last_seen_at: datetime = Field(description="Time of the latest sign of life (UTC).")
    late: bool = Field(
        description="Whether it has missed two reports, which come every 10 s: it may have died."
    )


class NodeRead(Wire):
    """A machine that runs or has run workers."""

    id: ObjectId
    name: str = Field(description="Name of the node.")
    pool: PoolName
    devices: list[Any] = Field(description="Devices: kind, product name and UUID or count.")
    capabilities: dict[str, Any] = Field(
        description="Meters of the node, and the runs that it accepts."
    )
    created_at: CreatedAt
    last_seen_at: datetime = Field(description="Time of the latest sign of life (UTC).")
    workers: list[WorkerRead] = Field(description="Workers that take runs at present.")
    running: list[uuid.UUID] = Field(description="Runs with an open attempt on this node.")
    running_hidden: int = Field(description="Number of other runs, which you may not see.")
    baselines: list[IdlePowerRead] = Field(
        description="Latest idle power of each component and state."
    )


class NodeList(Wire):
    """Nodes, by name."""

    items: Items[NodeRead]
