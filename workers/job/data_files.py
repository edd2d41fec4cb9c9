"""The local files of a split: one that the job names, or those of GLUE's official layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from pricetag.recipes import Data
from pricetag.recipes.glue import GLUE, GlueTask, plain_name
from workers.job import roots
from workers.job.request import JobError

MSR_TRAIN = "msr_paraphrase_train.txt"
MSR_TEST = "msr_paraphrase_test.txt"
DEV_IDS = ("dev_ids.tsv", "mrpc_dev_ids.tsv")
"""Pairs of sentence numbers that are MRPC's development set within its training file."""


class SplitFile(NamedTuple):
    """A file: its path as a provenance shows it, and where it is."""

    place: str
    path: Path


def files_of(data: Data, split: str, place: str, data_roots: Sequence[Path]) -> list[SplitFile]:
    """The files that hold a split, the one with its rows first.

    Args:
        data: Options of the run's data.
        split: Name of the split.
        place: The file that the recipe names.
        data_roots: Folders that may be read.

    Raises:
        JobError: ``missing-file``; ``path-outside-roots``.
    """
    field = f"recipe.data.{split}"
    if data.glue is None or data.path is None or split == "test":
        return [SplitFile(place, roots.find(place, data_roots, field))]
    task = GLUE[data.glue]
    folder_place, folder = _folder(data.path, task, data_roots)
    present = {file.name for file in folder.iterdir()}
    names = _names(task, PurePosixPath(place).name, present)
    if names is None:
        there = ", ".join(sorted(present)[:20]) or "nothing"
        message = (
            f"'{folder_place}' has no {PurePosixPath(place).name} of {task.title}; it has: {there}"
        )
        raise JobError("missing-file", message, "recipe.data.path")
    places = [f"{folder_place}/{name}" for name in names]
    return [SplitFile(p, roots.find(p, data_roots, "recipe.data.path")) for p in places]


def _folder(path: str, task: GlueTask, data_roots: Sequence[Path]) -> tuple[str, Path]:
    """The task's folder: the one that is named, or the one with the task's name in it."""
    folder = roots.find(path, data_roots, "recipe.data.path")
    if not folder.is_dir():
        message = f"'{path}' is a file; name the folder with {task.title}'s files"
        raise JobError("missing-file", message, "recipe.data.path")
    place = path.rstrip("/") or path
    inner = sorted(file.name for file in folder.iterdir() if plain_name(file.name) == task.name)
    for name in sorted(inner, key=lambda name: name != task.title):
        subfolder = roots.find(f"{place}/{name}", data_roots, "recipe.data.path")
        if subfolder.is_dir():
            return f"{place}/{name}", subfolder
    return place, folder


def _names(task: GlueTask, wanted: str, present: set[str]) -> list[str] | None:
    """Names of a split's files among those that are present; None if there are none."""
    if wanted in present:
        return [wanted]
    if task.name != "mrpc":
        return None
    ids = [name for name in DEV_IDS if name in present]
    if MSR_TRAIN in present and (ids or wanted == "train.tsv"):
        return [MSR_TRAIN, *ids[:1]]
    return [MSR_TEST] if MSR_TEST in present and wanted == "dev.tsv" else None
