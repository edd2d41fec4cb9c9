"""A study as its author describes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import Field, StringConstraints, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from pricetag.recipes.base import VISIBLE_ONLY, Params
from pricetag.recipes.errors import FieldError, RecipeError
from pricetag.recipes.parse import field_errors, parse_run_spec
from pricetag.recipes.registry import traits_of
from pricetag.recipes.run_spec import RunSpec
from pricetag.studies.jobs import job_of
from pricetag.studies.plan import Plan
from pricetag.studies.space import AnyDimension, NoPlaceError, with_value
from pricetag.studies.strategies import Grid, Seeds, Strategy, resource_of

MOST_DIMENSIONS = 50
CHECKED_TRIALS = 20
"""Number of trials whose jobs are checked before a study starts."""

NO_STUDY = UUID(int=0)


class StudyError(ValueError):
    """A description of a study is invalid.

    Attributes:
        errors: Every invalid field.
    """

    def __init__(self, errors: list[FieldError]) -> None:
        self.errors = errors
        super().__init__("; ".join(str(error) for error in errors))


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

    kwh: float | int | None = Field(None, gt=0, description="Facility energy, kWh.")
    co2e_kg: float | int | None = Field(None, gt=0, description="Emissions, kg CO2e.")
    cost: float | int | None = Field(None, gt=0, description="Cost, in `currency`.")
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] | None = Field(
        None, description="ISO 4217 code of the currency of `cost`."
    )
    flops: float | int | None = Field(
        None, gt=0, description="Floating-point operations of the dense network."
    )
    hours: float | int | None = Field(
        None, gt=0, description="Run time of all trials together, hours."
    )

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
        varies = isinstance(self.strategy, Seeds)
        if not self.space and not varies:
            raise PydanticCustomError(
                "space", "is empty: list at least one field that varies", {"field": "space"}
            )
        if self.space and varies:
            raise PydanticCustomError(
                "space",
                "is not used by strategy seeds, which varies seeds alone; remove it",
                {"field": "space"},
            )
        before: set[str] = set()
        for place, dimension in enumerate(self.space):
            if dimension.field in before:
                raise PydanticCustomError(
                    "space", "varies twice", {"field": f"space.{place}.field"}
                )
            if dimension.when is not None and dimension.when.field not in before:
                raise PydanticCustomError(
                    "space",
                    "must be the field of a dimension listed before",
                    {"field": f"space.{place}.when.field"},
                )
            before.add(dimension.field)
        resource = resource_of(self.strategy)
        if resource is not None and resource.field in before:
            place = [dimension.field for dimension in self.space].index(resource.field)
            raise PydanticCustomError(
                "space",
                "is the resource of the strategy and cannot vary as well",
                {"field": f"space.{place}.field"},
            )
        return self


def parse_study(obj: object, *, is_stored: bool = False) -> StudySpec:
    """Parse a study from plain data, and check the jobs of its trials.

    Args:
        obj: The description.
        is_stored: Whether the service has checked and stored it before.

    Raises:
        StudyError: with all faults.
    """
    if not isinstance(obj, Mapping):
        raise StudyError([FieldError("", "a study is an object of fields")])
    try:
        spec = StudySpec.model_validate(obj)
    except ValidationError as error:
        raise StudyError(list(field_errors(error, obj))) from error
    if not is_stored and (faults := list(dict.fromkeys(_faults(spec)))):
        raise StudyError(faults)
    return spec


def _faults(spec: StudySpec) -> Iterator[FieldError]:
    try:
        base = parse_run_spec(spec.base)
    except RecipeError as error:
        for fault in error.errors:
            field = f"base.{fault.field}" if fault.field else "base"
            yield FieldError(field, fault.message, fault.hint)
        return
    plan = spec.plan
    try:
        count = plan.trials
    except ValueError as error:
        is_long = isinstance(spec.strategy, Grid) and spec.strategy.points is not None
        yield FieldError("space" if is_long else "strategy.points", str(error))
        return
    faults = [*_of_resource(spec, base), *_of_ends(spec), *_of_seeds(spec)]
    yield from faults
    if faults:
        return
    for number in range(min(count, CHECKED_TRIALS)):
        yield from _of_trial(spec, number)


def _of_resource(spec: StudySpec, base: RunSpec) -> Iterator[FieldError]:
    """Whether trials of several rungs can continue what the rung before has trained."""
    rungs = max(len(bracket.rungs) for bracket in spec.plan.brackets)
    is_counted = any(bracket.rungs[0].resource is not None for bracket in spec.plan.brackets)
    resource = resource_of(spec.strategy)
    where = (
        "strategy.early_stop.resource" if isinstance(spec.strategy, Seeds) else "strategy.resource"
    )
    if not is_counted:
        return
    if base.recipe.runs_program:
        if resource is not None:
            yield FieldError(where, "is not used by commands, which read STUDY_RESOURCE; remove it")
        return
    if resource is None:
        yield FieldError(where, "is missing: {field: recipe.stages.0.epochs}")
        return
    parts = resource.field.split(".")
    is_amount = len(parts) == 4 and parts[:2] == ["recipe", "stages"] and parts[2].isdecimal()
    if not (is_amount and parts[3] in ("epochs", "max_steps")):
        yield FieldError(f"{where}.field", "must be the epochs or max_steps of a training stage")
        return
    place = int(parts[2])
    if place >= len(base.recipe.stages):
        yield FieldError(f"{where}.field", f"the base job has no stage {place}")
        return
    amounts = [rung.resource or 0 for bracket in spec.plan.brackets for rung in bracket.rungs]
    if parts[3] == "max_steps" and any((each * resource.unit) % 1 for each in amounts):
        yield FieldError(f"{where}.unit", "must make a whole number of steps of every rung")
        return
    stage = base.recipe.stages[place]
    if not traits_of(stage).continues and rungs > 1:
        yield FieldError(
            f"{where}.field",
            f"a stage of kind '{stage.stage_kind()}' cannot continue the training of an earlier "
            "run: use a train stage",
        )
    label = stage.name or stage.stage_kind()
    if (
        rungs > 1
        and [each.name or each.stage_kind() for each in base.recipe.stages].count(label) > 1
    ):
        yield FieldError(
            f"base.recipe.stages.{place}.name", "must differ from that of other stages"
        )


def _of_ends(spec: StudySpec) -> Iterator[FieldError]:
    """Values that the base job does not accept, each by itself."""
    for place, dimension in enumerate(spec.space):
        for option, value in dimension.ends():
            try:
                job = with_value(spec.base, dimension.field, value)
            except NoPlaceError as error:
                yield FieldError(f"space.{place}.field", str(error))
                break
            if dimension.when is None:
                yield from _of_job(job, f"space.{place}.{option}", dimension.field)


def _of_seeds(spec: StudySpec) -> Iterator[FieldError]:
    if not isinstance(spec.strategy, Seeds):
        return
    for option in ("initialization_field", "order_field"):
        path = getattr(spec.strategy, option)
        if path is None:
            continue
        try:
            job = with_value(spec.base, path, spec.strategy.first)
        except NoPlaceError as error:
            yield FieldError(f"strategy.{option}", str(error))
            continue
        yield from _of_job(job, f"strategy.{option}", path)


def _of_job(job: object, field: str, path: str) -> Iterator[FieldError]:
    """Faults of a job at the path of the varied field; others depend on further fields."""
    try:
        parse_run_spec(job)
    except RecipeError as error:
        for fault in error.errors:
            if fault.field == path or fault.field.startswith(f"{path}."):
                yield FieldError(field, f"{path} {fault.message}", fault.hint)


def _of_trial(spec: StudySpec, number: int) -> Iterator[FieldError]:
    values = spec.plan.values(number)
    try:
        parse_run_spec(job_of(spec, number, 0, values, study_id=NO_STUDY))
    except NoPlaceError as error:
        yield FieldError("space", str(error))
    except RecipeError as error:
        shown = ", ".join(f"{path.rpartition('.')[2]}={value}" for path, value in values.items())
        fault = error.errors[0]
        yield FieldError(
            "space", f"trial {number} ({shown}) is not a valid job: {fault}", fault.hint
        )
