"""The model a run starts from, found or refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

from pricetag.recipes import FromRun, FromScratch, Recipe
from pricetag.recipes.plan import misfit
from pricetag.recipes.shapes import Shape
from workers.job import hub, published, roots
from workers.job.context import ModelRef
from workers.job.request import Job, JobError

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?")
FIELD = "recipe.model"


def resolve_model(job: Job, recipe: Recipe) -> ModelRef | None:
    """A folder under the data roots, else a hub name where the worker allows the hub.

    Raises:
        JobError: the model is nowhere, outside the roots, or in a format that is not read.
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
    elsewhere = _why_not_of_the_hub(recipe.model, job.allow_hub)
    if elsewhere is None:
        return ModelRef(hub=recipe.model)
    searched = roots.named(job.data_roots)
    message = f"'{recipe.model}' is not under the data roots ({searched}); {elsewhere}"
    raise JobError("missing-model", message, FIELD)


def _why_not_of_the_hub(name: str, allow_hub: bool) -> str | None:
    if not allow_hub:
        return "this worker does not use the hub"
    if not _HUB_NAME.fullmatch(name):
        return "nor can it be a name of the hub"
    if Path(name).exists():
        # transformers would take a folder of that name beside it for the hub's.
        return "nor asked of the hub: the worker has something else of that name beside it"
    return hub.why_absent(name)


def check_shapes(model: ModelRef | None, recipe: Recipe) -> None:
    """Reject a stage whose model cannot be made, before anything has been trained.

    Raises:
        JobError: ``bad-student``.
    """
    if model is None or model.folder is None:
        return  # checked when the run was posted, or the hub's
    try:
        told = json.loads((model.folder / "config.json").read_text(encoding="utf-8"))
    except ValueError:
        return  # loading it says what is wrong
    names = ("num_hidden_layers", "hidden_size", "num_attention_heads")
    sizes = [told.get(name) if isinstance(told, dict) else None for name in names]
    known = [size if isinstance(size, int) and size > 0 else None for size in sizes]
    found = misfit(Shape(*known), recipe.stages)
    if found is not None:
        raise JobError("bad-student", found.message, f"recipe.{found.field}")


def _check_folder(folder: Path, allowed: list[Path]) -> None:
    roots.check_links(folder, allowed, FIELD)
    if not (folder / "config.json").is_file():
        raise JobError("bad-model", f"the model folder '{folder.name}' has no config.json", FIELD)
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise JobError(
            "bad-model",
            f"the model folder '{folder.name}' has no .safetensors weights; "
            "pickled weights (.bin, .pt) are never loaded",
            FIELD,
        )
    for file in weights:
        _check_weights(file)


def _check_weights(file: Path) -> None:
    """A header tells how long its file must be: a broken copy is found before work begins."""
    # Not loaded before: a command needs none of it.
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="np"):
            return
    except (SafetensorError, OSError) as error:
        message = f"'{file.parent.name}/{file.name}' is damaged or incomplete: {error}"
        raise JobError("bad-model", message, FIELD) from error
