"""Chains of runs on the wire: the origin of a run's model, and the usage of the chain."""

from __future__ import annotations

from pydantic import Field

from app.schemas.common import Quantity, Wire
from app.schemas.fields import ProjectName, RunId, RunName, StatusOfRun


class UpstreamModel(Wire):
    """A published model from which the run starts."""

    run_id: RunId
    stage: str = Field(description="Name of the stage that produced it.")
    kind: str = Field(description="Kind of that stage.")
    sha256: str = Field(description="SHA-256 of its weights, checked by the worker before use.")


class UpstreamRun(Wire):
    """One upstream run, with the totals of its latest price tag."""

    run_id: RunId
    name: RunName
    project: ProjectName
    status: StatusOfRun
    shared_by: int = Field(description="Number of runs that start directly from its models.")
    price_tag_version: int | None = Field(description="Version of the price tag.")
    it_energy_kwh: Quantity = Field(
        description="Energy charged by the meters, before the PUE, in kWh."
    )
    facility_energy_kwh: Quantity = Field(description="IT energy x PUE, in kWh.")
    co2e_kg: Quantity = Field(
        description="Location-based emissions of the facility energy, in kg CO2e."
    )
    cost: Quantity = Field(description="Cost of the run.")


class Cumulative(Wire):
    """Totals of the run and all upstream runs, each once, over all their attempts and stages.

    The ends of the intervals are sums too: exact for common errors, otherwise too wide.
    """

    it_energy_kwh: Quantity = Field(
        description="Energy charged by the meters, before the PUE, in kWh."
    )
    facility_energy_kwh: Quantity = Field(description="IT energy x PUE, in kWh.")
    co2e_kg: Quantity = Field(
        description="Location-based emissions of the facility energy, in kg CO2e."
    )
    cost: Quantity = Field(
        description="Cost; `unit` is the currency, and `reason` states what it includes."
    )


class LineageRead(Wire):
    """The origin of a run's model."""

    models: list[UpstreamModel] = Field(description="Published models from which the run starts.")
    upstream: list[UpstreamRun] = Field(
        description="All upstream runs that the caller may see, nearest first."
    )
    upstream_hidden: int = Field(
        description="Number of upstream runs in private projects that the caller may not see."
    )
    cumulative: Cumulative = Field(description="Totals of the run and its upstream runs.")
