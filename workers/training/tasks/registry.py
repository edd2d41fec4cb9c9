"""The task of a run by its name, which is that of a module in this package."""

from __future__ import annotations

import importlib
from functools import cache
from typing import cast

from workers.job.context import StageContext
from workers.training.tasks.base import Task


@cache
def task_named(name: str) -> Task:
    """The task that a recipe calls ``name``."""
    return cast(Task, importlib.import_module(f"workers.training.tasks.{name}").TASK)


def task_of(context: StageContext) -> Task:
    """The task of a stage's run."""
    assert context.recipe.task is not None
    return task_named(context.recipe.task)
