"""Every training of a stage computes in the format that it reports, and evaluations in fp32."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.support.sockets import fitted, prepared
from workers.training.forward_pass import ForwardPass
from workers.training.losses import TaskLoss
from workers.training.model.recording import Needs
from workers.training.plugin import LossTerm, Plugin


class Inner(LossTerm):
    """A term that reads inner states alone: the head is not computed."""

    name = "inner"
    needs = Needs(hidden_states=True)
    reads_logits = False

    def value(self, forward: ForwardPass) -> torch.Tensor:
        return forward.hidden_states[-1].float().square().mean()


def watch_formats(model: nn.Module) -> dict[bool, set[torch.dtype]]:
    """The formats of a matrix's output, by whether the model was in training mode."""
    formats: dict[bool, set[torch.dtype]] = {True: set(), False: set()}
    matrix = next(m for n, m in model.named_modules() if n.endswith("intermediate.dense"))
    matrix.register_forward_hook(
        lambda module, args, output: formats[module.training].add(output.dtype)
    )
    return formats


class Watches(Plugin):
    """Watches the formats from the beginning of a training, after the model was checked."""

    def attach(self, model: nn.Module) -> None:
        self.formats = watch_formats(model)


TERMS: dict[str, list[LossTerm]] = {"task": [TaskLoss()], "inner": [Inner()]}
PAIRS = list(product(TERMS, repeat=2))


@pytest.mark.parametrize("names", PAIRS, ids=["-".join(pair) for pair in PAIRS])
def test_each_training_of_a_model_computes_in_bf16(tmp_path: Path, names: tuple[str, str]) -> None:
    stage, loaded = prepared(tmp_path)
    usual = dict(loaded.model.__dict__)
    for number, name in enumerate(names):
        formats = watch_formats(loaded.model)
        outcome = fitted(
            stage,
            loaded,
            steps=2,
            losses=TERMS[name],
            options={"precision": "bf16"},
            folder=tmp_path / str(number),
        )
        assert outcome.precision == "bf16"
        assert formats[True] == {torch.bfloat16}
    assert loaded.model.__dict__.keys() == usual.keys()


def test_a_training_in_fp32_may_follow_one_in_bf16(tmp_path: Path) -> None:
    stage, loaded = prepared(tmp_path)
    fitted(stage, loaded, steps=2, options={"precision": "bf16"}, folder=tmp_path / "first")
    formats = watch_formats(loaded.model)
    fitted(stage, loaded, steps=2, folder=tmp_path / "second")
    assert formats[True] == {torch.float32}


def test_an_evaluation_in_mid_training_computes_in_fp32(tmp_path: Path) -> None:
    stage, loaded = prepared(tmp_path)
    plan = {"mid_evaluation": {"every_steps": 1}, "precision": "bf16"}
    watches = Watches()
    fitted(stage, loaded, steps=3, options=plan, plugins=[watches])
    assert watches.formats == {True: {torch.bfloat16}, False: {torch.float32}}
