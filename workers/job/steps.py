"""A recipe as a list of steps, and the record of those already done."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pricetag.atomic_files import write_whole
from pricetag.recipes import REGISTRY, Recipe, traits_of
from pricetag.recipes import plan as recipe_plan
from pricetag.recipes.base import StageParams
from workers.job.data_files import files_of
from workers.job.request import Job, JobError

FORMAT = 2


@dataclass(frozen=True)
class Step:
    """One metered stage: a stage of the recipe, or the evaluation after a training stage."""

    number: int  # position among the steps; names the folder
    index: int  # position among the recipe's stages
    params: StageParams
    name: str  # shown to people; unique among the steps of a run
    automatic: bool = False
    evaluated: bool = False  # whether the next step is its evaluation

    @property
    def kind(self) -> str:
        """The stage's kind."""
        return self.params.stage_kind()

    @property
    def folder_name(self) -> str:
        """The step's folder in the work folder: ``stage-03``."""
        return f"stage-{self.number:02d}"


def plan(recipe: Recipe) -> list[Step]:
    """The recipe's steps, each with its own folder and name."""
    steps: list[Step] = []
    used_names: set[str] = set()
    before = ""
    for number, step in enumerate(recipe_plan.plan(recipe.stages, recipe.splits())):
        label = step.params.name or step.params.stage_kind()
        name = _unique_name(f"{label} {before}" if step.automatic else label, used_names)
        steps.append(Step(number, step.index, step.params, name, step.automatic, step.evaluated))
        before = name
    return steps


def _unique_name(label: str, used_names: set[str]) -> str:
    """``measure``, then ``measure 2``, since people look up rows of tables by name."""
    name = label
    count = 1
    while name in used_names:
        count += 1
        name = f"{label} {count}"
    used_names.add(name)
    return name


Files = dict[str, list[Any]]
"""Path, size and modification time of each split's file."""

_OF_SPLITS = {*("train", "validation", "validation_mismatched", "test"), "positive_label", "path"}
"""Options of data that only matter in the steps that read them."""

_LATER = ("glue",)
"""Options of data that, unset, are not part of fingerprints: those of earlier runs stay equal."""


def splits_read(step: Step) -> list[str]:
    """The splits that a step itself reads, without those of its evaluation, its own step."""
    needs = traits_of(step.params).splits(step.params)
    return [need.split for need in needs if need.option != "evaluate"]


OF_SPLIT = ("examples", "encoded", "windows")
"""First parts of the cache keys that a run keeps for a split; the second part is the split."""


def forget_splits(cache: dict[Any, Any], remaining: Iterable[Step]) -> None:
    """Drop the rows of splits that no remaining step reads.

    Args:
        cache: The run's cache.
        remaining: The steps still to run.
    """
    needed = {split for step in remaining for split in splits_read(step)}
    for key in list(cache):
        if isinstance(key, tuple) and key[0] in OF_SPLIT and key[1] not in needed:
            del cache[key]


def data_files(job: Job, recipe: Recipe) -> Files:
    """The current files of a run's splits; for a hub data set, the names only.

    Raises:
        JobError: a data file is missing or outside the data roots.
    """
    files: Files = {}
    for split, place in recipe.splits().items():
        files[split] = [place]
        if recipe.data is not None and recipe.data.hub is None:
            for file in files_of(recipe.data, split, place, job.data_roots):
                status = file.path.stat()
                files[split] += [status.st_size, status.st_mtime_ns]
    return files


def fingerprint(recipe: Recipe) -> str:
    """Hash of the settings that all stages depend on: task, model, and how the data are read."""
    unset = {name for name in _LATER if getattr(recipe.data, name, None) is None}
    head = recipe.model_dump(mode="json", exclude={"stages": True, "data": _OF_SPLITS | unset})
    return _digest([FORMAT, head])


def step_key(before: str, step: Step, recipe: Recipe, files: Files) -> str:
    """Key of a step's result: equal keys mean equal results.

    Only the splits that the step reads count: correcting a validation file does not repeat
    the training before it.

    Args:
        before: Key of the last step that made a model, or the recipe's fingerprint.
        step: The step.
        recipe: The run's recipe.
        files: The files of its splits.
    """
    splits = splits_read(step)
    read: dict[str, Any] = {split: files.get(split) for split in splits}
    if recipe.data is not None and set(splits) - {"train"}:
        read["positive_label"] = recipe.data.positive_label
    params = REGISTRY[step.kind].without_later(
        step.params.model_dump(mode="json", exclude={"name"})
    )
    return _digest([before, step.kind, params, read])


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def open_folder(folder: Path, key: str) -> None:
    """Create the step's folder; empty it first if its content has another key."""
    marker = folder / "step.json"
    if folder.exists() and (not marker.exists() or json.loads(marker.read_text()) != key):
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(marker, json.dumps(key))


def done(folder: Path, key: str) -> dict[str, Any] | None:
    """The note of an earlier attempt that finished the step, or None.

    A damaged note is ignored, and the step is repeated.
    """
    try:
        note = json.loads((folder / "done.json").read_text())
    except FileNotFoundError:
        return None
    except ValueError:
        return None
    if not isinstance(note, dict) or note.get("key") != key:
        return None
    if note.get("model") and not (folder / "model" / "config.json").exists():
        return None
    return note


def link_or_copy(files: Iterable[Path], target: Path) -> list[Path]:
    """Put files into ``target``: as hard links where possible, else as copies."""
    target.mkdir(parents=True, exist_ok=True)
    placed = []
    for file in files:
        place = target / file.name
        place.unlink(missing_ok=True)
        try:
            os.link(file, place)
        except OSError as error:
            if error.errno == 28:  # ENOSPC: a copy would not fit either
                raise JobError("disk-full", f"no space left for the artifact {place}") from error
            shutil.copy2(file, place)
        placed.append(place)
    return placed
