"""Chains of runs on the wire: the origin of a run's model, and the usage of the chain."""

from __future__ import annotations

import uuid

from pydantic import Field

from app.schemas.common import Quantity, RunStatus, Wire


class UpstreamModel(Wire):
    """A published model from which the run starts."""

    run_id: uuid.UUID
    stage: str = Field(description="Name of the stage that produced it.")
    kind: str = Field(description="Kind of that stage.")
    sha256: str = Field(description="SHA-256 of its weights, checked by the worker before use.")


class UpstreamRun(Wire):
    """One upstream run, with the totals of its latest price tag."""

    run_id: uuid.UUID
    name: str
    project: str
    status: RunStatus
    shared_by: int = Field(description="Number of runs that start directly from its models.")
    price_tag_version: int | None
    it_energy_kwh: Quantity
    facility_energy_kwh: Quantity
    co2e_kg: Quantity
    cost: Quantity


class Cumulative(Wire):
    """Totals of the run and all upstream runs, each once, over all their attempts and stages.

    The ends of the intervals are sums too: exact for common errors, otherwise too wide.
    """

    it_energy_kwh: Quantity
    facility_energy_kwh: Quantity
    co2e_kg: Quantity
    cost: Quantity


class LineageRead(Wire):
    """The origin of a run's model."""

    models: list[UpstreamModel]
    upstream: list[UpstreamRun] = Field(
        description="All upstream runs that the caller may see, nearest first."
    )
    upstream_hidden: int = Field(
        description="Number of upstream runs in private projects that the caller may not see."
    )
    cumulative: Cumulative
