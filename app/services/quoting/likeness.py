"""Which runs are alike: fingerprints of a recipe, its steps, and how much each has to do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pricetag.accounting.forecast.from_history import Work

NAMES = frozenset({"name", "seed"})
"""Options that change nothing but what a stage is called, and chance."""

AMOUNTS = frozenset(
    {"epochs", "max_steps", "batch_size", "gradient_accumulation", "recovery_epochs", "min_seconds"}
)
"""Options that say how much is done: figures are scaled by them."""

TUNING = frozenset(
    {
        *("learning_rate", "weight_decay", "warmup_ratio", "warmup_steps", "schedule"),
        *("max_grad_norm", "alpha", "temperature", "checkpoint_every_s", "checkpoint_after_s"),
        "timeout_s",
    }
)
"""Options that change what is learned, hardly what it takes."""

TRAINING = frozenset({"train", "distill", "prune"})
SCRIPTS = (".py", ".sh", ".r", ".jl", ".pl", ".rb", ".js", ".lua", ".ipynb")

Recipe = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One top-level stage as a worker carries it out; ``automatic`` evaluations follow training."""

    kind: str
    recipe_index: int
    automatic: bool
    work: Work
    told_whole: bool  # whether its progress counts the whole of it


@dataclass(frozen=True, slots=True)
class Likeness:
    """Fingerprints of a run, from the strictest to the loosest.

    Attributes:
        recipe_sha256: Equal: the same work, apart from names and seeds.
        shape_sha256: Equal: the same steps, however much each does; of a command its script.
        family_sha256: Equal: the same kinds of steps on the same model and data.
        data_sha256: Equal: the same task on the same data; None for a command.
        model_sha256: Equal: the same model; None for a command.
    """

    recipe_sha256: str
    shape_sha256: str
    family_sha256: str
    data_sha256: str | None
    model_sha256: str | None


def likeness(recipe: Recipe) -> Likeness:
    """The fingerprints of a recipe as it is stored, defaults filled in."""
    head = {name: recipe.get(name) for name in ("task", "data", "model")}
    stages = list(recipe["stages"])
    exact = _sha256([head, [_without(stage, NAMES) for stage in stages]])
    if stages[0]["kind"] == "command":
        script = [_script(stage) for stage in stages]
        loose = _sha256([head, script]) if all(script) else exact
        return Likeness(exact, loose, loose, None, None)
    dropped = NAMES | AMOUNTS | TUNING
    return Likeness(
        recipe_sha256=exact,
        shape_sha256=_sha256([head, [_without(stage, dropped) for stage in stages]]),
        family_sha256=_sha256([head, [step.kind for step in steps(recipe, 1)]]),
        data_sha256=_sha256([head["task"], head["data"]]),
        model_sha256=_sha256(head["model"]),
    )


def _without(stage: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    """What is not set counts as not there: a later version may have more options."""
    told = {name: value for name, value in stage.items() if value not in (None, {}, [])}
    return {name: value for name, value in told.items() if name not in names}


def _script(stage: Mapping[str, Any]) -> list[str] | None:
    """A program and the script it runs, without arguments; None where there is no script."""
    argv = stage["argv"]
    for place, argument in enumerate(argv[:8]):
        if argument == "-m" and place + 1 < len(argv):
            return list(argv[: place + 2])
        if argument.lower().endswith(SCRIPTS):
            return list(argv[: place + 1])
    return None


def _sha256(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def steps(recipe: Recipe, gpus: int) -> list[Step]:
    """The steps of a recipe in the order of their keys: each stage, and its evaluation."""
    return list(_steps(recipe, max(gpus, 1)))


def _steps(recipe: Recipe, devices: int) -> Iterator[Step]:
    splits = 1 + bool((recipe.get("data") or {}).get("test"))
    for index, stage in enumerate(recipe["stages"]):
        kind = str(stage["kind"])
        yield Step(kind, index, False, _work(stage, devices), _told_whole(stage))
        if kind in TRAINING and stage.get("evaluate", True):
            yield Step("evaluate", index, True, Work(), splits == 1)


def _work(stage: Mapping[str, Any], devices: int) -> Work:
    if stage["kind"] == "measure":
        return Work(seconds=_number(stage, "min_seconds"))
    if stage["kind"] == "prune":
        epochs, rounds = _number(stage, "recovery_epochs"), _number(stage, "rounds")
        return Work(epochs=None if epochs is None or rounds is None else epochs * rounds)
    if stage["kind"] not in TRAINING:
        return Work()
    if (steps := _number(stage, "max_steps")) is not None:
        per_step = examples_per_step(stage, devices)
        return Work(examples=None if per_step is None else steps * per_step)
    return Work(epochs=_number(stage, "epochs") or 1.0)


def examples_per_step(stage: Mapping[str, Any], devices: int) -> float | None:
    """Examples that one optimizer step takes, over all devices; None where it is not told."""
    batch, accumulated = _number(stage, "batch_size"), _number(stage, "gradient_accumulation")
    return None if batch is None or accumulated is None else batch * accumulated * max(devices, 1)


def _number(stage: Mapping[str, Any], name: str) -> float | None:
    """An option as a number; runs of before it existed do not have it."""
    value = stage.get(name)
    return None if value is None else float(value)


def _told_whole(stage: Mapping[str, Any]) -> bool:
    """Whether ``done`` of ``total`` counts the stage, not a round, a split or a part of it."""
    if stage["kind"] == "prune":
        return bool(stage.get("rounds", 1) == 1)
    if stage["kind"] == "evaluate":
        return len(stage.get("splits", ())) == 1
    return stage["kind"] in {"train", "distill", "command"}
