"""The job of a trial in a rung: the base job with its values, continuing the rung before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from pricetag.recipes.registry import REGISTRY, kind_of, runs_program
from pricetag.studies.ensemble import SPLIT
from pricetag.studies.plan import BITS, SPARSITY
from pricetag.studies.space import Values, with_value, with_values
from pricetag.studies.spec import StudySpec
from pricetag.studies.strategies import (
    FULL_BITS,
    Ensemble,
    TrainLargeThenCompress,
    resource_of,
)

MOST_TAGS = 50
KEEPS = "keep_probabilities"
"""Option of the stages that can keep class probabilities."""


def study_tag(study_id: UUID) -> str:
    """The tag of all runs of a study."""
    return f"study:{study_id}"


def trained_before(spec: StudySpec, trial: int, rung: int) -> float:
    """The resource that a trial had used before a rung."""
    rungs = spec.plan.bracket_of(trial).rungs
    return 0.0 if rung == 0 else rungs[rung - 1].resource or 0.0


def job_of(
    spec: StudySpec,
    trial: int,
    rung: int,
    values: Values,
    *,
    study_id: UUID,
    previous_run: UUID | None = None,
) -> dict[str, Any]:
    """The run to post for a rung of a trial.

    A training stage trains only what the rung adds: it continues the training of the rung before,
    or begins one from its model (``schedule`` of the resource); what precedes it in the recipe is
    not repeated. Commands get ``STUDY_*`` in their
    environment and continue from what they have stored themselves.

    Args:
        spec: The study.
        trial: Number of the trial.
        rung: Number of the rung.
        values: Values of the trial.
        study_id: The study, for the tag.
        previous_run: The run of the rung before, or of the trial whose model is compressed; None
            in the first rung.
    """
    fields = {path: value for path, value in values.items() if path not in (SPARSITY, BITS)}
    job = dict(with_values(spec.base, fields))
    bracket = spec.plan.bracket_of(trial)
    label = f" rung {rung}" if len(bracket.rungs) > 1 else ""
    job["name"] = f"{spec.name} trial {trial}{label}"
    job["tags"] = [*list(job.get("tags") or [])[: MOST_TAGS - 1], study_tag(study_id)]
    if isinstance(spec.strategy, TrainLargeThenCompress):
        return job if SPARSITY not in values else _compressed(job, spec, values, previous_run)
    if isinstance(spec.strategy, Ensemble):
        return _with_probabilities(job)
    target, before = bracket.rungs[rung].resource, trained_before(spec, trial, rung)
    recipe = job.get("recipe")
    if isinstance(recipe, Mapping) and runs_program(recipe):
        return _with_variables(job, trial, rung, target, before)
    resource = resource_of(spec.strategy)
    if resource is None or target is None:
        return job
    stage, _, option = resource.field.rpartition(".")

    def amount(units: float) -> float | int:
        return round(units * resource.unit) if option == "max_steps" else units * resource.unit

    full = bracket.rungs[-1].resource or target
    if resource.schedule == "rung":
        job = with_value(job, resource.field, amount(target - before))
    else:
        job = with_value(job, resource.field, amount(full))
        if target < full:
            job = with_value(job, f"{stage}.stop_at", amount(target))
        if before:
            job = with_value(job, f"{stage}.start_at", amount(before))
    return job if previous_run is None else _continued(job, resource.field, previous_run)


def trained_stage(stages: Sequence[Mapping[str, Any]]) -> int | None:
    """The place of the last stage that makes a model; None without one."""
    places = [n for n, stage in enumerate(stages) if REGISTRY[kind_of(stage)].traits.makes_model]
    return places[-1] if places else None


def _compressed(
    job: dict[str, Any], spec: StudySpec, values: Values, previous_run: UUID | None
) -> dict[str, Any]:
    """A job that prunes and quantizes the model of a trained size, and measures it as that was."""
    assert isinstance(spec.strategy, TrainLargeThenCompress)
    recipe = dict(job["recipe"])
    place = trained_stage(recipe["stages"])
    assert place is not None
    trained, rest = recipe["stages"][place], recipe["stages"][place + 1 :]
    stages: list[dict[str, Any]] = []
    if values[SPARSITY]:
        stages.append({"kind": "prune", **spec.strategy.prune, "sparsity": values[SPARSITY]})
    if values[BITS] != FULL_BITS:
        stages.append({"kind": "quantize", **spec.strategy.quantize, "bits": values[BITS]})
    model = {
        "run": str(previous_run or UUID(int=0)),
        "stage": trained.get("name") or kind_of(trained),
    }
    return {**job, "recipe": {**recipe, "model": model, "stages": [*stages, *rest]}}


def _with_probabilities(job: dict[str, Any]) -> dict[str, Any]:
    """A job whose last evaluation keeps the class probabilities; it gets one if it has none."""
    recipe = dict(job["recipe"])
    stages = [dict(stage) for stage in recipe["stages"]]
    place = evaluating_stage(stages)
    if place is None:
        stages.append({"kind": "evaluate"})
        place = -1
    stages[place][KEEPS] = True
    return {**job, "recipe": {**recipe, "stages": stages}}


def evaluating_stage(stages: Sequence[Mapping[str, Any]]) -> int | None:
    """The place of the last evaluation on validation of the job's final model; None without."""
    trained = trained_stage(stages)
    places = [
        n
        for n, stage in enumerate(stages)
        if keeps_probabilities(kind_of(stage)) and SPLIT in stage.get("splits", [SPLIT])
    ]
    return places[-1] if places and places[-1] > (-1 if trained is None else trained) else None


def keeps_probabilities(kind: str) -> bool:
    """Whether stages of a kind evaluate a model and can keep its class probabilities."""
    return kind in REGISTRY and KEEPS in REGISTRY[kind].params.model_fields


def _continued(job: dict[str, Any], field: str, previous_run: UUID) -> dict[str, Any]:
    recipe = dict(job["recipe"])
    stages = recipe["stages"][int(field.split(".")[2]) :]
    name = stages[0].get("name") or kind_of(stages[0])
    recipe |= {"stages": stages, "model": {"run": str(previous_run), "stage": name}}
    return {**job, "recipe": recipe}


def _with_variables(
    job: dict[str, Any], trial: int, rung: int, target: float | None, before: float
) -> dict[str, Any]:
    """A job of commands with the place of their trial in their environment."""
    variables = {"STUDY_TRIAL": str(trial), "STUDY_RUNG": str(rung)}
    if target is not None:
        variables |= {"STUDY_RESOURCE": f"{target:g}", "STUDY_RESOURCE_BEFORE": f"{before:g}"}
    recipe = dict(job["recipe"])
    recipe["stages"] = [
        {**stage, "env": {**(stage.get("env") or {}), **variables}} for stage in recipe["stages"]
    ]
    return {**job, "recipe": recipe}
