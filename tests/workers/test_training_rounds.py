"""Rounds and rungs that are killed anywhere continue where they were."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.sockets import equal, fitted, prepared, weights
from workers.job.context import StageContext
from workers.job.reporter import Interrupted
from workers.training.finetune import training_data
from workers.training.model.loaded import Loaded
from workers.training.rounds import Result, Round, Snapshot, halving, rewind, run_rounds, run_rungs


class KilledError(Exception):
    """Raised instead of a kill."""


def rounds(
    root: Path,
    *,
    kill: Callable[[int, str], bool] = lambda number, when: False,
    stop_after: int | None = None,
    enough: Callable[[Sequence[Result]], bool] = lambda results: False,
) -> tuple[Loaded, list[Result], list[int]]:
    """Three rounds of shrinking all weights and training for five steps."""
    stage, loaded = prepared(root, stop_after)
    entered: list[int] = []

    def one_round(one: Round) -> Result:
        entered.append(one.number)
        with torch.no_grad():
            for parameter in loaded.model.parameters():
                parameter.mul_(0.9)
        outcome = fitted(stage, loaded, steps=5, folder=one.folder)
        if kill(one.number, "trained"):
            raise KilledError
        return {"number": one.number, "steps": outcome.steps}

    results = run_rounds(stage, loaded.model, 3, one_round, enough=enough)
    return loaded, results, entered


def test_every_rounds_result_is_kept_in_order(tmp_path: Path) -> None:
    _, results, entered = rounds(tmp_path)
    assert results == [{"number": number, "steps": 5} for number in range(3)]
    assert entered == [0, 1, 2]


@pytest.mark.parametrize("killed_in", [0, 1, 2])
def test_a_kill_between_training_and_note_repeats_that_round_alone(
    tmp_path: Path, killed_in: int
) -> None:
    whole, results, _ = rounds(tmp_path / "whole")
    with pytest.raises(KilledError):
        rounds(tmp_path / "killed", kill=lambda number, when: number == killed_in)
    again, same, entered = rounds(tmp_path / "killed")
    assert entered == list(range(killed_in, 3))
    assert same == results
    assert equal(weights(whole), weights(again))


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("file", [1, 2, 3, 4])
def test_a_kill_at_any_write_loses_and_repeats_no_round_wrongly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: int, when: str
) -> None:
    """Two rounds keep weights and note: four files, each put in its place by a rename."""
    whole, results, _ = rounds(tmp_path / "whole")
    renames: list[Path] = []
    rename = Path.replace

    def killed(self: Path, target: Path) -> Path:
        renames.append(target)
        if len(renames) == file and when == "before":
            raise KilledError
        moved = rename(self, target)
        if len(renames) == file:
            raise KilledError
        return moved

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KilledError):
            rounds(tmp_path / "killed")
    assert renames[-1].name == ("model.safetensors" if file % 2 else "round.json")
    again, same, entered = rounds(tmp_path / "killed")
    finished = (file - 1) // 2 + (file % 2 == 0 and when == "after")
    assert entered == list(range(finished, 3))
    assert same == results
    assert equal(weights(whole), weights(again))


@pytest.mark.parametrize("questions", [1, 6, 11])
def test_a_round_that_was_stopped_continues_from_its_checkpoint(
    tmp_path: Path, questions: int
) -> None:
    whole, results, _ = rounds(tmp_path / "whole")
    with pytest.raises(Interrupted):
        rounds(tmp_path / "stopped", stop_after=questions)
    again, same, _ = rounds(tmp_path / "stopped")
    assert same == results
    assert equal(weights(whole), weights(again))


def test_rounds_end_when_there_are_enough(tmp_path: Path) -> None:
    _, results, entered = rounds(tmp_path, enough=lambda so_far: len(so_far) == 2)
    assert (len(results), entered) == (2, [0, 1])


@pytest.mark.parametrize(("share", "step"), [(0.0, 0), (0.1, 0), (0.5, 4), (0.25, 2)])
def test_rewinding_goes_back_to_the_weights_of_a_step(
    tmp_path: Path, share: float, step: int
) -> None:
    stage, loaded = prepared(tmp_path)
    start = weights(loaded)
    file = tmp_path / "work" / "rewind.safetensors"
    fitted(stage, loaded, steps=9, plugins=[Snapshot(file, share)])
    end = weights(loaded)
    names = rewind(loaded.model, file, lambda name: ".layer." in name)
    assert names
    assert all(".layer." in name for name in names)
    wanted = start
    if step:
        stage, other = prepared(tmp_path / "other")
        fitted(stage, other, steps=9, stop_at=step)
        wanted = weights(other)
    after = weights(loaded)
    assert all(torch.equal(after[name], wanted[name]) for name in names)
    assert all(torch.equal(after[name], end[name]) for name in after if name not in names)


def test_halving_is_the_published_schedule() -> None:
    assert halving(81, 1, 3) == [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)]
    assert halving(10, 2, 2) == [(10, 2), (5, 4), (2, 8), (1, 16)]
    assert halving(1, 5, 3) == [(1, 5)]
    for wrong in ((0, 1, 2), (4, 0, 2), (4, 1, 1)):
        with pytest.raises(ValueError, match="halving needs"):
            halving(*wrong)


def rungs(root: Path, stage: StageContext, kill_at: int | None = None) -> Any:
    """Four trials that differ in learning rate, two rungs; scores are losses, negated."""
    calls: list[tuple[int, int]] = []

    def one(trial: int, stop_at: int, folder: Path) -> float:
        if len(calls) == kill_at:
            raise KilledError
        calls.append((trial, stop_at))
        _, loaded = prepared(root)
        rate = {"learning_rate": 10.0 ** -(trial + 2)}
        fitted(stage, loaded, steps=6, stop_at=stop_at, folder=folder, options=rate)
        data = training_data(stage, loaded, 48)
        assert len(data) == 48
        return -float(sum(p.detach().double().square().sum() for p in loaded.model.parameters()))

    return run_rungs(stage, [(4, 2), (2, 4), (1, 6)], one), calls


def test_rungs_keep_the_best_and_continue_where_they_stopped(tmp_path: Path) -> None:
    stage, _ = prepared(tmp_path / "whole")
    scores, calls = rungs(tmp_path / "whole", stage)
    assert [len(rung) for rung in scores] == [4, 2, 1]
    best = sorted(scores[0], key=lambda trial: -scores[0][trial])[:2]
    assert sorted(scores[1]) == sorted(best)
    assert [steps for _, steps in calls] == [2, 2, 2, 2, 4, 4, 6]
    resumed = [e["text"] for e in stage.reporter.of("log") if "resuming" in e["text"]]  # type: ignore[attr-defined]
    assert resumed == ["resuming from checkpoint-2"] * 2 + ["resuming from checkpoint-4"]
    other, _ = prepared(tmp_path / "killed")
    with pytest.raises(KilledError):
        rungs(tmp_path / "killed", other, kill_at=5)
    again, rest = rungs(tmp_path / "killed", other)
    assert again == scores
    assert len(rest) == 2
