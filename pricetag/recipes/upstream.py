"""A published model of an earlier run."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import Field

from pricetag.recipes.base import Params, StoredName


class FromRun(Params):
    """The published model of a stage of an earlier run, identified by its SHA-256.

    The server selects it when the run is posted; the worker verifies the files before use.
    """

    run: Annotated[UUID, Field(strict=False)] = Field(description="ID of the earlier run.")
    stage: StoredName | None = Field(
        None,
        description="Name of the stage that produced the model, as shown by the run. "
        "Default: the only published model of the run.",
    )


TRAINING_STATE = "training-"
"""Beginning of the names of the files with which a run continues the training of another."""


def is_training_state(path: str) -> bool:
    """Whether a published file is part of the state of a training, without which a model loads."""
    return path.rpartition("/")[2].startswith(TRAINING_STATE)
