"""A run that is interrupted and resumed, and the weights that it must end with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.support.recording import RecordingReporter
from tests.support.training import carry_out, counted_once, job
from workers.job.pipeline import run
from workers.job.reporter import Interrupted


def made_by(folder: Path) -> Path:
    """The folder of the model that the first stage made."""
    return folder / "work" / "stage-00" / "model"


def in_halves(
    root: Path, described: dict[str, Any], stop_after: int, **changes: Any
) -> RecordingReporter:
    """Interrupts a run and carries it out in a second attempt; what that one reported.

    Args:
        root: The folder of the run.
        described: The recipe.
        stop_after: Number of questions whether to stop that are answered with no.
        changes: Fields of the job.
    """
    with counted_once():
        with pytest.raises(Interrupted):
            run(job(root, described, **changes), RecordingReporter(stop_after=stop_after))
        return carry_out(root, described, attempt=2, **changes)


def assert_same_weights(one: Path, other: Path) -> None:
    """The first stages of two runs made models with equal tensors of the same names."""
    first, second = (load_file(made_by(folder) / "model.safetensors") for folder in (one, other))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
