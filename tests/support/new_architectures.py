"""The life of a model of another architecture than BERT's, which the tests of each share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from tests.support.texts import text_files, text_recipe
from tests.support.training import TRAIN, carry_out, data_set, recipe

PRETRAIN: dict[str, Any] = {
    **{"kind": "pretrain", "method": "masked_lm", "max_steps": 3, "batch_size": 8},
    **{"max_length": 16, "precision": "fp32", "learning_rate": 1e-3, "evaluate": False},
}


def tokens(rows: int = 3, width: int = 8) -> torch.Tensor:
    """Token numbers from 5 to 58, ``[rows, width]``, the same in each call."""
    return torch.randint(5, 59, (rows, width), generator=torch.Generator().manual_seed(1))


def pretrained_then_tuned(
    root: Path, model: dict[str, Any]
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Pretrains, measures, reloads and evaluates a model, then tunes it on classes at a rate of 0.

    Args:
        root: An empty folder.
        model: The recipe's ``model``.

    Returns:
        The weights after the pretraining, and after the tuning.
    """
    text_files(root)
    data_set(root)
    measure = {"kind": "measure", "min_seconds": 0.05, "batch_size": 2}
    described = text_recipe("masked_lm", {**PRETRAIN, "evaluate": True}, measure, model=model)
    figures = {e["name"]: e["value"] for e in carry_out(root, described).of("metric")}
    (root / "work" / "stage-00" / "model").rename(root / "pretrained")
    again = text_recipe("masked_lm", {"kind": "evaluate"}, model="pretrained")
    second = carry_out(root, again, work_dir=root / "again")
    (perplexity,) = [e["value"] for e in second.of("metric", name="perplexity")]
    assert perplexity == figures["perplexity"]
    tuned = recipe({**TRAIN, "learning_rate": 1e-9, "evaluate": False}, model="pretrained")
    carry_out(root, tuned, work_dir=root / "tuned")
    note = f"{model['architecture']['name']}.json"
    assert (root / "tuned" / "stage-00" / "model" / note).exists()
    before = load_file(root / "pretrained" / "model.safetensors")
    return before, load_file(root / "tuned" / "stage-00" / "model" / "model.safetensors")


def kept_tensors(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> list[str]:
    """Names of the tensors that both have; their values are the same."""
    shared = sorted(before.keys() & after.keys())
    for name in shared:
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=1e-6)
    return shared
