"""Parses plain data into a study, and checks the jobs of its trials; errors state the field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from pricetag.recipes.errors import FieldError, RecipeError
from pricetag.recipes.parse import UNKNOWN_FIELD, field_errors, nearest, parse_run_spec
from pricetag.recipes.registry import traits_of
from pricetag.recipes.run_spec import RunSpec
from pricetag.recipes.tasks import TASKS
from pricetag.studies.jobs import job_of, trained_stage
from pricetag.studies.names import label_of
from pricetag.studies.plan import Plan
from pricetag.studies.space import NoPlaceError, with_value
from pricetag.studies.spec import StudySpec
from pricetag.studies.strategies import (
    Ensemble,
    Grid,
    PowerSweep,
    Seeds,
    TrainLargeThenCompress,
    resource_of,
)

CHECKED_TRIALS = 20
"""Number of trials whose jobs are checked before a study starts."""

NO_STUDY = UUID(int=0)


OF_A_JOB = (
    "belongs to a job: it is not a study",
    "post a job with 'pricetag submit'; in a study, the job is the value of base",
)
"""The problem of a job instead of a study, and the hint."""


class StudyError(ValueError):
    """A description of a study is invalid.

    Attributes:
        errors: Every invalid field.
    """

    def __init__(self, errors: list[FieldError]) -> None:
        self.errors = errors
        super().__init__("; ".join(str(error) for error in errors))


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
    if "recipe" in obj and "base" not in obj:
        raise StudyError([FieldError("recipe", *OF_A_JOB)])
    try:
        spec = StudySpec.model_validate(_with_schedule(obj) if is_stored else obj)
    except ValidationError as error:
        raise StudyError([_of_study(fault) for fault in field_errors(error, obj)]) from error
    if not is_stored and (faults := list(dict.fromkeys(_faults(spec)))):
        raise StudyError(faults)
    return spec


def compression_plans(stored: Iterable[tuple[UUID, Mapping[str, Any]]]) -> dict[UUID, Plan]:
    """The plans of those stored studies whose trials compress the models of others.

    Args:
        stored: ID and description of each study.
    """
    return {
        study_id: parse_study(spec, is_stored=True).plan
        for study_id, spec in stored
        if spec.get("strategy", {}).get("kind") == "train_large_then_compress"
    }


def _with_schedule(stored: Mapping[str, Any]) -> Mapping[str, Any]:
    """A stored study; one from before the choice of a schedule has those of the rungs."""
    strategy: dict[str, Any] = dict(stored["strategy"])
    holder: dict[str, Any] = strategy.get("early_stop", strategy) or {}
    resource = holder.get("resource")
    if resource is None or "schedule" in resource:
        return stored
    changed = {**holder, "resource": {**resource, "schedule": "rung"}}
    strategy = {**strategy, "early_stop": changed} if "early_stop" in strategy else changed
    return {**stored, "strategy": strategy}


def _of_study(fault: FieldError) -> FieldError:
    """An unknown field of the study itself with the fields that it has, not those of a job."""
    if fault.message != UNKNOWN_FIELD or "." in fault.field:
        return fault
    return FieldError(fault.field, fault.message, nearest(fault.field, StudySpec.model_fields))


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
    faults = [
        *_of_metric(spec, base),
        *_of_resource(spec, base),
        *_of_ends(spec),
        *_of_seeds(spec),
        *_of_compression(spec, base),
        *_of_ensemble(spec, base),
        *_of_power(spec, base),
    ]
    yield from faults
    if faults:
        return
    for number in range(min(count, CHECKED_TRIALS)):
        yield from _of_trial(spec, number)


def _of_metric(spec: StudySpec, base: RunSpec) -> Iterator[FieldError]:
    """Whether the metric looks like a misspelled score; programs may report any metric."""
    scores = {metric for task in TASKS.values() for metric in task.metrics}
    name = spec.metric.name
    if base.recipe.runs_program or name in scores:
        return
    if close := get_close_matches(name, scores, n=1, cutoff=0.8):
        hint = f"did you mean '{close[0]}'?"
        yield FieldError("metric.name", f"'{name}' is not a score of any task", hint)


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
                for fault in _of_job(job, f"space.{place}.{option}", dimension.field):
                    is_unknown = fault.message.endswith(UNKNOWN_FIELD)
                    field = f"space.{place}.field" if is_unknown else fault.field
                    yield FieldError(field, fault.message, fault.hint)


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


def _of_compression(spec: StudySpec, base: RunSpec) -> Iterator[FieldError]:
    """Whether the base job trains a model, and measures it as its compressed ones will be."""
    if not isinstance(spec.strategy, TrainLargeThenCompress):
        return
    stages = spec.base["recipe"]["stages"]
    place = None if base.recipe.runs_program else trained_stage(stages)
    if place is None:
        yield FieldError("base.recipe.stages", "trains no model that could be compressed")
    elif not any(traits_of(stage).measures_model for stage in base.recipe.stages[place + 1 :]):
        yield FieldError(
            "base.recipe.stages",
            "must end with a measure stage: compressed models are compared by what it reports",
        )
    for number, value in enumerate(spec.strategy.sizes.values):
        try:
            job = with_value(spec.base, spec.strategy.sizes.field, value)
        except NoPlaceError as error:
            yield FieldError("strategy.sizes.field", str(error))
            return
        yield from _of_job(job, f"strategy.sizes.values.{number}", spec.strategy.sizes.field)


def _of_ensemble(spec: StudySpec, base: RunSpec) -> Iterator[FieldError]:
    """Whether the base job trains a classifier, and has a field for the seed."""
    if not isinstance(spec.strategy, Ensemble):
        return
    task = None if base.recipe.task is None else TASKS[base.recipe.task]
    if task is None or not task.has_classes:
        yield FieldError(
            "base.recipe.task", "must be classification: class probabilities are averaged"
        )
        return
    if trained_stage(spec.base["recipe"]["stages"]) is None:
        yield FieldError("base.recipe.stages", "trains no model that could be averaged")
        return
    try:
        job = with_value(spec.base, spec.strategy.seed_field, spec.strategy.first)
    except NoPlaceError as error:
        yield FieldError("strategy.seed_field", str(error))
        return
    faults = list(_of_job(job, "strategy.seed_field", spec.strategy.seed_field))
    yield from faults
    if not faults and not _is_seed(spec.strategy.seed_field, base):
        yield FieldError(
            "strategy.seed_field",
            "must be the seed of a stage, e.g. recipe.stages.0.seed: members differ in it alone",
        )


def _of_power(spec: StudySpec, base: RunSpec) -> Iterator[FieldError]:
    """Whether there is a power limit to vary."""
    if isinstance(spec.strategy, PowerSweep) and base.resources.gpus == 0:
        yield FieldError(
            "base.resources.gpus",
            "must be at least 1: power_sweep limits the power of accelerators",
        )


def _is_seed(path: str, base: RunSpec) -> bool:
    """Whether a path is that of an option that seeds the random numbers of a stage."""
    *above, place, option = path.split(".")
    if above != ["recipe", "stages"] or not place.isdecimal():
        return False
    stages = base.recipe.stages
    return int(place) < len(stages) and option in traits_of(stages[int(place)]).seeds


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
        shown = ", ".join(f"{label_of(path)}={value}" for path, value in values.items())
        fault = error.errors[0]
        yield FieldError(
            "space", f"trial {number} ({shown}) is not a valid job: {fault}", fault.hint
        )
