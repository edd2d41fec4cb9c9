"""Word-level distillation, against the values of three published reductions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from workers.methods.logits import soft_loss
from workers.training.losses import task_loss

FOLDER = Path(__file__).parents[1] / "data/golden"
CASES = json.loads((FOLDER / "kd_word_level.json").read_text())["cases"]
INPUTS = CASES["inputs"]


def logits(name: str) -> torch.Tensor:
    return torch.tensor(INPUTS[name], dtype=torch.float64)


def names(beginning: str) -> list[str]:
    return [name for name in CASES if name.startswith(beginning)]


@pytest.mark.parametrize("name", names("batchmean"))
def test_loss_and_gradient_are_those_of_the_published_code(name: str) -> None:
    case = CASES[name]
    student, labels = logits("student_logits").requires_grad_(), torch.tensor(INPUTS["labels"])
    soft = soft_loss(student, logits("teacher_logits"), case["T"])
    hard = task_loss(student, labels)
    loss = case["alpha_soft"] * soft + case["alpha_hard"] * hard
    assert soft.item() == pytest.approx(case["soft"], rel=1e-12)
    assert hard.item() == pytest.approx(case["hard"], rel=1e-12)
    assert loss.item() == pytest.approx(case["loss"], rel=1e-12)
    (slope,) = torch.autograd.grad(loss, student)
    expected = torch.tensor(case["grad_student_logits"], dtype=torch.float64)
    torch.testing.assert_close(slope, expected, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("name", names("textbrewer_ce"))
def test_without_the_factor_it_is_a_cross_entropy_but_for_the_teachers_entropy(name: str) -> None:
    """That code has no T^2, so that its gradient shrinks with the temperature; ours has."""
    case = CASES[name]
    student, theirs = logits("student_logits").requires_grad_(), logits("teacher_logits")
    soft = soft_loss(student, theirs, case["T"]) / case["T"] ** 2
    certain = functional.log_softmax(theirs / case["T"], dim=-1)
    entropy = -(certain.exp() * certain).sum(-1).mean()
    assert (soft + entropy).item() == pytest.approx(case["loss"], rel=1e-12)
    (slope,) = torch.autograd.grad(soft, student)
    expected = torch.tensor(case["grad_student_logits"], dtype=torch.float64)
    torch.testing.assert_close(slope, expected, rtol=1e-9, atol=1e-14)


def test_every_case_is_one_of_these() -> None:
    assert {*names("batchmean"), *names("textbrewer_ce"), "inputs"} == set(CASES)
