"""Pruning stages: structures, ramps, and rounds that end at a limit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pricetag.recipes import parse_recipe
from pricetag.recipes.errors import RecipeError
from tests.support.recording import RecordingReporter
from tests.support.training import CONFIG, TRAIN, carry_out, data_set, job, recipe
from workers.job.pipeline import run
from workers.job.reporter import Interrupted
from workers.job.request import Job, JobError
from workers.training.pruning import limits

SMALL = {**CONFIG, "num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 32}
BEGIN = {**TRAIN, "evaluate": False, "max_steps": 30, "learning_rate": 3e-3}
PRUNE = {"kind": "prune", "sparsity": 0.5, "evaluate": False, "batch_size": 8, "precision": "fp32"}
ROUNDS = {**PRUNE, "mode": "iterative", "rounds": 3}


def matrices(root: Path, stage: str = "stage-00") -> dict[str, torch.Tensor]:
    tensors = load_file(root / "work" / stage / "model" / "model.safetensors")
    return {n: t for n, t in tensors.items() if ".layer." in n and t.dim() == 2}


def sparsity(made: dict[str, torch.Tensor]) -> float:
    values = torch.cat([tensor.flatten() for tensor in made.values()])
    return float((values == 0).double().mean())


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with a trained model, ``base``, that is worth pruning."""
    root = data_set(tmp_path_factory.mktemp("base"), train=96, dev=60, hard_share=0.0)
    carry_out(root, recipe(BEGIN, model={"config": SMALL}))
    (root / "work" / "stage-00" / "model").rename(root / "base")
    return root


def pruned(base: Path, root: Path, stage: dict[str, Any]) -> RecordingReporter:
    """What a stage on the trained model reports; its model is under ``root``."""
    reporter = RecordingReporter()
    run(placed(base, root, stage), reporter)
    return reporter


def placed(base: Path, root: Path, stage: dict[str, Any], attempt: int = 1) -> Job:
    described = recipe(stage, model="base")
    return replace(
        job(base, described, attempt),
        work_dir=root / "work",
        artifacts_dir=root / "artifacts" / str(attempt),
    )


def halved(base: Path, root: Path, stage: dict[str, Any], stop_after: int) -> None:
    """The same in two attempts."""
    with pytest.raises(Interrupted):
        run(placed(base, root, stage), RecordingReporter(stop_after=stop_after))
    run(placed(base, root, stage, attempt=2), RecordingReporter())


# ---- structures and modes ----


@pytest.mark.parametrize("method", ["magnitude", "random"])
def test_two_of_four_columns_stay_through_recovery(base: Path, tmp_path: Path, method: str) -> None:
    stage = {**PRUNE, "method": method, "structure": "2:4", "recovery_epochs": 0.5}
    pruned(base, tmp_path, stage)
    for name, weight in matrices(tmp_path).items():
        assert ((weight.view(-1, 4) != 0).sum(dim=1) == 2).all(), name


def test_blocks_go_whole(base: Path, tmp_path: Path) -> None:
    pruned(base, tmp_path, {**PRUNE, "structure": "16x16", "scope": "per_matrix"})
    for weight in matrices(tmp_path).values():
        blocks = weight.view(2, 16, 2, 16).transpose(1, 2).reshape(4, 256) != 0
        assert sorted(blocks.double().mean(dim=1).tolist()) == [0, 0, 1, 1]


def test_a_cubic_ramp_ends_at_the_requested_sparsity(base: Path, tmp_path: Path) -> None:
    stage = {**PRUNE, "sparsity": 0.8, "mode": "cubic", "recovery_epochs": 1, "mask_every": 2}
    reporter = pruned(base, tmp_path, stage)
    assert sparsity(matrices(tmp_path)) == pytest.approx(0.8, abs=1e-3)
    flops = reporter.of("flops")[-1]
    assert 0.3 < flops["effective"] / flops["dense"] < 1
    assert "the choice of masks" in flops["uncounted"]


@pytest.mark.parametrize("stop_after", [4, 9])
def test_an_interrupted_ramp_ends_at_the_same_weights(
    base: Path, tmp_path: Path, stop_after: int
) -> None:
    stage = {**PRUNE, "sparsity": 0.8, "mode": "cubic", "recovery_epochs": 1, "mask_every": 3}
    pruned(base, tmp_path / "whole", stage)
    halved(base, tmp_path / "halves", stage, stop_after)
    one, other = matrices(tmp_path / "whole"), matrices(tmp_path / "halves")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_random_pruning_is_seeded(base: Path, tmp_path: Path) -> None:
    seeds = {"one": 1, "same": 1, "other": 2}
    zeros = {}
    for name, seed in seeds.items():
        pruned(base, tmp_path / name, {**PRUNE, "method": "random", "seed": seed})
        zeros[name] = {key: weight == 0 for key, weight in matrices(tmp_path / name).items()}
    assert all(torch.equal(zeros["one"][key], zeros["same"][key]) for key in zeros["one"])
    assert not all(torch.equal(zeros["one"][key], zeros["other"][key]) for key in zeros["one"])


# ---- rounds that end at a limit ----


def test_rounds_end_at_a_size(base: Path, tmp_path: Path) -> None:
    whole = pruned(base, tmp_path / "whole", {**ROUNDS, "target_bytes": 1})
    sizes = sparsity(matrices(tmp_path / "whole"))
    assert sizes == pytest.approx(0.5, abs=1e-3)
    assert any("all rounds are done; 3 are kept" in e["text"] for e in whole.of("log"))
    reporter = pruned(base, tmp_path / "early", {**ROUNDS, "target_bytes": 10**9})
    assert reporter.of("metric", name="pruning_rounds")[0]["value"] == 1
    assert sparsity(matrices(tmp_path / "early")) == pytest.approx(0.5 / 3, abs=1e-3)


def measured_as(
    monkeypatch: pytest.MonkeyPatch, *values: float | None, metric: str = "accuracy"
) -> None:
    """Evaluations in a stage have these results, one after another."""
    rest = iter(values)
    monkeypatch.setattr(limits, "_measured", lambda *args: limits.Quality(metric, next(rest)))


@pytest.mark.parametrize(
    ("metric", "values", "kept"),
    [
        ("accuracy", (0.9, 0.88, 0.85, 0.70), 2),
        ("accuracy", (0.9, 0.95, 0.70), 1),
        ("accuracy", (0.9, 0.70), 0),
        ("accuracy", (0.9, 0.80, 0.80, 0.80), 3),  # exactly max_drop is accepted
        ("loss", (1.0, 0.9, 1.05, 1.2), 2),  # lower is better
        ("loss", (1.0, 1.2), 0),
        ("mcc", (0.5, 0.45, None), 1),  # one class is predicted: MCC is no longer defined
    ],
)
def test_rounds_end_before_the_quality_falls_too_far(
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    metric: str,
    values: tuple[float | None, ...],
    kept: int,
) -> None:
    measured_as(monkeypatch, *values, metric=metric)
    reporter = pruned(base, tmp_path, {**ROUNDS, "max_drop": 0.1})
    assert [e["value"] for e in reporter.of("metric", name="pruning_rounds")] == [kept]
    after = matrices(tmp_path)
    assert sparsity(after) == pytest.approx(0.5 * kept / 3, abs=1e-3)
    before = load_file(base / "base" / "model.safetensors")
    assert all(((w == before[n]) | (w == 0)).all() for n, w in after.items())
    reasons = [e["text"] for e in reporter.of("log") if "pruning ended" in e["text"]]
    assert (f"{metric} fell by more than max_drop 0.1" in reasons[0]) == (kept < 3)


def test_the_quality_of_rounds_is_measured_and_its_operations_are_counted(
    base: Path, tmp_path: Path
) -> None:
    stage = {**ROUNDS, "max_drop": 1.0, "evaluate": True}
    reporter = pruned(base, tmp_path, stage)
    (accuracy,) = [e["value"] for e in reporter.of("metric", name="accuracy")]
    assert 0 <= accuracy <= 1
    in_stage, after = reporter.of("flops", key="s0")[-1], reporter.of("flops")[-1]
    assert in_stage["dense"] == pytest.approx(4 * after["dense"])  # before, and after each round
    assert 3 * after["effective"] < in_stage["effective"] < in_stage["dense"]


def test_rounds_with_a_limit_continue_after_a_kill(base: Path, tmp_path: Path) -> None:
    stage = {**ROUNDS, "sparsity": 0.97, "max_drop": 0.2, "recovery_epochs": 0.25, "rounds": 2}
    pruned(base, tmp_path / "whole", stage)
    halved(base, tmp_path / "halves", stage, stop_after=4)
    one, other = matrices(tmp_path / "whole"), matrices(tmp_path / "halves")
    assert all(torch.equal(one[name], other[name]) for name in one)


# ---- rejections ----


@pytest.mark.parametrize("method", ["magnitude", "random"])
@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"rounds": 3}, "rounds", "use mode: iterative"),
        ({"mode": "iterative"}, "rounds", "two rounds or more"),
        ({"mode": "cubic"}, "recovery_epochs", "above 0 in cubic mode"),
        ({"mode": "cubic", "recovery_epochs": 1, "rounds": 2}, "rounds", "one round"),
        ({"ramp_start": 0.9}, "ramp_start", "less than ramp_end"),
        ({"max_drop": 0.1}, "max_drop", "iterative"),
        ({"target_bytes": 100}, "target_bytes", "iterative"),
        ({"structure": "2:4", "sparsity": 0.7}, "sparsity", "must be 0.5"),
        ({"structure": "2:4", "mode": "iterative", "rounds": 2}, "mode", "one_shot"),
        ({"structure": "4:8"}, "structure", "2:4"),
    ],
)
def test_options_that_contradict_each_other_are_rejected(
    method: str, changes: dict[str, Any], field: str, message: str
) -> None:
    described = recipe(BEGIN, {**PRUNE, "method": method, **changes}, model={"config": SMALL})
    with pytest.raises(RecipeError) as caught:
        parse_recipe(described)
    assert caught.value.field == f"recipe.stages.1.{field}"
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("size", "name"),
    [
        ({"intermediate_size": 33}, "intermediate_size"),
        ({"intermediate_size": 34}, "intermediate_size"),
        ({"hidden_size": 30}, "hidden_size"),
    ],
)
def test_columns_that_are_not_a_multiple_of_four_are_rejected_for_two_of_four(
    size: dict[str, int], name: str
) -> None:
    described = recipe(BEGIN, {**PRUNE, "structure": "2:4"}, model={"config": {**SMALL, **size}})
    with pytest.raises(RecipeError) as caught:
        parse_recipe(described)
    assert caught.value.field == "recipe.stages.1.structure"
    assert f"model's {name} is {size[name]}" in caught.value.message


def test_columns_of_a_student_count_and_those_of_a_stored_model(base: Path, tmp_path: Path) -> None:
    student = {"layers": 1, "intermediate_size": 18}
    distill = {**TRAIN, "kind": "distill", "student": student}
    two_four = {**PRUNE, "structure": "2:4"}
    with pytest.raises(RecipeError) as caught:
        parse_recipe(recipe(BEGIN, distill, two_four, model={"config": SMALL}))
    assert caught.value.field == "recipe.stages.2.structure"
    data_set(tmp_path)
    odd = {"config": {**SMALL, "intermediate_size": 18}}
    carry_out(tmp_path, recipe({**TRAIN, "evaluate": False, "max_steps": 1}, model=odd))
    (tmp_path / "work" / "stage-00" / "model").rename(tmp_path / "odd")
    with pytest.raises(JobError) as refused:
        carry_out(tmp_path, recipe(two_four, model="odd"), work_dir=tmp_path / "other")
    assert refused.value.field == "recipe.stages.0.structure"
    assert not list((tmp_path / "other").rglob("*.safetensors"))
