"""The state of the service for its administrators, on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from app.schemas.common import Wire
from app.schemas.fields import PoolName

HealthState = Literal["ok", "warning", "failed"]


class HealthCheck(Wire):
    """One check of the service."""

    name: str = Field(description="What was checked, e.g. `workers`.", examples=["disk"])
    state: HealthState = Field(
        description="`ok`; `warning`: somebody should look at it; `failed`: something does not "
        "work."
    )
    message: str = Field(
        description="The result in words, and what to do.",
        examples=["2 live workers on 1 node"],
    )


class Disk(Wire):
    """Space on the disk of a folder."""

    folder: str = Field(description="Path of the folder on the server's machine.")
    free_bytes: int = Field(description="Free space, in bytes.")
    total_bytes: int = Field(description="Size of the disk, in bytes.")


class DatabaseFacts(Wire):
    """The database as it is now."""

    version: str = Field(description="Version of PostgreSQL.")
    revision: str | None = Field(description="Migration of the schema; null before the first.")
    head: str = Field(description="Migration that this version of the server needs.")
    size_bytes: int = Field(description="Size of the database, in bytes.")
    connections: int = Field(description="Open connections to the database.")
    max_connections: int = Field(
        description="Maximum number of connections that the database accepts."
    )


class OpenRuns(Wire):
    """Runs of a pool that have not ended."""

    pool: PoolName
    queued: int = Field(description="Number of queued runs.")
    running: int = Field(description="Number of running runs.")


class MeterHealth(Wire):
    """A metered device of a node, as the live stream knows it."""

    node: str = Field(description="Name of the node.")
    component: str = Field(description="ID of the component on its node, e.g. `gpu:GPU-5f3c`.")
    name: str = Field(description="Product name.")
    reporting: bool = Field(description="Whether its samples arrive now.")


class Versions(Wire):
    """Versions of the server's components."""

    pricetag: str = Field(description="Version of Pricetag.")
    accounting: str = Field(description="Version of the accounting of new price tags.")
    python: str = Field(description="Version of Python.")
    platform: str = Field(description="Operating system and processor.")


class LabHealth(Wire):
    """The state of the service."""

    at: datetime = Field(description="Time of the checks (UTC).")
    state: HealthState = Field(description="The worst state of all checks.")
    checks: list[HealthCheck] = Field(description="All checks.")
    database: DatabaseFacts = Field(description="The database.")
    disks: list[Disk] = Field(description="Disks of the server's folders.")
    workers: int = Field(description="Number of live workers.")
    worker_nodes: int = Field(description="Number of nodes with a live worker.")
    queue: list[OpenRuns] = Field(description="Runs that have not ended, by pool.")
    meters: list[MeterHealth] = Field(
        description="Devices that reported their power to this server process in the last hour."
    )
    versions: Versions = Field(description="Versions.")
    alarms: list[str] = Field(description="Problems with the stored figures.")
    notices: list[str] = Field(
        description="Work in the background that makes some requests slow until it is done."
    )
