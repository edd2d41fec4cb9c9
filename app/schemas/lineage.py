"""Chains of runs on the wire: where a run's model comes from, and what all of it has used."""

from __future__ import annotations

import uuid

from pydantic import Field

from app.schemas.common import Quantity, RunStatus, Wire


class UpstreamModel(Wire):
    """A published model that the run takes."""

    run_id: uuid.UUID
    stage: str = Field(description="Name of the stage that made it.")
    kind: str = Field(description="Kind of that stage.")
    sha256: str = Field(description="SHA-256 of its weights, checked by the worker before use.")


class UpstreamRun(Wire):
    """One run upstream, with the totals of its newest price tag."""

    run_id: uuid.UUID
    name: str
    project: str
    status: RunStatus
    shared_by: int = Field(description="Number of runs that take a model from it directly.")
    price_tag_version: int | None
    it_energy_kwh: Quantity
    facility_energy_kwh: Quantity
    co2e_kg: Quantity
    cost: Quantity


class Cumulative(Wire):
    """The run and every run upstream, each once, over all their attempts and stages.

    The ends of the intervals are sums too: right if all errors are the same, else too wide.
    """

    it_energy_kwh: Quantity
    facility_energy_kwh: Quantity
    co2e_kg: Quantity
    cost: Quantity


class LineageRead(Wire):
    """Where a run's model comes from."""

    models: list[UpstreamModel]
    upstream: list[UpstreamRun] = Field(
        description="Every run upstream that the caller may see, nearest first."
    )
    upstream_hidden: int = Field(
        description="Number of runs upstream in private projects that the caller may not see."
    )
    cumulative: Cumulative
