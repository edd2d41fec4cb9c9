"""Word-level distillation, against the values of three published reductions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from workers.methods import logits as logits_module
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


@pytest.mark.parametrize("impossible", [(), (1,), (0, 4)])
@pytest.mark.parametrize("at_once", [1, 7, 20, 1000])
def test_a_part_of_the_rows_at_a_time_gives_the_loss_and_gradient_of_all(
    at_once: int, impossible: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A vocabulary's logits are taken in parts; some options cannot be chosen."""
    monkeypatch.setattr(logits_module, "AT_ONCE", at_once)
    generator = torch.Generator().manual_seed(3)
    student = torch.randn(9, 7, generator=generator, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(9, 7, generator=generator, dtype=torch.float64)
    teacher[2:, list(impossible)] = -torch.inf
    soft = functional.softmax(teacher / 1.5, dim=-1)
    certain = functional.log_softmax(student / 1.5, dim=-1)
    terms = torch.where(soft > 0, soft * (soft.log() - certain), 0.0)
    expected = 1.5**2 * terms.sum() / 9
    (expected_slope,) = torch.autograd.grad(3 * expected, student)
    loss = soft_loss(student, teacher, 1.5)
    (slope,) = torch.autograd.grad(3 * loss, student)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(slope, expected_slope, rtol=1e-9, atol=1e-14)


def test_every_case_is_one_of_these() -> None:
    assert {*names("batchmean"), *names("textbrewer_ce"), "inputs"} == set(CASES)


@pytest.mark.parametrize("is_cuda", [True, False])
def test_a_gpu_is_never_waited_for(is_cuda: bool) -> None:
    looks = 0

    class OnDevice:
        def __init__(self) -> None:
            self.is_cuda = is_cuda

        def isnan(self) -> torch.Tensor:
            nonlocal looks
            looks += 1
            return torch.tensor(False)

    on_device: Any = OnDevice()
    assert logits_module._may_have_zeros(on_device) is is_cuda
    assert looks == (0 if is_cuda else 1)


@pytest.mark.parametrize("weight", [1.0, 5.0, 0.0])
def test_the_gradient_of_16_bits_is_rounded_once(weight: float) -> None:
    """It is that of the logits in fp32, times the loss's factor, rounded at the end."""
    draws = torch.Generator().manual_seed(1)
    student, teacher = torch.randn(2, 9, 7, generator=draws).bfloat16().unbind()
    wide = student.float().requires_grad_()
    (expected,) = torch.autograd.grad(weight * soft_loss(wide, teacher.float(), 2.0), wide)
    narrow = student.clone().requires_grad_()
    loss = soft_loss(narrow, teacher, 2.0, weight=weight or 1.0)
    assert loss.dtype == torch.float32
    (slope,) = torch.autograd.grad(weight * loss, narrow)
    torch.testing.assert_close(slope.float(), expected.bfloat16().float(), rtol=2**-8, atol=1e-9)


def test_a_mask_that_is_not_needed_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    student, teacher = logits("student_logits"), logits("teacher_logits")
    looked_for = soft_loss(student, teacher, 2.0)
    monkeypatch.setattr(logits_module, "_may_have_zeros", lambda _: True)
    assert torch.equal(soft_loss(student, teacher, 2.0), looked_for)


def test_choices_of_a_batch_of_sequences_count_one_by_one() -> None:
    draws = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 2, 3, 5, generator=draws).double().unbind()
    flat = soft_loss(student.view(6, 5), teacher.view(6, 5), 2.0)
    torch.testing.assert_close(soft_loss(student, teacher, 2.0), flat)
    torch.testing.assert_close(soft_loss(student, teacher, 2.0, mean_over_options=True), flat / 5)
