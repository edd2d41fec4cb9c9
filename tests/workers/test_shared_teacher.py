"""A teacher runs once a batch for all terms; its cache is exact and bounded."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from tests.support.sockets import (
    IDS,
    Reads,
    count_passes,
    fitted,
    prepared,
    teacher,
)
from workers.methods.logits import SoftLabels
from workers.training.forward_pass import ForwardPass
from workers.training.model.recording import Needs


def test_the_teacher_runs_once_a_batch_for_three_terms(tmp_path: Path) -> None:
    stage, loaded = prepared(tmp_path)
    _, other = prepared(tmp_path)
    asked = teacher(other)
    calls = count_passes(other.model)

    class Compares(Reads):
        def __init__(self, needs: Needs) -> None:
            super().__init__(needs)
            self.teacher = asked
            self.states = 0

        def value(self, forward: ForwardPass) -> torch.Tensor:
            assert self.teacher is not None
            outputs = self.teacher.outputs(forward)
            self.states = len(outputs.hidden_states)
            assert not outputs.logits.requires_grad
            return (forward.logits - outputs.logits).square().mean()

    terms = [
        SoftLabels(asked, weight=0.5, temperature=2.0),
        Compares(Needs(hidden_states=True)),
        Compares(Needs(attention_scores=True)),
    ]
    fitted(stage, loaded, losses=terms)
    assert len(calls) == 4
    assert terms[1].states == 3  # type: ignore[attr-defined]
    assert not other.model.training
    curve = {e["name"] for e in stage.reporter.of("metric") if e["name"].startswith("loss")}  # type: ignore[attr-defined]
    assert curve == {"loss", "loss_logits", "loss_term"}


def batch(index: list[int], ids: torch.Tensor) -> ForwardPass:
    return ForwardPass(
        model=nn.Identity(),
        outputs=None,
        inputs={"input_ids": ids, "attention_mask": torch.ones_like(ids)},
        targets={"index": torch.tensor(index)},
    )


def test_the_cache_is_exact_and_bounded(tmp_path: Path) -> None:
    _, loaded = prepared(tmp_path)
    asked = teacher(loaded, cache_bytes=2 * 4 * 2)  # logits of two examples
    asked.begin(Needs(), 10)
    calls = count_passes(loaded.model)
    first = asked.outputs(batch([0, 1], IDS[:2])).logits.clone()
    wider = torch.cat([IDS[:2], torch.zeros(2, 3, dtype=torch.long)], dim=1)
    again = asked.outputs(batch([1, 0], wider.flip(0))).logits
    assert torch.equal(again, first.flip(0))  # to the last bit, in whatever batch it comes
    assert len(calls) == 1
    mixed = asked.outputs(batch([1, 7], IDS[1:])).logits
    assert torch.equal(mixed[0], first[1])
    asked.outputs(batch([7, 1], IDS[1:].flip(0)))
    assert len(calls) == 3  # example 7 has no place
    assert asked.flops(9) == 2 * 9 * 10
    assert asked.state()["logits"].shape == (2, 2)
