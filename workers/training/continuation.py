"""A part of a training: its end is published with the model, and another run continues from it.

The files are those of a checkpoint after a crash: optimizer, place in the schedule, random states,
place in the order of the examples. So the parts of a training give the weights of the whole, bit
by bit on the same kind of device.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pricetag.atomic_files import write_whole
from pricetag.recipes.methods.train import Train
from pricetag.recipes.upstream import TRAINING_STATE
from workers.job import ranks
from workers.job.context import StageContext
from workers.job.request import JobError
from workers.job.steps import link_or_copy
from workers.training.checkpoints import STATE, newest, save_tensors, step_of, trainable_state
from workers.training.data.tokens import TokenData
from workers.training.model.loaded import Loaded

PREFIX = TRAINING_STATE
ABOUT = "training.json"
WEIGHTS = "model.safetensors"
NOT_KEPT = (
    "the run of the model has not kept its training: it had no stop_at, or was a trial of a study, "
    "whose end deletes it"
)

FREE = frozenset(
    {
        *("start_at", "stop_at", "name", "evaluate", "mid_evaluation"),
        *("checkpoint_every_s", "checkpoint_after_s"),
    }
)
"""Options that may differ between the parts of a training."""


@dataclass(frozen=True)
class Part:
    """The steps of a training that a run does.

    Attributes:
        start: Steps that earlier runs have done.
        stop: Step at which this run ends before the training does; None for its end.
        per_epoch: Steps of an epoch.
    """

    start: int = 0
    stop: int | None = None
    per_epoch: int = 1


WHOLE = Part()


def part_of(params: Train, data: TokenData) -> Part:
    """The part that a stage's options describe, in optimizer steps."""
    unit = params.batch_size * ranks.world_size()
    batches = math.ceil(len(data) / unit)
    per_epoch = max(math.ceil(batches / params.gradient_accumulation), 1)
    scale = 1 if params.max_steps is not None else per_epoch
    total = _steps(params.length, scale)
    start = _steps(params.start_at or 0, scale)
    stop = None if params.stop_at is None else _steps(params.stop_at, scale)
    return Part(start, None if stop is None or stop >= total else max(stop, start), per_epoch)


def _steps(amount: float, scale: int) -> int:
    """Whole steps: those of the Trainer, which rounds up, without errors of multiplication."""
    return math.ceil(round(amount * scale, 6))


def begin(context: StageContext, loaded: Loaded, params: Train, data: TokenData) -> Part:
    """Make the end of the earlier run the first checkpoint of this one; the part that follows.

    Raises:
        JobError: ``cannot-continue`` if the earlier run has not kept its training, or it is
            another one than the stage's options describe.
    """
    part, folder = part_of(params, data), context.folder / "checkpoints"
    if part.start == 0 or newest(folder) is not None:
        return part
    source = None if context.model is None or context.index else context.model.folder
    if source is None or not (source / f"{PREFIX}{ABOUT}").is_file():
        raise _no(context, NOT_KEPT)
    stored = json.loads((source / f"{PREFIX}{ABOUT}").read_text(encoding="utf-8"))
    _require_same(context, stored, _about(params, data, part.start))
    checkpoint = folder / f"checkpoint-{part.start}"
    if ranks.rank() != 0:
        ranks.wait_for(checkpoint / STATE)
        return part
    checkpoint.mkdir(parents=True, exist_ok=True)
    save_tensors(trainable_state(loaded.model), checkpoint / WEIGHTS)
    kept = sorted(source.glob(f"{PREFIX}*"), key=lambda file: file.name == f"{PREFIX}{STATE}")
    for file in kept:  # the state last: with it the checkpoint is complete
        if file.name != f"{PREFIX}{ABOUT}":
            shutil.copy2(file, checkpoint / file.name.removeprefix(PREFIX))
    context.reporter.log(f"continuing the training of an earlier run after step {part.start}")
    return part


def keep(context: StageContext, params: Train, data: TokenData, part: Part) -> None:
    """Put the end of a part beside the stage's model, to be published with it."""
    checkpoint = newest(context.folder / "checkpoints")
    if part.stop is None or ranks.rank() != 0 or checkpoint is None:
        return
    for file in sorted(checkpoint.iterdir()):
        if file.name != WEIGHTS:
            (placed,) = link_or_copy([file], context.model_folder)
            placed.rename(placed.with_name(f"{PREFIX}{file.name}"))
    about = _about(params, data, step_of(checkpoint))
    write_whole(context.model_folder / f"{PREFIX}{ABOUT}", json.dumps(about))


def _about(params: Train, data: TokenData, step: int) -> dict[str, Any]:
    """What must be equal in the next part: step, options, data and number of processes."""
    lengths = hashlib.sha256(array("q", data.lengths).tobytes()).hexdigest()
    options = params.model_dump(mode="json", exclude=set(FREE))
    return {"step": step, "ranks": ranks.world_size(), "data": lengths, "options": options}


def _require_same(context: StageContext, stored: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    if stored["step"] != own["step"]:
        message = f"the earlier run ended after step {stored['step']}, start_at is {own['step']}"
        raise _no(context, message)
    if stored["ranks"] != own["ranks"]:
        message = f"it ran in {stored['ranks']} processes, this run has {own['ranks']}"
        raise _no(context, message)
    if stored["data"] != own["data"]:
        raise _no(context, "the training data have changed since")
    for name, value in own["options"].items():
        if stored["options"].get(name) != value:
            message = (
                f"{name} was {stored['options'].get(name)!r} in the earlier run, not {value!r}"
            )
            raise _no(context, message)


def _no(context: StageContext, why: str) -> JobError:
    return JobError("cannot-continue", why, f"{context.field}.start_at")
