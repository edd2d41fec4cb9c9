"""Kinds on models of each format: what a stage needs there, and how such models are made."""

from __future__ import annotations

from typing import Any

from pricetag.recipes import REGISTRY
from pricetag.recipes.registry import kind_of
from pricetag.recipes.shapes import FORMAT_FILES
from pricetag.recipes.tasks import TASKS

Options = dict[str, Any]

KINDS = [kind for kind, entry in REGISTRY.items() if not entry.traits.runs_program]
FORMATS = list(FORMAT_FILES)

OWN_STUDENT: Options = {"student": {"model": "student"}}
"""A student from a folder, which a teacher of any format may teach."""

FURTHER: dict[str, list[Options]] = {
    "distill-pkd": [{**OWN_STUDENT, "start": "teacher"}, {"start": "pretrained"}],
    "prune-sparsebert": [{"start": "pretrained"}],
    "quantize-qbert": [{"bits": 4, "bit_budget": None}],
}
"""Options beside the example's with which a kind works on more formats."""

BRIEF: Options = {"max_steps": 2, "batch_size": 8, "evaluate": False}
TRAINED: Options = {"kind": "train", **BRIEF}
EXITS: Options = {**TRAINED, "method": "early_exit"}
PRUNED: Options = {"kind": "prune", "sparsity": 0.5, "evaluate": False}
SLICED: Options = {
    **{"kind": "prune", "method": "heads", "share": 0.25, "examples": 8, "evaluate": False},
}
FACTORED: Options = {"kind": "factorize", "method": "low_rank", "rank": 3, "evaluate": False}
SHARED: Options = {"kind": "share", "method": "albert", **BRIEF}

MAKERS: dict[str, list[Options]] = {
    "sliced": [TRAINED, SLICED],
    "low_rank": [TRAINED, FACTORED],
    "shared": [TRAINED, {**SHARED, "groups": 2, "embedding_size": None}],
    "factorized_embedding": [TRAINED, {**SHARED, "groups": None, "embedding_size": 8}],
    "exits": [EXITS],
    "deq": [TRAINED],
    "reformer": [TRAINED],
    "sparse": [TRAINED, PRUNED],
    "plain": [TRAINED],
    "sliced and low_rank and exits and sparse": [EXITS, SLICED, FACTORED, PRUNED],
    "shared and factorized_embedding": [TRAINED, {**SHARED, "groups": 2, "embedding_size": 8}],
}
"""Stages that make a model of a format, or of several, from random weights."""

SPARSE = "sparse"
"""No format, but weights of which many are zero: every kind works on such models."""

ARCHITECTURES: dict[str, Options] = {
    "deq": {"name": "deq", "evaluations": 3, "gradient_evaluations": 3},
    "reformer": {"name": "reformer", "rounds": 1},
}
"""As cheap as they are: their own tests are about fixed points and hashes."""


def options_of(kind: str) -> list[Options]:
    """The example of a kind, and the example with further options."""
    entry = REGISTRY[kind]
    further = FURTHER.get(kind, [OWN_STUDENT] if "student" in entry.params.model_fields else [])
    return [entry.example, *({**entry.example, **options} for options in further)]


def task_of(kind: str) -> str:
    """The task on which a kind is tried: classification if it works on it."""
    tasks = REGISTRY[kind].traits.tasks
    return next(task for task in ("classification", *TASKS) if task in tasks)


def formats_in(name: str) -> set[str]:
    """The formats of a model that ``MAKERS`` name."""
    return set(name.split(" and ")) - {"plain"}


def models_for(kind: str) -> list[str]:
    """Names of models that have all formats which a kind states, as few as possible."""
    stated = {SPARSE, *(REGISTRY[kind].traits.formats or ())}
    usable = [name for name in MAKERS if formats_in(name) <= stated]
    left = {name: formats_in(name) for name in usable if is_makeable(name, task_of(kind))}
    missing, models = set().union(*left.values()), []
    while missing:
        best = max(left, key=lambda name: len(left[name] & missing))
        models.append(best)
        missing -= left[best]
    return models


def is_makeable(name: str, task: str) -> bool:
    """Whether a model of a format can be made for a task."""
    if task == "causal_lm" and formats_in(name) & {"sliced", *ARCHITECTURES}:
        return False  # a GPT-2 has no heads that can be cut out, and these read both ways
    return all(task in REGISTRY[kind_of(stage)].traits.tasks for stage in MAKERS[name])
