"""Checks before a device is used: whether data, labels, model and task fit together."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from pricetag.recipes import FromRun, Recipe, traits_of
from workers.job import programs, roots, steps
from workers.job.context import ModelRef, StageContext
from workers.job.reporter import Reporter, SilentReporter
from workers.job.request import Job, JobError
from workers.job.sources import check_shapes, resolve_folder, resolve_model, student_folders
from workers.job.steps import Step
from workers.training.data.texts import load_split
from workers.training.tasks.registry import task_of


def check(
    job: Job,
    recipe: Recipe,
    reporter: Reporter,
    model: ModelRef | None,
    cache: dict[Any, Any],
    elsewhere: Collection[str] = (),
) -> None:
    """Read every split that a stage reads, and compare labels, model and tokenizer.

    The data are cached for the stages.

    Args:
        job: The run's job.
        recipe: The run's recipe.
        reporter: Reporter for log lines.
        model: The model that the run starts from.
        cache: Cache of the run.
        elsewhere: Splits, and fields of students, whose files are not on this machine.

    Raises:
        JobError: The error that a stage would otherwise raise hours later.
    """
    context = StageContext(job, recipe, reporter, 0, job.work_dir, model, cache)
    _check_splits(context, elsewhere)
    for field, place in _student_folders(recipe).items():
        if field not in elsewhere:
            resolve_folder(job, place, f"recipe.{field}")
    if model is not None and (model.folder is not None or model.hub is not None):
        from workers.training.model.models import check_fit  # torch: slow to load

        check_fit(context)
        _check_changes(context)
        _check_head(context, elsewhere)


def check_files(described: Recipe, data_roots: Sequence[Path]) -> list[str]:
    """Check a recipe against the files under some data roots; nothing is written.

    Missing files are not faults here: a worker may have them.

    Args:
        described: The recipe.
        data_roots: Folders to look under.

    Returns:
        The parts that were not checked, with the reasons.

    Raises:
        JobError: A file, its labels or the model cannot be used.
    """
    data, model_source = described.data, described.model
    missing = _missing(described, data_roots)
    skipped = [f"{field}: {message}" for field, message in missing.items()]
    splits = () if data is None else data.splits()
    elsewhere = {split for split in splits if _is_in(missing, described, split)}
    elsewhere |= _student_folders(described).keys() & missing.keys()
    if data is not None and data.hub is not None:
        skipped.insert(0, f"data: '{data.hub}' is read from the hub by the worker")
        elsewhere |= set(splits)
    if isinstance(model_source, FromRun):
        skipped.append(
            f"model: of run {model_source.run}; the server checks it when the run is submitted"
        )
    job = Job("check", 1, {}, list(data_roots), Path(), Path())
    model = None
    if isinstance(model_source, str) and "model" not in missing:
        model = resolve_model(job, described)
    check_shapes(job, model, described)
    check(job, described, SilentReporter(), model, {}, elsewhere)
    return skipped


def _missing(described: Recipe, data_roots: Sequence[Path]) -> dict[str, str]:
    """The fields of the recipe whose files are in none of the data roots, with a message."""
    data, model = described.data, described.model
    splits = {} if data is None or data.hub is not None else data.splits()
    places = {f"data.{split}": place for split, place in splits.items()}
    if data is not None and data.path is not None:
        places = {field: place for field, place in places.items() if field == "data.test"}
        places["data.path"] = data.path
    if isinstance(model, str):
        places["model"] = model
    places |= _student_folders(described)
    return {
        field: f"'{place}' is not under {roots.named(data_roots)}{_similar(place, data_roots)}"
        for field, place in places.items()
        if roots.find_optional(place, data_roots, f"recipe.{field}") is None
    }


def _is_in(missing: Collection[str], described: Recipe, split: str) -> bool:
    """Whether the file of a split is among the missing fields."""
    in_folder = described.data is not None and described.data.path is not None and split != "test"
    return ("data.path" if in_folder else f"data.{split}") in missing


def _student_folders(described: Recipe) -> dict[str, str]:
    """The folders of trained students that stages start from, by field."""
    return {
        f"stages.{index}.student.model": place
        for index, place in student_folders(described).items()
    }


def _similar(place: str, data_roots: Sequence[Path]) -> str:
    """A hint with similar names in the folder of a missing file."""
    folders = [folder for root in data_roots if (folder := (root / place).parent).is_dir()]
    names = sorted({file.name for folder in folders for file in folder.iterdir()})
    close = difflib.get_close_matches(Path(place).name, names, n=3)
    meant = ", ".join(f"'{Path(place).parent / name}'" for name in close)
    return f" (did you mean {meant}?)" if meant else ""


@dataclass(frozen=True, slots=True)
class Checked:
    """The parts of a recipe that were checked before it is submitted, and the others."""

    checked: list[str]
    skipped: list[str]


def reported(described: Recipe, data_roots: Sequence[Path]) -> Checked | str:
    """The checked parts, or the faults with their fields and the missing files as a text."""
    try:
        if described.runs_program:
            return Checked(*programs.check(described, data_roots))
        skipped = check_files(described, data_roots)
        missing = _missing(described, data_roots)
    except JobError as error:
        return f"{error.field or 'recipe'}: {error.message} ({error.code})"
    faults = [f"recipe.{field}: {message}" for field, message in missing.items()]
    return f"{'; '.join(faults)} (missing-file)" if faults else Checked(_read(described), skipped)


def _read(described: Recipe) -> list[str]:
    """The files that ``check_files`` read, and the results of its comparisons."""
    checked = []
    if described.data is not None and described.data.hub is None:
        splits = ", ".join(_splits_read(steps.plan(described), ()))
        if splits:
            checked.append(f"data ({splits}): columns, encoding and labels")
    if isinstance(described.model, str):
        checked.append("model: its files, its tokenizer, and whether it fits task and labels")
    return checked


def _check_changes(context: StageContext) -> None:
    """Reject a stage that would change the weights of a quantized model, before it is trained."""
    from workers.training.formats import registry

    folder = None if context.model is None else context.model.folder
    if folder is None or not registry.is_final(registry.read_notes(folder)):
        return
    for index, stage in enumerate(context.recipe.stages):
        traits = traits_of(stage)
        if traits.trains or traits.makes_model:
            raise JobError(
                "already-quantized",
                f"'{stage.stage_kind()}' cannot change the run's model: its weights are quantized "
                "and final; use the model that it was made from",
                f"recipe.stages.{index}.kind",
            )


def _check_head(context: StageContext, elsewhere: Collection[str]) -> None:
    """Check the head of a model that is used before it is trained, against the labels by then."""
    from workers.training.model.models import trained_classes

    plan = steps.plan(context.recipe)
    before = list(takewhile(lambda step: not traits_of(step.params).starts_from_scratch, plan))
    if not before:
        return
    names = trained_classes(context)
    for split in _splits_read(before, elsewhere):
        task_of(context).check_head(load_split(context, split), names)


def _splits_read(plan: Iterable[Step], elsewhere: Collection[str]) -> list[str]:
    read = dict.fromkeys(split for step in plan for split in steps.splits_read(step))
    return [split for split in read if split not in elsewhere]


def _check_splits(context: StageContext, elsewhere: Collection[str]) -> None:
    """Check that the splits which the run reads fit together."""
    recipe = context.recipe
    read = _splits_read(steps.plan(recipe), elsewhere)
    examples = {split: load_split(context, split) for split in read}
    trains = any(traits_of(stage).trains for stage in recipe.stages)
    task_of(context).check(examples, trains=trains)
