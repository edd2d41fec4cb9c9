from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from pricetag.recipes.methods.prune import Prune
from tests.support.recording import RecordingReporter
from tests.support.training import TRAIN, carry_out, data_set, job, recipe
from workers.job.pipeline import run
from workers.job.reporter import Interrupted
from workers.methods.magnitude import magnitude_prune
from workers.training.plugin import Step
from workers.training.pruning.masker import KeepZeros
from workers.training.pruning.masks import Scope
from workers.training.pruning.schedule import round_sparsities

ONLY_TRAIN = {**TRAIN, "evaluate": False, "max_steps": 3}
PRUNE = {"kind": "prune", "sparsity": 0.6, "evaluate": False, "batch_size": 8}


def matrices() -> dict[str, nn.Linear]:
    torch.manual_seed(0)
    made = {"small": nn.Linear(10, 8), "large": nn.Linear(20, 30)}
    with torch.no_grad():
        made["small"].weight.mul_(0.01)
    return made


def zeros(module: nn.Linear) -> int:
    return module.weight.numel() - int(torch.count_nonzero(module.weight))


def test_a_global_threshold_prunes_the_smallest_weights_of_all() -> None:
    made = matrices()
    before = torch.cat([m.weight.detach().abs().flatten() for m in made.values()])
    magnitude_prune(made, 0.25, "global")
    after = torch.cat([m.weight.detach().abs().flatten() for m in made.values()])
    wanted = torch.zeros(680, dtype=torch.bool)
    wanted[before.argsort()[: 680 // 4]] = True
    assert torch.equal(after == 0, wanted)
    assert torch.equal(after[~wanted], before[~wanted])
    assert zeros(made["small"]) == 80  # the small matrix goes first, and entirely


def test_a_threshold_per_matrix_prunes_the_same_share_of_each() -> None:
    made = matrices()
    magnitude_prune(made, 0.25, "per_matrix")
    assert (zeros(made["small"]), zeros(made["large"])) == (20, 150)


@pytest.mark.parametrize("scope", ["global", "per_matrix"])
def test_pruning_further_counts_weights_already_pruned(scope: Scope) -> None:
    once, twice = matrices(), matrices()
    magnitude_prune(once, 0.6, scope)
    magnitude_prune(twice, 0.3, scope)
    magnitude_prune(twice, 0.6, scope)
    for name in once:
        assert torch.equal(once[name].weight, twice[name].weight)


def test_pruned_matrices_are_plain_parameters_again() -> None:
    made = matrices()
    magnitude_prune(made, 0.5, "global")
    assert [name for name, _ in made["large"].named_parameters()] == ["weight", "bias"]
    assert not list(made["large"].named_buffers())


def test_rounds_end_at_the_requested_sparsity() -> None:
    assert round_sparsities(0.6, 3) == pytest.approx([0.2, 0.4, 0.6])
    assert round_sparsities(0.5, 1) == [0.5]


def sparsities(root: Path, stage: str) -> dict[str, float]:
    tensors = load_file(root / "work" / stage / "model" / "model.safetensors")
    return {
        name: float((tensor == 0).float().mean())
        for name, tensor in tensors.items()
        if tensor.dim() == 2
    }


def test_recovery_keeps_the_zeros_and_changes_no_unprunable_weights(tmp_path: Path) -> None:
    data_set(tmp_path)
    stage = {**PRUNE, "scope": "per_matrix", "recovery_epochs": 1, "weight_decay": 0.1}
    reporter = carry_out(tmp_path, recipe(ONLY_TRAIN, stage))
    by_matrix = sparsities(tmp_path, "stage-01")
    pruned = {name: share for name, share in by_matrix.items() if ".layer." in name}
    assert len(pruned) == 4 * 6
    assert all(share == pytest.approx(0.6, abs=1e-3) for share in pruned.values())
    others = [share for name, share in by_matrix.items() if ".layer." not in name]
    assert max(others) < 0.05
    reported = reporter.of("metric", name="encoder_sparsity")[0]["value"]
    assert reported == pytest.approx(0.6, abs=1e-3)
    flops = reporter.of("flops")[-1]
    assert flops["effective"] < 0.5 * flops["dense"]


def test_pruning_without_recovery_needs_no_training_data(tmp_path: Path) -> None:
    data_set(tmp_path)
    carry_out(tmp_path, recipe(ONLY_TRAIN))
    (tmp_path / "work" / "stage-00" / "model").rename(tmp_path / "model")
    data = {"validation": "data/dev.tsv"}
    reporter = carry_out(tmp_path, recipe({**PRUNE, "evaluate": True}, data=data, model="model"))
    kinds = [(e["kind"], e["status"]) for e in reporter.of("stage_end")]
    assert kinds == [("prune", "succeeded"), ("evaluate", "succeeded")]
    assert reporter.of("flops", key="s0") == []


@pytest.mark.parametrize("questions", [6, 11], ids=["first round", "second round"])
def test_interrupted_rounds_end_at_the_same_weights(tmp_path: Path, questions: int) -> None:
    stage = {**PRUNE, "mode": "iterative", "rounds": 2, "recovery_epochs": 1, "batch_size": 16}
    described = recipe(ONLY_TRAIN, stage)
    whole, halves = data_set(tmp_path / "whole"), data_set(tmp_path / "halves")
    carry_out(whole, described)
    reporter = RecordingReporter(stop_after=questions)
    with pytest.raises(Interrupted):
        run(job(halves, described), reporter)
    second = carry_out(halves, described, attempt=2)
    taken_over = [e for e in second.of("log") if "finished in an earlier" in e["text"]]
    assert len(taken_over) == (1 if questions == 6 else 2)  # the training, and a round
    one, other = (
        load_file(root / "work" / "stage-01" / "model" / "model.safetensors")
        for root in (whole, halves)
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_masker_keeps_the_zeros_it_starts_with() -> None:
    layer = nn.Module()
    layer.add_module("layer", nn.ModuleList([nn.Module()]))
    inner = nn.Linear(2, 1, bias=False)
    layer.get_submodule("layer.0").add_module("dense", inner)
    holder = nn.Module()
    holder.add_module("encoder", layer)
    with torch.no_grad():
        inner.weight.copy_(torch.tensor([[0.0, 1.0]]))
    masker = KeepZeros()
    masker.attach(holder)
    with torch.no_grad():
        inner.weight.fill_(5.0)
    masker.after_step(Step(1, 2, 0.5))
    assert inner.weight.tolist() == [[0.0, 5.0]]
    assert Prune(sparsity=0.5).recovery_epochs == 0
