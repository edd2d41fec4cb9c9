"""Zeros of a pruned model in later stages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.recording import RecordingReporter
from tests.support.training import TRAIN, carry_out, data_set, recipe
from tests.workers.test_training_prune import sparsities

SHORT = {**TRAIN, "evaluate": False, "max_steps": 3}
PRUNE = {"kind": "prune", "sparsity": 0.9, "evaluate": False, "batch_size": 8}
STUDENT = {**SHORT, "kind": "distill", "student": {"layers": 2}}


def encoder_sparsity(root: Path, stage: str) -> float:
    shares = [share for name, share in sparsities(root, stage).items() if ".layer." in name]
    return sum(shares) / len(shares)


def texts(reporter: RecordingReporter) -> str:
    return "\n".join(event["text"] for event in reporter.of("log"))


@pytest.mark.parametrize("after", [SHORT, STUDENT], ids=["train", "distill"])
@pytest.mark.parametrize("keep", [None, True])
def test_training_after_pruning_keeps_the_zeros(
    tmp_path: Path, after: dict[str, Any], keep: bool | None
) -> None:
    data_set(tmp_path)
    prune = {**PRUNE, "scope": "per_matrix"}
    stage = {**after, "weight_decay": 0.1, "keep_sparsity": keep}
    reporter = carry_out(tmp_path, recipe(SHORT, prune, stage))
    assert encoder_sparsity(tmp_path, "stage-02") == pytest.approx(0.9, abs=1e-3)
    assert "pruned weights stay zero: encoder sparsity 90.0%" in texts(reporter)
    reported = [event["value"] for event in reporter.of("metric", name="encoder_sparsity")]
    assert reported == pytest.approx([0.9, 0.9], abs=1e-3)
    flops = reporter.of("flops")[-1]
    assert flops["effective"] < 0.9 * flops["dense"]


@pytest.mark.parametrize("after", [SHORT, STUDENT], ids=["train", "distill"])
def test_filling_the_zeros_is_logged_and_flagged(tmp_path: Path, after: dict[str, Any]) -> None:
    data_set(tmp_path)
    prune = {**PRUNE, "scope": "per_matrix"}
    described = recipe(SHORT, prune, {**after, "keep_sparsity": False})
    reporter = carry_out(tmp_path, described)
    assert encoder_sparsity(tmp_path, "stage-02") < 0.05
    assert "training fills the pruned weights; encoder sparsity was 90.0%" in texts(reporter)
    card = reporter.of("artifact")[-1]
    facts = next(e["card"] for e in reporter.of("artifact") if (e["card"] or {}).get("stage") == 2)
    assert card is not None
    assert facts["facts"]["sparsity_kept"] is False
    assert facts["facts"]["encoder_sparsity_before"] == pytest.approx(0.9, abs=1e-3)
    assert facts["facts"]["encoder_sparsity"] < 0.05


def test_zeros_outlast_several_trainings_and_quantization(tmp_path: Path) -> None:
    data_set(tmp_path)
    stages: list[dict[str, Any]] = [SHORT, PRUNE, SHORT, STUDENT, {"kind": "quantize"}]
    reporter = carry_out(tmp_path, recipe(*stages))
    card = next(e["card"] for e in reporter.of("artifact") if (e["card"] or {}).get("stage") == 4)
    assert card["facts"]["encoder_sparsity"] >= 0.89


def test_a_pruned_folder_stays_sparse_when_it_is_trained(tmp_path: Path) -> None:
    data_set(tmp_path)
    carry_out(tmp_path, recipe(SHORT, PRUNE))
    (tmp_path / "work" / "stage-01" / "model").rename(tmp_path / "pruned")
    carry_out(tmp_path, recipe(SHORT, model="pruned"))
    assert encoder_sparsity(tmp_path, "stage-00") == pytest.approx(0.9, abs=0.05)


def test_a_dense_model_trains_without_a_mask(tmp_path: Path) -> None:
    data_set(tmp_path)
    reporter = carry_out(tmp_path, recipe({**SHORT, "keep_sparsity": True}))
    assert "the model has no pruned weights to keep" in texts(reporter)
    assert reporter.of("metric", name="encoder_sparsity") == []
    flops = reporter.of("flops")[-1]
    assert flops["effective"] == flops["dense"]
