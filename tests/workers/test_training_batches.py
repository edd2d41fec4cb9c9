"""A plug-in changes batches before the forward pass: seen by all, resumable, counted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.sockets import (
    ReplacedTokens,
    equal,
    fitted,
    prepared,
    teacher,
    weights,
)
from workers.job.reporter import Interrupted
from workers.methods.logits import SoftLabels
from workers.training.losses import TaskLoss
from workers.training.model.loaded import Loaded
from workers.training.plugin import BatchPlace, Plugin

WIDTH = 16  # of the tests' encoder


def term(loaded: Loaded) -> ReplacedTokens:
    return ReplacedTokens(int(loaded.model.config.vocab_size), WIDTH)


class Twice(Plugin):
    """Augmentation: each example twice."""

    def change_batch(
        self, batch: Mapping[str, torch.Tensor], place: BatchPlace
    ) -> Mapping[str, torch.Tensor]:
        return {name: torch.cat([tensor, tensor]) for name, tensor in batch.items()}


@pytest.mark.parametrize("accumulation", [1, 3])
@pytest.mark.parametrize("at", [1, 4])
def test_replaced_tokens_resume_to_the_same_bits(
    tmp_path: Path, accumulation: int, at: int
) -> None:
    options = {"batch_size": 4, "gradient_accumulation": accumulation}
    stage, whole = prepared(tmp_path / "whole")
    one = term(whole)
    fitted(stage, whole, steps=6, losses=[TaskLoss(), one], options=options)
    root = tmp_path / "stopped"
    stage, loaded = prepared(root, stop_after=at - 1)
    early = term(loaded)
    with pytest.raises(Interrupted):
        fitted(stage, loaded, steps=6, losses=[TaskLoss(), early], options=options)
    stage, again = prepared(root)
    late = term(again)
    fitted(stage, again, steps=6, losses=[TaskLoss(), late], options=options)
    assert equal(weights(whole), weights(again))
    assert equal(one.own().state_dict(), late.own().state_dict())
    assert float(late.calls) == 6 * accumulation
    assert early.places + late.places == one.places
    assert [(place.step, place.part) for place in one.places] == [
        (step, part) for step in range(6) for part in range(accumulation)
    ]
    seen = [*early.batches, *late.batches]
    assert all(torch.equal(*pair) for pair in zip(seen, one.batches, strict=True))


def test_random_numbers_depend_on_place_and_purpose_alone() -> None:
    places = [
        BatchPlace(*numbers)
        for numbers in ((0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))
    ]
    before = torch.random.get_rng_state()
    draws = [torch.rand(4, generator=place.generator("a")).tolist() for place in places]
    draws.append(torch.rand(4, generator=places[0].generator("b")).tolist())
    assert len({tuple(each) for each in draws}) == 6
    assert torch.rand(4, generator=places[0].generator("a")).tolist() == draws[0]
    assert torch.equal(torch.random.get_rng_state(), before)


def operations(stage: Any) -> float:
    return float(stage.reporter.of("flops")[-1]["dense"])


def test_operations_are_those_of_the_changed_batch(tmp_path: Path) -> None:
    stage, loaded = prepared(tmp_path / "plain")
    fitted(stage, loaded)
    other, twice = prepared(tmp_path / "twice")
    fitted(other, twice, plugins=[Twice()])
    assert operations(other) == 2 * operations(stage)


def test_plugins_change_batches_in_turn_losses_first(tmp_path: Path) -> None:
    stage, loaded = prepared(tmp_path)
    replacing = term(loaded)
    rows: list[tuple[int, bool]] = []

    class Looks(Twice):
        def change_batch(
            self, batch: Mapping[str, torch.Tensor], place: BatchPlace
        ) -> Mapping[str, torch.Tensor]:
            rows.append((len(batch["input_ids"]), "replaced" in batch))
            return super().change_batch(batch, place)

    fitted(stage, loaded, steps=1, losses=[TaskLoss(), replacing], plugins=[Looks(), Looks()])
    assert rows == [(8, True), (16, True)]


def test_a_teacher_sees_the_changed_batch_at_each_visit(tmp_path: Path) -> None:
    stage, loaded = prepared(tmp_path)
    _, other = prepared(tmp_path)
    asked = teacher(other)
    inputs: list[torch.Tensor] = []
    other.model.register_forward_pre_hook(
        lambda module, args, kwargs: inputs.append(kwargs["input_ids"]), with_kwargs=True
    )
    soft = SoftLabels(asked, weight=0.5, temperature=2.0)
    replacing = term(loaded)
    # 48 examples, 8 a step: the second half of the steps visits examples again.
    fitted(stage, loaded, steps=12, losses=[TaskLoss(), soft, replacing])
    assert all(torch.equal(*pair) for pair in zip(inputs, replacing.batches, strict=True))
    assert asked.state() == {}


def test_an_invalid_batch_is_rejected_with_the_plugin_s_name(tmp_path: Path) -> None:
    class Halves(Plugin):
        def change_batch(
            self, batch: Mapping[str, torch.Tensor], place: BatchPlace
        ) -> Mapping[str, torch.Tensor]:
            return {**batch, "labels": batch["labels"][:4]}

    class Empties(Plugin):
        def change_batch(
            self, batch: Mapping[str, torch.Tensor], place: BatchPlace
        ) -> Mapping[str, torch.Tensor]:
            return {"labels": batch["labels"]}

    stage, loaded = prepared(tmp_path)
    with pytest.raises(ValueError, match=r"Halves.*different numbers of rows.*labels"):
        fitted(stage, loaded, plugins=[Halves()])
    with pytest.raises(ValueError, match=r"Empties.*without input_ids"):
        fitted(stage, loaded, plugins=[Empties()])
