"""A study as its author describes it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from pricetag.recipes.base import VISIBLE_ONLY, Params
from pricetag.studies.plan import Plan
from pricetag.studies.space import AnyDimension
from pricetag.studies.strategies import (
    Ensemble,
    PowerSweep,
    Seeds,
    Strategy,
    TrainLargeThenCompress,
    resource_of,
)

MOST_DIMENSIONS = 50


class Metric(Params):
    """The figure of quality by which trials are compared."""

    name: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), VISIBLE_ONLY
    ] = Field(description="Name of the metric, as runs report it, e.g. accuracy.")
    split: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="Data split. Default: validation, and metrics without a split.",
    )
    goal: Literal["maximize", "minimize"] = Field(
        "maximize", description="Whether a larger or a smaller value is better."
    )


class StudyBudget(Params):
    """What a study may use; any limit that is reached ends it. Started trials finish."""

    kwh: float | None = Field(None, gt=0, description="Facility energy, kWh.")
    co2e_kg: float | None = Field(None, gt=0, description="Emissions, kg CO2e.")
    cost: float | None = Field(None, gt=0, description="Cost, in `currency`.")
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] | None = Field(
        None, description="ISO 4217 code of the currency of `cost`."
    )
    flops: float | None = Field(
        None, gt=0, description="Floating-point operations of the dense network."
    )
    hours: float | None = Field(None, gt=0, description="Run time of all trials together, hours.")

    @model_validator(mode="after")
    def _stated(self) -> Self:
        limits = (self.kwh, self.co2e_kg, self.cost, self.flops, self.hours)
        if all(limit is None for limit in limits):
            raise PydanticCustomError(
                "budget", "states no limit: set kwh, co2e_kg, cost, flops or hours"
            )
        if (self.cost is None) != (self.currency is None):
            missing = "currency" if self.currency is None else "cost"
            raise PydanticCustomError(
                "budget", "is missing: cost and currency belong together", {"field": missing}
            )
        return self


class StudySpec(Params):
    """A search over runs of one job."""

    name: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=150), VISIBLE_ONLY
    ] = Field(description="Name of the study.")
    base: dict[str, Any] = Field(
        description="The job that varies: a run as posted to /v1/runs, valid by itself."
    )
    space: Annotated[list[AnyDimension], Field(max_length=MOST_DIMENSIONS)] = Field(
        default_factory=list, description="Fields that vary, each with its values."
    )
    strategy: Strategy = Field(description="How the study searches.")
    metric: Metric = Field(description="The metric by which trials are compared.")
    budget: StudyBudget | None = Field(
        None, description="What the study may use. Default: no limit of its own."
    )
    parallel: int = Field(
        8, ge=1, le=1000, description="Maximum number of trials queued or running at once."
    )
    seed: int = Field(0, ge=0, le=2**32 - 1, description="Seed of random values.")

    @property
    def plan(self) -> Plan:
        """The plan of the study."""
        return Plan(self.space, self.strategy, self.seed)

    @model_validator(mode="after")
    def _space_fits(self) -> Self:
        varies = isinstance(self.strategy, Seeds | TrainLargeThenCompress | Ensemble | PowerSweep)
        if not self.space and not varies:
            raise PydanticCustomError(
                "space", "is empty: list at least one field that varies", {"field": "space"}
            )
        if self.space and varies:
            raise PydanticCustomError(
                "space",
                "is not used by strategy {kind}, which varies fields of its own; remove it",
                {"field": "space", "kind": self.strategy.kind},
            )
        before: dict[str, int] = {}
        for place, dimension in enumerate(self.space):
            if dimension.field in before:
                raise PydanticCustomError(
                    "space",
                    "'{path}' is already the field of space.{first}: each field varies once",
                    {
                        "field": f"space.{place}.field",
                        "path": dimension.field,
                        "first": before[dimension.field],
                    },
                )
            if dimension.when is not None and dimension.when.field not in before:
                raise PydanticCustomError(
                    "space",
                    "'{path}' must be the field of a dimension listed before",
                    {"field": f"space.{place}.when.field", "path": dimension.when.field},
                )
            before[dimension.field] = place
        resource = resource_of(self.strategy)
        if resource is not None and resource.field in before:
            place = [dimension.field for dimension in self.space].index(resource.field)
            raise PydanticCustomError(
                "space",
                "'{path}' is the resource of the strategy and cannot vary as well",
                {"field": f"space.{place}.field", "path": resource.field},
            )
        return self
