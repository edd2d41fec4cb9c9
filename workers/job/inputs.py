"""The files that a job reads: name, size and SHA-256 of each, for its provenance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pricetag.recipes import FromScratch, Recipe
from pricetag.recipes.base import StageParams
from pricetag.recipes.students import Student
from workers.job import roots, steps
from workers.job.context import ModelRef
from workers.job.data_files import files_of
from workers.job.file_hashes import FileHashes, Hashed
from workers.job.request import Job

READ_SUFFIXES = frozenset({".json", ".safetensors", ".txt", ".model", ".jinja"})
"""Files of a model's folder that are loaded; others (``.bin``, ``.md``) are never read."""

MAX_FILES = 300
"""Number of files that a job reports; their event has to stay below 256 kB."""

OF_HUB = "of the Hugging Face hub, not a local file"


def describe(
    job: Job, recipe: Recipe, model: ModelRef | None, hashes: FileHashes
) -> list[dict[str, Any]]:
    """The data and model files that the recipe's steps read.

    Args:
        job: The job.
        recipe: Its recipe.
        model: Where its model was found.
        hashes: Hashes the files.

    Returns:
        Dictionaries of role (``data.train``, ``model``), path as in the recipe, size_bytes,
        sha256 and reason (why these are unknown; None if they are known).
    """
    files = [*_data(job, recipe), *_model(job, recipe, model), *_students(job, recipe)]
    described = [
        {
            "role": role,
            "path": path,
            **asdict(Hashed(None, None, OF_HUB) if file is None else hashes.of(file)),
        }
        for role, path, file in files[:MAX_FILES]
    ]
    hashes.keep()
    if (further := len(files) - MAX_FILES) > 0:
        reason = f"{further} more files are not listed"
        last = asdict(Hashed(None, None, reason))
        described.append({"role": files[-1][0], "path": "...", **last})
    return described


_File = tuple[str, str, Path | None]
"""Role, path as in the recipe, and the local file; None if it belongs to the hub."""


def _data(job: Job, recipe: Recipe) -> Iterator[_File]:
    read = {split for step in steps.plan(recipe) for split in steps.splits_read(step)}
    for split, place in recipe.splits().items():
        role = f"data.{split}"
        if split not in read or recipe.data is None:
            continue
        if recipe.data.hub is not None:
            yield role, f"{recipe.data.hub}: {place}", None
        else:
            for file in files_of(recipe.data, split, place, job.data_roots):
                yield role, *file


def _model(job: Job, recipe: Recipe, model: ModelRef | None) -> Iterator[_File]:
    """A model of an earlier run is not listed: the lineage has its hash."""
    if isinstance(recipe.model, FromScratch):
        if (place := recipe.model.tokenizer) is not None:
            yield from _folder(job, "model.tokenizer", place)
    elif isinstance(recipe.model, str) and model is not None:
        if model.hub is not None:
            yield "model", recipe.model, None
        else:
            yield from _folder(job, "model", recipe.model)


def _students(job: Job, recipe: Recipe) -> Iterator[_File]:
    for index, stage in enumerate(recipe.stages):
        for option, student in _options(stage):
            if isinstance(student, Student) and student.model is not None:
                yield from _folder(job, f"stages.{index}.{option}.model", student.model)


def _options(stage: StageParams) -> Iterator[tuple[str, Any]]:
    for option in type(stage).model_fields:
        yield option, getattr(stage, option)


def _folder(job: Job, role: str, place: str) -> Iterator[_File]:
    folder = roots.find_optional(place, job.data_roots, f"recipe.{role}")
    if folder is None or not folder.is_dir():
        return  # loading it reports the error
    for file in sorted(folder.iterdir()):
        if file.suffix in READ_SUFFIXES and file.is_file():
            yield role, f"{place.rstrip('/')}/{file.name}", file
