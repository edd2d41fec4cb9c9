"""Runs a recipe's stages in order, each on the model of the previous one."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from pricetag.atomic_files import write_whole
from pricetag.recipes import REGISTRY, Recipe, RecipeError, parse_recipe, traits_of
from pricetag.recipes.base import StageParams
from workers.job import disk, environment, inputs, ranks, steps
from workers.job.artifacts import publish
from workers.job.context import ModelRef, StageContext, StageResult
from workers.job.file_hashes import FileHashes
from workers.job.reporter import Reporter, StageHandle
from workers.job.request import COMMANDS_NOT_ALLOWED, Interrupted, Job, JobError
from workers.job.sources import check_shapes, resolve_model
from workers.job.steps import Step

RunStage = Callable[[StageParams, StageContext], StageResult]
Prepare = Callable[[StageParams, StageContext], None]


@dataclass
class _Pipeline:
    job: Job
    recipe: Recipe
    reporter: Reporter
    model: ModelRef | None
    cache: dict[Any, Any] = field(default_factory=dict)
    unpublished: tuple[Step, str] | None = None  # a trained model whose evaluation comes next
    lineage: list[dict[str, Any]] = field(default_factory=list)


def run(job: Job, reporter: Reporter) -> None:
    """Run a job's recipe.

    Stages that an earlier attempt finished are reported as ``reused`` and skipped.

    Raises:
        JobError: the job cannot run as described, or failed through its own fault.
        Interrupted: a stop was requested; the state to resume from is in the work folder.
    """
    with _as_job_errors():
        try:
            recipe = parse_recipe(job.recipe)
        except RecipeError as error:
            raise JobError(error.code, error.message, error.field) from error
        if recipe.runs_program and not job.allow_commands:
            raise JobError(
                "command-not-allowed",
                COMMANDS_NOT_ALLOWED,
                "recipe.stages.0.kind",
            )
        job.work_dir.mkdir(parents=True, exist_ok=True)
        if ranks.rank() == 0:
            environment.report(recipe, reporter)
        if not recipe.runs_program:
            from workers.training import quiet  # transformers: too slow to load for a command

            quiet.settle(job.allow_hub)
            if job.gpus:
                from workers.training.model import accelerators

                accelerators.require(job.gpus)
        files = steps.data_files(job, recipe)
        key = steps.fingerprint(recipe)
        model = resolve_model(job, recipe)
        check_shapes(job, model, recipe)
        if not recipe.runs_program and ranks.rank() == 0:
            hashes = FileHashes(job.hashes, lambda: _stop_if_asked(reporter))
            reporter.inputs(inputs.describe(job, recipe, model, hashes))
        line = _Pipeline(job, recipe, reporter, model)
        if not recipe.runs_program and ranks.rank() == 0:
            from workers.training import preparation

            preparation.check(job, recipe, reporter, model, line.cache)
        try:
            plan = steps.plan(recipe)
            for number, step in enumerate(plan):
                step_key = steps.step_key(key, step, recipe, files)
                _carry_out(line, step, step_key)
                steps.forget_splits(line.cache, plan[number + 1 :])
                if traits_of(step.params).makes_model:
                    key = step_key
        except Interrupted:
            # Rank 0 alone reports it: if another rank failed, torchrun would kill rank 0
            # while it writes the checkpoint.
            if ranks.rank() == 0:
                raise


def _stop_if_asked(reporter: Reporter) -> None:
    if (reason := reporter.stop_requested()) is not None:
        raise Interrupted(reason)


def _carry_out(line: _Pipeline, step: Step, key: str) -> None:
    folder = line.job.work_dir / step.folder_name
    note = steps.done(folder, key)
    if note is not None:
        with line.reporter.stage(step.kind, step.name, step.index) as handle:
            handle.reused()
        line.reporter.log(f"{step.name}: finished in an earlier attempt, not repeated")
    elif ranks.rank() == 0 or traits_of(step.params).all_ranks:
        note, handle = _run_step(line, step, key, folder)
    else:
        ranks.wait_for(folder / "done.json")
        note, handle = steps.done(folder, key) or {}, StageHandle(key="")
    _remember(line, step, folder, note, handle)


def _run_step(
    line: _Pipeline, step: Step, key: str, folder: Path
) -> tuple[dict[str, Any], StageHandle]:
    prepare, run_stage = _entry_point(step.kind)
    if ranks.rank() == 0:
        steps.open_folder(folder, key)
    else:
        ranks.wait_for(folder / "step.json")
    context = StageContext(
        job=line.job,
        recipe=line.recipe,
        reporter=line.reporter,
        index=step.index,
        folder=folder,
        model=line.model,
        cache=line.cache,
    )
    context.stop_if_asked()
    if prepare is not None:
        prepare(step.params, context)  # counts and checks that are charged to no stage
    _synchronize(line.job)
    with line.reporter.stage(step.kind, step.name, step.index) as handle:
        result = run_stage(step.params, context)
        _synchronize(line.job)
    note = {"key": key, "model": result.model_folder is not None, "facts": dict(result.facts)}
    if ranks.rank() != 0:
        ranks.wait_for(folder / "done.json")
        return note, handle
    _publish_before_done(line, step, result, handle)
    write_whole(folder / "done.json", json.dumps(note))
    return note, handle


def _publish_before_done(
    line: _Pipeline, step: Step, result: StageResult, handle: StageHandle
) -> None:
    """Publish a model once it has been evaluated, so that its card has the results."""
    if result.model_folder is not None:
        parents = [*line.lineage, _parent(step, result.facts)]
        if step.evaluated:
            return
        publish(line.job, line.reporter, step, parents, {}, handle.key)
    elif step.automatic and line.unpublished is not None:
        trained, key = line.unpublished
        quality = cast(dict[str, dict[str, float]], result.facts.get("quality", {}))
        publish(line.job, line.reporter, trained, line.lineage, quality, key)


def _remember(
    line: _Pipeline, step: Step, folder: Path, note: dict[str, Any], handle: StageHandle
) -> None:
    """Set the model that the next step starts from."""
    line.unpublished = None
    if note.get("model"):
        line.model = ModelRef(folder=folder / "model", produced=True)
        line.lineage.append(_parent(step, note.get("facts", {})))
        if step.evaluated:
            line.unpublished = (step, handle.key)


def _parent(step: Step, facts: Any) -> dict[str, Any]:
    return {
        "stage": step.index,
        "kind": step.kind,
        "params": step.params.model_dump(mode="json"),
        "facts": dict(facts),
    }


def _entry_point(kind: str) -> tuple[Prepare | None, RunStage]:
    module = importlib.import_module(REGISTRY[kind].module)
    return getattr(module, "prepare", None), module.run


def _synchronize(job: Job) -> None:
    """Wait for queued device work, so that it is charged to the stage that started it."""
    torch = sys.modules.get("torch")
    if job.device == "cuda" and torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()


@contextmanager
def _as_job_errors() -> Iterator[None]:
    """Turn running out of memory or disk space into a named job error."""
    try:
        yield
    except MemoryError as error:
        raise JobError("out-of-memory", "the worker's memory is full") from error
    except JobError:
        raise
    except Exception as error:
        if disk.is_full_error(error):
            raise JobError("disk-full", f"no space left on the worker: {error}") from error
        if not isinstance(error, RuntimeError):
            raise
        # torch is not imported here, since a command does not need it.
        text = str(error)
        if type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in text:
            raise JobError(
                "out-of-memory",
                f"the device ran out of memory; use a smaller batch_size: {text[:500]}",
            ) from error
        raise
