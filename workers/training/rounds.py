"""Rounds and rungs that survive a kill: finished ones are kept, an unfinished one resumes.

A round is one piece of a stage's work on the stage's model, such as a pruning with its recovery
or a lottery ticket's training. A rung is one budget of a successive halving.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import nn

from pricetag.atomic_files import write_whole
from workers.job import ranks
from workers.job.context import StageContext
from workers.training.checkpoints import save_tensors, trainable_state
from workers.training.plugin import Plugin, Step

MODEL, NOTE = "model.safetensors", "round.json"

Result = dict[str, Any]


@dataclass(frozen=True)
class Round:
    """A round's number, from 0, and the folder of its checkpoints."""

    number: int
    folder: Path


def run_rounds(
    context: StageContext,
    model: nn.Module,
    count: int,
    carry_out: Callable[[Round], Result],
    *,
    enough: Callable[[Sequence[Result]], bool] = lambda results: False,
    change_again: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """Carry out rounds on a model in place, except those that an earlier attempt finished.

    A finished round leaves its result (JSON) and the model's weights; a round in which an attempt
    was killed is repeated, and its training resumes from its own checkpoint.

    Args:
        context: The stage's context.
        model: The model, changed in place.
        count: Maximum number of rounds.
        carry_out: Does one round; returns its result as JSON.
        enough: Whether no further round is needed after these results.
        change_again: For rounds that change the model's modules: changes them again as a finished
            round did, from its result, before its weights are loaded.

    Returns:
        The results in order.
    """
    results: list[Result] = []
    for number in range(count):
        if results and enough(results):
            break
        round_ = Round(number, context.folder / "checkpoints" / f"round-{number:02d}")
        result = _finished(round_.folder)
        if result is None:
            # A round starts from the weights of the previous one.
            result = carry_out(round_)
            if number + 1 < count:  # after the last one the stage saves its model
                _keep(model, round_.folder, result)
        else:
            change_again(result)
            model.load_state_dict(load_file(round_.folder / MODEL), strict=False)
            context.reporter.log(f"round {number + 1}: finished in an earlier attempt")
        results.append(result)
    return results


def _finished(folder: Path) -> Result | None:
    note = folder / NOTE
    if not note.exists():
        return None
    result: Result = json.loads(note.read_text(encoding="utf-8"))
    return result


def _keep(model: nn.Module, folder: Path, result: Result) -> None:
    if ranks.rank() != 0:
        ranks.wait_for(folder / NOTE)
        return
    folder.mkdir(parents=True, exist_ok=True)
    save_tensors(trainable_state(model), folder / MODEL)
    write_whole(folder / NOTE, json.dumps(result))


class Snapshot(Plugin):
    """Saves the weights after a step of training, for a later rewind.

    Source: Frankle et al. 2020, Linear Mode Connectivity and the Lottery Ticket Hypothesis,
    section 4, arXiv:1912.05671.

    Args:
        path: File of the snapshot.
        at: Share of the horizon, from 0 (before the first step) up to 1.
    """

    def __init__(self, path: Path, at: float) -> None:
        self.path = path
        self.at = at
        self._model: nn.Module | None = None

    def attach(self, model: nn.Module) -> None:
        """Remember the model."""
        self._model = model

    def before_step(self, step: Step) -> None:
        """Save the weights at the step."""
        if step.done == math.floor(self.at * step.total + 1e-9) and not self.path.exists():
            assert self._model is not None
            if ranks.rank() == 0:
                save_tensors(trainable_state(self._model), self.path)
            else:
                ranks.wait_for(self.path)


def rewind(model: nn.Module, snapshot: Path, names: Callable[[str], bool]) -> list[str]:
    """Restore tensors of a model from a snapshot, in place.

    Args:
        model: The model, changed in place.
        snapshot: File that ``Snapshot`` wrote.
        names: Whether a tensor of this name is restored.

    Returns:
        The names of the restored tensors.
    """
    earlier = {name: tensor for name, tensor in load_file(snapshot).items() if names(name)}
    model.load_state_dict(earlier, strict=False)
    return sorted(earlier)


def halving(trials: int, budget: int, factor: int) -> list[tuple[int, int]]:
    """Successive halving: (trials in the rung, total steps of each), the last with one survivor.

    n_i = floor(n * factor^-i), r_i = r * factor^i.

    Raises:
        ValueError: A number is too small.

    Source: Jamieson and Talwalkar 2016, algorithm 1, arXiv:1502.07943; Li et al. 2018,
    Hyperband, algorithm 1, arXiv:1603.06560.
    """
    if trials < 1 or budget < 1 or factor < 2:
        raise ValueError(
            f"halving needs trials and budget of 1 or more and a factor of 2 or more "
            f"(got {trials}, {budget}, {factor})"
        )
    rungs = []
    number = 0
    while (survivors := trials // factor**number) >= 1:
        rungs.append((survivors, budget * factor**number))
        number += 1
    return rungs


def run_rungs(
    context: StageContext,
    rungs: Sequence[tuple[int, int]],
    carry_out: Callable[[int, int, Path], float],
) -> list[dict[int, float]]:
    """Carry out rungs: all trials of a rung, then the best ones in the next.

    Args:
        context: The stage's context.
        rungs: Trials and steps of each rung, from ``halving``.
        carry_out: Trains a trial up to a step (``fit`` with ``stop_at``) in its folder, which is
            the same in all rungs; returns the score, higher is better.

    Returns:
        For each rung the scores by trial. In ties the trial with the lower number is better.
    """
    scores: list[dict[int, float]] = []
    trials = list(range(rungs[0][0])) if rungs else []
    for number, (survivors, stop_at) in enumerate(rungs):
        if scores:
            last = scores[-1]
            trials = sorted(sorted(trials, key=lambda trial: (-last[trial], trial))[:survivors])
        scores.append(
            {trial: _score(context, number, trial, stop_at, carry_out) for trial in trials}
        )
    return scores


def _score(
    context: StageContext,
    rung: int,
    trial: int,
    stop_at: int,
    carry_out: Callable[[int, int, Path], float],
) -> float:
    folder = context.folder / "checkpoints" / f"trial-{trial:03d}"
    note = folder / f"rung-{rung:02d}.json"
    if note.exists():
        finished: Mapping[str, float] = json.loads(note.read_text(encoding="utf-8"))
        context.reporter.log(f"rung {rung + 1}, trial {trial}: finished in an earlier attempt")
        return finished["score"]
    score = carry_out(trial, stop_at, folder)
    if ranks.rank() == 0:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(note, json.dumps({"score": score, "steps": stop_at}))
    else:
        ranks.wait_for(note)
    return score
