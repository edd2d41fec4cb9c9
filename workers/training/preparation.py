"""What can be known before a device works: whether data, labels, model and task fit together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pricetag.recipes import Recipe, traits_of
from workers.job import roots, steps
from workers.job.context import ModelRef, StageContext
from workers.job.reporter import Reporter, SilentReporter
from workers.job.request import Job, JobError
from workers.job.sources import check_shapes, resolve_model
from workers.training.data.labels import encode_labels, label_names
from workers.training.data.texts import load_split


def check(
    job: Job, recipe: Recipe, reporter: Reporter, model: ModelRef | None, cache: dict[Any, Any]
) -> None:
    """Read every split that a stage reads, and compare labels, model and tokenizer.

    What was read stays in ``cache`` for the stages.

    Raises:
        JobError: as the stage that meets the fault would raise it, hours earlier.
    """
    context = StageContext(job, recipe, reporter, 0, job.work_dir, model, cache)
    _check_splits(context)
    if model is not None and (model.folder is not None or model.hub is not None):
        from workers.training.model.models import check_fit  # torch: slow to load

        check_fit(context)


def check_files(described: Recipe, data_roots: Sequence[Path]) -> list[str]:
    """Check a recipe against the files under some data roots; nothing is written.

    Files that are not there are not faults: a worker may have them.

    Args:
        described: The recipe.
        data_roots: Folders to look under.

    Returns:
        What was not checked, and why.

    Raises:
        JobError: a file, its labels or the model cannot be used.
    """
    data, named = described.data, described.model
    skipped = []
    places = {} if data is None or data.hub is not None else data.splits()
    for split, place in places.items():
        if roots.find_optional(place, data_roots, f"recipe.data.{split}") is None:
            skipped.append(f"data.{split}: '{place}' is not under {roots.named(list(data_roots))}")
    job = Job("check", 1, {}, list(data_roots), Path(), Path())
    model = None
    if isinstance(named, str):
        if roots.find_optional(named, data_roots, "recipe.model") is None:
            skipped.append(f"model: '{named}' is not under {roots.named(list(data_roots))}")
        else:
            model = resolve_model(job, described)
            check_shapes(model, described)
    if data is not None and data.hub is not None:
        skipped.append(f"data: '{data.hub}' is read from the hub by the worker")
    elif not any(line.startswith("data.") for line in skipped):
        check(job, described, SilentReporter(), model, {})
    elif model is not None:
        from workers.training.model.models import check_fit

        check_fit(StageContext(job, described, SilentReporter(), 0, Path(), model, {}))
    return skipped


def reported(described: Recipe, data_roots: Sequence[Path]) -> list[str] | str:
    """As ``check_files``; a fault as the text that names its field."""
    try:
        return [] if described.runs_program else check_files(described, data_roots)
    except JobError as error:
        return f"{error.field or 'recipe'}: {error.message} ({error.code})"


def _check_splits(context: StageContext) -> None:
    """Every split that is read, with the labels that training will know."""
    recipe = context.recipe
    read = [split for step in steps.plan(recipe) for split in steps.splits_read(step)]
    examples = {split: load_split(context, split) for split in dict.fromkeys(read)}
    trains = any(traits_of(stage).trains for stage in recipe.stages)
    if recipe.task != "classification" or not trains or "train" not in examples:
        return
    names = label_names(examples["train"])
    for split in examples.values():
        encode_labels(split, names)
