"""Patient knowledge distillation, against the values of its authors' code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from pricetag.recipes import parse_recipe
from pricetag.recipes.errors import RecipeError
from tests.support.training import CONFIG, TRAIN, carry_out, data_set, recipe
from workers.methods.logits import soft_loss
from workers.methods.pkd import patience_loss, patient_layers

GOLDEN = json.loads((Path(__file__).parents[1] / "data/golden/pkd_patience.json").read_text())
CASES = GOLDEN["cases"]
PATIENCE = [name for name, case in CASES.items() if "loss_float64" in case]
OBJECTIVES = [name for name in CASES if name.startswith("objective")]
PKD = {**TRAIN, "kind": "distill", "method": "pkd", "start": "teacher", "student": {"layers": 2}}


def states(name: str) -> torch.Tensor:
    return torch.tensor(CASES["inputs"][name], dtype=torch.float64)


def test_every_case_is_computed() -> None:
    assert {"inputs", *PATIENCE, *OBJECTIVES} == set(CASES)


@pytest.mark.parametrize("name", PATIENCE)
def test_loss_and_gradient_are_those_of_the_authors(name: str) -> None:
    case = CASES[name]
    own, theirs = states("student_cls").requires_grad_(), states("teacher_cls")
    loss = patience_loss(own, theirs, normalize=name == "normalized")
    (gradient,) = torch.autograd.grad(loss, own)
    assert loss.item() == pytest.approx(case["loss_float64"], rel=1e-12)
    expected = torch.tensor(case["grad_student"], dtype=torch.float64)
    torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-14)
    assert loss.half().item() == pytest.approx(case["loss_authors_half"], rel=1e-3)
    key = "textbrewer_sum_over_hidden_single_layer"  # another code's: without the mean over hidden
    if key in case:
        by_layer = [
            states("student_cls").shape[-1] * patience_loss(one[:, None], two[:, None]).item()
            for one, two in zip(own.unbind(1), theirs.unbind(1), strict=True)
        ]
        assert by_layer == pytest.approx(case[key], rel=1e-6)


def test_without_normalization_it_is_the_plain_squared_difference() -> None:
    own, theirs = states("student_cls"), states("teacher_cls")
    assert float(patience_loss(own, theirs, normalize=False)) == pytest.approx(
        float(((own - theirs) ** 2).mean()), rel=1e-12
    )


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_whole_objective_is_that_of_the_authors(name: str) -> None:
    """Their KL is a mean over classes too."""
    case = CASES[name]
    student, teacher, labels = (
        torch.tensor(case[name]) for name in ("student_logits", "teacher_logits", "labels")
    )
    student, teacher = student.double(), teacher.double()
    alpha, temperature = case["alpha"], float(case["T"])
    soft = soft_loss(student, teacher, temperature, mean_over_options=True)
    hard = functional.cross_entropy(student, labels)
    logits_part = alpha * soft + (1 - alpha) * hard
    assert float(logits_part) == pytest.approx(case["kd_part"], rel=1e-6)
    patience = patience_loss(states("student_cls"), states("teacher_cls"))
    assert float(patience) == pytest.approx(case["patience"], rel=1e-6)
    total = logits_part + case["beta"] * patience
    assert float(total) == pytest.approx(case["total"], rel=1e-6)


@pytest.mark.parametrize(
    ("student", "teacher", "choice", "layers"),
    [
        (6, 12, "skip", [1, 3, 5, 7, 9]),
        (6, 24, "skip", [3, 7, 11, 15, 19]),
        (6, 12, "last", [6, 7, 8, 9, 10]),
        (3, 12, "last", [9, 10]),
        (3, 12, "skip", [3, 7]),
        (4, 6, "skip", [0, 2, 3]),
        (2, 2, "skip", [0]),
        (2, 2, "last", [0]),
    ],
)
def test_layers_that_a_student_learns_from(
    student: int, teacher: int, choice: Any, layers: list[int]
) -> None:
    assert patient_layers(teacher, student, choice) == layers


@pytest.mark.parametrize("choice", ["skip", "last"])
def test_a_student_that_is_deeper_than_its_teacher_is_rejected(choice: Any) -> None:
    with pytest.raises(ValueError, match="3 layers, the teacher only 2"):
        patient_layers(2, 3, choice)


def test_a_student_from_the_pretrained_model_learns_and_has_a_head_of_its_own(
    tmp_path: Path,
) -> None:
    data_set(tmp_path, train=200, dev=60, hard_share=0.0)
    stage = {"epochs": 4, "max_steps": None, "learning_rate": 2e-3, "batch_size": 16}
    config = {**CONFIG, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4}
    carry_out(tmp_path, recipe({**TRAIN, **stage}, model={"config": config}))
    (trained,) = tmp_path.glob("work/stage-00/model")
    trained.rename(tmp_path / "pretrained")
    stages = [{**TRAIN, **stage}, {**PKD, **stage, "start": "pretrained", "beta": 10.0}]
    reporter = carry_out(tmp_path, recipe(*stages, model="pretrained"))
    scores = [event["value"] for event in reporter.of("metric", name="accuracy")]
    assert scores[-1] > 0.85
    losses = reporter.of("metric", name="loss_patience")
    assert losses[-1]["value"] < losses[0]["value"]


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"start": "pretrained"}, "start", "random weights"),
        ({"student": {"layers": 1}}, "student.layers", "two or more"),
        ({"student": {"layers": 2, "hidden_size": 8}}, "student.hidden_size", "the teacher's"),
        ({"method": "pdk"}, "method", "must be one of: logits, "),
        ({"tokens": "all"}, "tokens", "not a known field"),
        ({"kind": "distill-pkd"}, "kind", "unknown stage kind"),
    ],
)
def test_what_does_not_fit_is_rejected_with_its_field(
    changes: dict[str, Any], field: str, message: str
) -> None:
    described = recipe(TRAIN, {**PKD, **changes}, model={"config": CONFIG})
    with pytest.raises(RecipeError) as caught:
        parse_recipe(described)
    assert caught.value.field == f"recipe.stages.1.{field}"
    assert message in caught.value.message
