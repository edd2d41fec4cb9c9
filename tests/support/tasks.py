"""Small runs of the tasks beside classification and regression."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.questions import question_files
from tests.support.texts import ARCHITECTURES, SHALLOW, text_files

TASKS = tuple(ARCHITECTURES)
"""``masked_lm``, ``causal_lm``, ``question_answering``."""

_ENDINGS = {"question_answering": "json"}


def task_files(root: Path, task: str) -> Path:
    """A folder to be a data root, with training and validation data for a task."""
    return question_files(root) if task in _ENDINGS else text_files(root)


def task_recipe(task: str, *stages: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A recipe over these data, from scratch."""
    ending = _ENDINGS.get(task, "txt")
    data = {"train": f"data/train.{ending}", "validation": f"data/dev.{ending}"}
    model = {"config": {**SHALLOW, "model_type": ARCHITECTURES[task]}}
    return {"task": task, "data": data, "model": model, "stages": list(stages), **changes}
