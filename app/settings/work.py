"""How workers execute and meter runs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode


class WorkSettings(BaseSettings):
    """Times and limits of jobs, what they may run and see, the node and its site."""

    lease_s: Annotated[  # renewed once a second
        float,
        Field(
            ge=5,
            description="Seconds without contact to the database after which a worker's jobs "
            "may be started elsewhere. Stored with every run that a worker takes, so that "
            "workers may differ.",
        ),
    ] = 900.0
    heartbeat_timeout_s: Annotated[
        float,
        Field(
            gt=0, description="Seconds without a heartbeat after which a job is killed and retried."
        ),
    ] = 600.0
    stop_grace_s: Annotated[
        float,
        Field(ge=0, description="Seconds that a stopped job has to save its state."),
    ] = 30.0
    sweep_s: Annotated[
        float,
        Field(
            gt=0,
            description="Seconds between the server's checks for lost attempts and missing "
            "queue entries.",
        ),
    ] = 15.0
    node_name: Annotated[
        str | None, Field(description="Name of a worker's node. Default: the host name.")
    ] = None
    allow_commands_pools: Annotated[
        list[str],
        NoDecode,
        Field(
            description="Comma-separated pools whose workers run `command` stages (any program)."
        ),
    ] = []
    job_user: Annotated[
        str | None,
        Field(
            description="User that the programs of `command` stages run as; the worker must run "
            "as root, and then needs a user to run them: `root` accepts that they can administer "
            "the service. Default: the worker's user."
        ),
    ] = None
    job_env: Annotated[
        list[str],
        NoDecode,
        Field(
            description="Comma-separated environment variables of a worker that its jobs see, "
            "in addition to the [allow-list](../how-to/isolation.md)."
        ),
    ] = []
    max_metrics: Annotated[
        int,
        Field(
            ge=0,
            description="Maximum number of stored metrics per attempt; further ones are dropped "
            "and counted. Quality metrics, which appear on the price tag, count separately "
            "(1,000).",
        ),
    ] = 100_000
    max_artifacts: Annotated[
        int,
        Field(
            ge=0,
            description="Maximum number of registered artifacts per attempt; further files stay "
            "in their folder, unregistered and counted.",
        ),
    ] = 10_000

    site: Annotated[
        str,
        Field(
            min_length=1,
            max_length=100,
            description="Site of a worker: its factors price the worker's attempts.",
        ),
    ] = "default"
    gpu_share: Annotated[
        int,
        Field(ge=1, le=64, description="Number of jobs that may share one device at a time."),
    ] = 1
    host_cores_per_job: Annotated[
        float | None,
        Field(
            gt=0,
            description="CPU cores reserved per job, at most an equal part of the machine. "
            "Default: an equal part.",
        ),
    ] = None
    node_meter: Annotated[
        Literal["on", "off"],
        Field(
            description="Whether one worker per machine meters it all the time, so that idle "
            "energy and baselines are known."
        ),
    ] = "on"

    @field_validator("allow_commands_pools", "job_env", mode="before")
    @classmethod
    def _split_names(cls, value: Any) -> Any:
        if isinstance(value, str):
            return [name.strip() for name in value.split(",") if name.strip()]
        return value
