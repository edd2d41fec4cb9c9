"""Evaluation during training: on the curve, the best weights kept, patience, resumed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.sockets import (
    equal,
    fitted,
    interrupted,
    prepared,
    weights,
)
from workers.training.plugin import Plugin, Step


class Watches(Plugin):
    def __init__(self) -> None:
        self.seen: list[tuple[int, Mapping[str, float | None]]] = []
        self.epochs: list[int] = []

    def on_evaluate(self, step: Step, metrics: Mapping[str, float | None]) -> None:
        self.seen.append((step.done, metrics))

    def on_epoch(self, step: Step) -> None:
        self.epochs.append(round(step.epoch))


def test_evaluation_in_mid_training_is_on_the_curve_and_changes_nothing(tmp_path: Path) -> None:
    stage, plain = prepared(tmp_path / "plain")
    fitted(stage, plain, steps=9)
    before = stage.reporter.of("flops")[-1]["dense"]  # type: ignore[attr-defined]
    stage, loaded = prepared(tmp_path / "watched")
    watches = Watches()
    plan = {"mid_evaluation": {"every_steps": 4, "keep_best": False}}
    fitted(stage, loaded, steps=9, plugins=[watches], options=plan)
    assert [step for step, _ in watches.seen] == [4, 8, 9]
    assert watches.epochs == [0, 1]
    curve = stage.reporter.of("metric", name="accuracy", split="validation")  # type: ignore[attr-defined]
    assert [event["step"] for event in curve] == [4, 8, 9]
    assert [e["value"] for e in curve] == [m["accuracy"] for _, m in watches.seen]
    assert equal(weights(plain), weights(loaded))
    assert stage.reporter.of("flops")[-1]["dense"] > before  # type: ignore[attr-defined]


def test_the_best_weights_are_kept_and_patience_ends_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workers.training import evaluation
    from workers.training.metrics import Score

    values = iter([0.5, 0.8, 0.7, None, 0.9])
    kept: list[dict[str, torch.Tensor]] = []
    stage, loaded = prepared(tmp_path)

    def scripted(*args: Any, **options: Any) -> Any:
        kept.append(weights(loaded))

        class Nothing:
            def forward_flops(self, *of: Any, **exits: Any) -> float:
                return 0.0

        return {"accuracy": Score(next(values))}, Nothing()

    monkeypatch.setattr(evaluation, "evaluate", scripted)
    plan = {"mid_evaluation": {"every_steps": 1, "patience": 2}}
    outcome = fitted(stage, loaded, steps=9, options=plan)
    assert (outcome.steps, outcome.best_step) == (4, 2)
    assert outcome.stopped == "no better accuracy in 2 evaluations"
    assert equal(weights(loaded), kept[1])


@pytest.mark.parametrize("at", [3, 5])
def test_mid_evaluation_resumes_to_the_same_best(tmp_path: Path, at: int) -> None:
    plan = {"options": {"mid_evaluation": {"every_steps": 2, "patience": 9}}}
    stage, whole = prepared(tmp_path / "whole")
    through = fitted(stage, whole, steps=9, **plan)
    interrupted(tmp_path / "halves", at, **plan)
    stage, halves = prepared(tmp_path / "halves")
    resumed = fitted(stage, halves, steps=9, **plan)
    assert through.best_step == resumed.best_step
    assert equal(weights(whole), weights(halves))
