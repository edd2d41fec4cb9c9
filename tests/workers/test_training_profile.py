"""The profile of plain, pruned and 8-bit models against counts by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from tests.support.sockets import SHALLOW, prepared
from tests.support.training import TRAIN, carry_out, data_set, recipe
from workers.methods.int8 import apply_int8
from workers.methods.magnitude import magnitude_prune
from workers.training.finetune import full_profile, model_profile
from workers.training.formats import profile as formats_profile
from workers.training.formats.profile import ModelProfile, profile
from workers.training.formats.sparse import prunable
from workers.training.formats.weights import Weights, count_weights
from workers.training.model.loaded import Loaded

LENGTH = 20
HIDDEN, FEED_FORWARD, LAYERS = 16, 24, 2
MATRICES = LAYERS * (4 * HIDDEN * HIDDEN + 2 * HIDDEN * FEED_FORWARD)
LINEAR = 2 * MATRICES  # operations per token in the encoder's matrices
ATTENTION = LAYERS * 4 * LENGTH**2 * HIDDEN
HEAD = 2 * HIDDEN * HIDDEN + 2 * HIDDEN * 2  # pooler and classifier, once an example
DENSE = LINEAR * LENGTH + ATTENTION + HEAD


def profiled(root: Path, kind: str) -> tuple[Loaded, ModelProfile]:
    stage, loaded = prepared(root)
    if "pruned" in kind:
        magnitude_prune(prunable(loaded.model), 0.5, "global")
    if "8-bit" in kind:
        apply_int8(loaded.model, embeddings=True)
    counted = full_profile(stage, loaded)
    assert counted.flops == model_profile(stage, loaded)
    again = profile(loaded.model)  # counted afresh
    assert (again.weights, again.density, again.formats) == (
        counted.weights,
        counted.density,
        counted.formats,
    )
    assert again.flops_per_sequence(LENGTH) == counted.flops_per_sequence(LENGTH)
    return loaded, counted


def parameters(loaded: Loaded) -> int:
    return sum(parameter.numel() for parameter in loaded.model.parameters())


def test_a_plain_model_is_counted_as_by_hand(tmp_path: Path) -> None:
    assert (SHALLOW["hidden_size"], SHALLOW["intermediate_size"]) == (HIDDEN, FEED_FORWARD)
    loaded, counted = profiled(tmp_path, "plain")
    assert counted.formats == ("plain",)
    assert counted.weights.parameters == parameters(loaded)
    assert counted.weights.dense_bytes == 4 * parameters(loaded)
    assert counted.density == 1
    assert counted.flops_per_sequence(LENGTH) == DENSE
    assert counted.effective_flops_per_sequence(LENGTH) == DENSE
    assert counted.low_bit_ops_per_sequence(LENGTH) == 0
    assert (counted.trainable, counted.only_on_cpu, counted.speed_note()) == (True, False, None)
    assert loaded.device("cuda").type == "cuda"


def test_a_pruned_model_has_half_of_the_matrices_operations(tmp_path: Path) -> None:
    loaded, counted = profiled(tmp_path, "pruned")
    zeros = sum(int((p == 0).sum()) for p in loaded.model.parameters())
    assert counted.formats == ("sparse",)
    assert counted.weights.parameters - counted.weights.non_zero == zeros
    assert counted.density == counted.sparsity == 0.5
    assert counted.flops_per_sequence(LENGTH) == DENSE
    assert counted.effective_flops_per_sequence(LENGTH) == DENSE - LINEAR * LENGTH / 2
    assert counted.speed_note() == (
        "50.0% of the encoder's weights are zero: no speed-up on dense kernels"
    )
    assert counted.trainable


@pytest.mark.parametrize("kind", ["8-bit", "pruned 8-bit"])
def test_an_8_bit_model_runs_on_the_cpu_and_counts_its_8_bit_operations(
    tmp_path: Path, kind: str
) -> None:
    _, fresh = prepared(tmp_path / "fresh")
    matrices = [
        module.weight.detach()
        for module in fresh.model.modules()
        if isinstance(module, nn.Linear | nn.Embedding)
    ]
    rows = sum(len(matrix) for matrix in matrices)
    integers = sum(matrix.numel() for matrix in matrices)
    loaded, counted = profiled(tmp_path, kind)
    assert counted.formats == (("int8", "sparse") if "pruned" in kind else ("int8",))
    assert counted.weights.parameters == parameters(fresh)
    # One byte a weight, four for each row's scale, four for what stays fp32.
    assert counted.weights.dense_bytes == integers + 4 * rows + 4 * (parameters(fresh) - integers)
    assert counted.flops_per_sequence(LENGTH) == DENSE
    assert counted.low_bit_ops_per_sequence(LENGTH) == LINEAR * LENGTH + HEAD
    zeros = DENSE - counted.effective_flops_per_sequence(LENGTH)
    assert zeros == pytest.approx(counted.sparsity * LINEAR * LENGTH)
    assert counted.sparsity >= (0.5 if "pruned" in kind else 0.0)
    note = counted.speed_note()
    assert note is not None
    assert note.endswith("on 8-bit kernels")
    assert (counted.trainable, counted.only_on_cpu) == (False, True)
    assert loaded.device("cuda") == torch.device("cpu")


def test_the_weights_of_a_model_are_counted_once_for_all_stages_that_use_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[nn.Module] = []

    def counting(model: nn.Module) -> Weights:
        counted.append(model)
        return count_weights(model)

    monkeypatch.setattr(formats_profile, "count_weights", counting)
    measure = {"kind": "measure", "min_seconds": 0.02, "batch_size": 2}
    data_set(tmp_path, train=48, dev=16, test=8)
    stages = (TRAIN, {"kind": "evaluate", "splits": ["train"]}, measure)
    reporter = carry_out(tmp_path, recipe(*stages, model={"config": SHALLOW}))
    # Training looks for zeros to keep; two evaluations and the measurement share one count.
    assert len(counted) == 2
    parameters = reporter.of("metric", name="parameters")[0]["value"]
    assert parameters == sum(parameter.numel() for parameter in counted[0].parameters())
