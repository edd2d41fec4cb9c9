"""Finds the model that a run starts from."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

from pricetag.recipes import FromRun, FromScratch, Recipe
from pricetag.recipes.plan import misfit
from pricetag.recipes.shapes import FORMAT_FILES, Shape, described_shape, stored_shape
from pricetag.recipes.students import Student
from workers.job import hub, published, roots
from workers.job.context import ModelRef
from workers.job.request import Job, JobError

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?")
FIELD = "recipe.model"


def resolve_model(job: Job, recipe: Recipe) -> ModelRef | None:
    """The folder of the model under the data roots, else its hub name if the hub is allowed.

    Raises:
        JobError: the model does not exist, is outside the roots, or has an unsupported format.
    """
    if recipe.model is None:
        return None
    if isinstance(recipe.model, FromScratch):
        return ModelRef(scratch=recipe.model)
    if isinstance(recipe.model, FromRun):
        return ModelRef(folder=published.find(job))
    folder = roots.find_optional(recipe.model, job.data_roots, FIELD)
    if folder is not None:
        _check_folder(folder, job.data_roots)
        return ModelRef(folder=folder)
    absence = _why_absent_from_hub(recipe.model, job.allow_hub)
    if absence is None:
        return ModelRef(hub=recipe.model)
    searched = roots.named(job.data_roots)
    message = f"'{recipe.model}' is not under the data roots ({searched}); {absence}"
    raise JobError("missing-model", message, FIELD)


def resolve_folder(job: Job, place: str, field: str) -> ModelRef:
    """A model's folder under the data roots that an option of a stage names.

    Raises:
        JobError: It does not exist, is outside the roots, or has an unsupported format.
    """
    folder = roots.find(place, job.data_roots, field)
    _check_folder(folder, job.data_roots, field)
    return ModelRef(folder=folder)


def _why_absent_from_hub(name: str, allow_hub: bool) -> str | None:
    if not allow_hub:
        return "this worker does not use the hub"
    if not _HUB_NAME.fullmatch(name):
        return "it is not a valid hub name either"
    if Path(name).exists():
        # transformers would load a folder of that name in the current directory instead.
        return "the hub was not searched: the worker's current folder has an entry of that name"
    return hub.why_absent(name)


def check_shapes(job: Job, model: ModelRef | None, recipe: Recipe) -> None:
    """Reject a stage whose model cannot be built, before anything has been trained.

    Raises:
        JobError: ``bad-student``, or another code of the stage.
    """
    students = {
        index: shape
        for index, place in student_folders(recipe).items()
        if (folder := roots.find_optional(place, job.data_roots, _of_student(index))) is not None
        and (shape := _shape_in(folder)) is not None
    }
    shape = described_shape(recipe.model)
    if model is not None and model.folder is not None:
        in_folder = _shape_in(model.folder)
        if in_folder is None:
            return  # loading the model reports the error
        shape = in_folder
    problem = misfit(shape, recipe.stages, students)
    if problem is not None:
        raise JobError(problem.code, problem.message, f"recipe.{problem.field}")


def student_folders(recipe: Recipe) -> dict[int, str]:
    """The folders of trained students that stages start from, by the stage's index."""
    students = {index: getattr(stage, "student", None) for index, stage in enumerate(recipe.stages)}
    return {
        index: student.model
        for index, student in students.items()
        if isinstance(student, Student) and student.model is not None
    }


def _of_student(index: int) -> str:
    return f"recipe.stages.{index}.student.model"


def _shape_in(folder: Path) -> Shape | None:
    """The shape of a model in a folder; None if its configuration cannot be read."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (ValueError, OSError):
        return None
    formats = [name for name, file in FORMAT_FILES.items() if (folder / file).exists()]
    shape = replace(stored_shape(config).of_format(*formats), complete=True)
    if "sliced" not in formats:
        return shape
    try:
        layers = json.loads((folder / FORMAT_FILES["sliced"]).read_text(encoding="utf-8"))["layers"]
        sizes = {layer["neurons"] for layer in layers}
    except (ValueError, LookupError, TypeError):
        sizes = set()
    inner = sizes.pop() if len(sizes) == 1 else None
    return replace(shape, intermediate_size=inner if type(inner) is int else None)


def _check_folder(folder: Path, allowed: list[Path], field: str = FIELD) -> None:
    roots.check_links(folder, allowed, field)
    if not (folder / "config.json").is_file():
        raise JobError("bad-model", f"the model folder '{folder.name}' has no config.json", field)
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise JobError(
            "bad-model",
            f"the model folder '{folder.name}' has no .safetensors weights; "
            "pickled weights (.bin, .pt) are never loaded",
            field,
        )
    for file in weights:
        _check_weights(file, field)


def _check_weights(file: Path, field: str) -> None:
    """Compares the length in the header with the file, to find a broken copy before training."""
    # Imported here, since a command does not need it.
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="np"):
            return
    except (SafetensorError, OSError) as error:
        message = f"'{file.parent.name}/{file.name}' is damaged or incomplete: {error}"
        raise JobError("bad-model", message, field) from error
