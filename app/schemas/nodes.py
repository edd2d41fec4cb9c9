from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from pydantic import Field

from app.schemas.common import Wire


class IdlePowerRead(Wire):
    """Mean idle power of a component in one of its states."""

    component: str
    state: str = Field(description="State of the component: driver, P-state, governor.")
    power_w: float
    power_std_w: float | None
    duration_s: float
    source: str = Field(
        description="How the power was measured: `counter`, `integrated` or `modelled`."
    )
    measured_at: datetime


class WorkerRead(Wire):
    """A live worker of the node, and which runs it takes."""

    pool: str
    gpus: int = Field(description="Maximum number of accelerators of one run.")
    cpu_slots: int = Field(description="Number of CPU-only runs at the same time.")
    allows_commands: bool
    last_seen_at: datetime


class NodeRead(Wire):
    """A machine that runs or has run workers."""

    id: uuid.UUID
    name: str
    pool: str
    devices: list[Any]
    capabilities: dict[str, Any] = Field(description="What the node can meter and run.")
    created_at: datetime
    last_seen_at: datetime
    workers: list[WorkerRead] = Field(description="Workers that take runs now.")
    running: list[uuid.UUID] = Field(description="Runs with an open attempt on this node.")
    running_hidden: int = Field(description="Number of other runs, which you may not see.")
    baselines: list[IdlePowerRead] = Field(
        description="Latest idle power of each component and state."
    )


class NodeList(Wire):
    """Nodes, by name."""

    items: list[NodeRead]
