from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from pricetag.recipes.students import Student
from tests.support.recording import RecordingReporter
from tests.support.training import CONFIG, TRAIN, carry_out, data_set, job, recipe
from workers.job.pipeline import run
from workers.job.reporter import JobError
from workers.methods.logits import SoftLabels, soft_loss
from workers.training.cost.flops import FlopProfile
from workers.training.forward_pass import ForwardPass
from workers.training.losses import task_loss
from workers.training.model.recording import NOTHING
from workers.training.model.students import student_of
from workers.training.teacher import Teacher

DISTILL = {**TRAIN, "kind": "distill"}
PROFILE = FlopProfile(square=0, linear=10, fixed=0, method="test")


def test_soft_loss_equals_the_written_out_sum() -> None:
    student, teacher = torch.tensor([[1.0, -1.0], [0.5, 0.0]]), torch.tensor([[2.0, 0.0], [0.0, 1]])
    temperature, total = 2.0, 0.0
    for s, t in zip(student.tolist(), teacher.tolist(), strict=True):
        p = [math.exp(x / temperature) for x in t]
        q = [math.exp(x / temperature) for x in s]
        for a, b in zip(p, q, strict=True):
            total += a / sum(p) * math.log((a / sum(p)) / (b / sum(q)))
    expected = temperature**2 * total / 2
    assert float(soft_loss(student, teacher, temperature)) == pytest.approx(expected, rel=1e-5)


def test_the_gradient_keeps_its_size_as_the_temperature_grows() -> None:
    teacher = torch.tensor([[0.3, -0.2, 0.1]])
    sizes = []
    for temperature in (10.0, 100.0):
        student = torch.zeros((1, 3), requires_grad=True)
        (slope,) = torch.autograd.grad(soft_loss(student, teacher, temperature), student)
        sizes.append(float(slope.norm()))
    assert sizes[0] == pytest.approx(sizes[1], rel=0.05)


def test_soft_loss_of_scores_is_their_squared_error() -> None:
    assert float(soft_loss(torch.tensor([[1.0], [3.0]]), torch.tensor([[0.0], [1.0]]), 2.0)) == 2.5


def test_task_loss_follows_the_labels_kind() -> None:
    assert float(task_loss(torch.tensor([[1.0], [3.0]]), torch.tensor([0.0, 1.0]))) == 2.5
    classes = task_loss(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    assert float(classes) == pytest.approx(math.log(2))


@pytest.mark.parametrize(
    ("layers", "teacher", "kept"),
    [
        ("every_second", 6, [0, 2, 4]),
        ("first", 6, [0, 1, 2]),
        ("first", 5, [0, 1, 2]),
        (3, 6, [0, 2, 4]),
        (4, 12, [0, 3, 6, 9]),
        (1, 4, [0]),
        ([1, 3], 4, [1, 3]),
    ],
)
def test_a_student_takes_over_the_selected_layers(
    layers: Any, teacher: int, kept: list[int]
) -> None:
    assert Student(layers=layers).kept_layers(teacher) == kept


def teacher_network() -> BertForSequenceClassification:
    config = BertConfig(
        vocab_size=60,
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=16,
    )
    torch.manual_seed(0)
    return BertForSequenceClassification(config)


def test_a_student_starts_from_its_teachers_layers() -> None:
    teacher = teacher_network()
    student = student_of(teacher, Student(layers=[1, 3]), 0, "f")
    own, theirs = student.state_dict(), teacher.state_dict()
    for name, tensor in own.items():
        source = name.replace("layer.1.", "layer.3.").replace("layer.0.", "layer.1.")
        assert torch.equal(tensor, theirs[source]), name
    assert student.config.num_hidden_layers == 2
    assert teacher.config.num_hidden_layers == 4


def test_a_narrower_student_starts_at_random() -> None:
    teacher = teacher_network()
    student = student_of(teacher, Student(layers=2, hidden_size=8), 0, "f")
    assert student.config.hidden_size == 8
    with torch.inference_mode():
        logits = student(input_ids=torch.ones((1, 4), dtype=torch.long)).logits
    assert logits.shape == (1, 2)


@pytest.mark.parametrize(
    "student", [Student(layers=5), Student(layers=[4]), Student(hidden_size=15)]
)
def test_a_student_that_does_not_fit_is_rejected(student: Student) -> None:
    with pytest.raises(JobError) as caught:
        student_of(teacher_network(), student, 0, "recipe.stages.1.student")
    assert (caught.value.code, caught.value.field) == ("bad-student", "recipe.stages.1.student")


def test_an_impossible_student_is_rejected_before_its_teacher_is_trained(
    tmp_path: Path,
) -> None:
    data_set(tmp_path)
    teacher_network().save_pretrained(tmp_path / "teacher")
    reporter = RecordingReporter()
    described = recipe(TRAIN, {**DISTILL, "student": {"layers": 5}}, model="teacher")
    with pytest.raises(JobError) as caught:
        run(job(tmp_path, described), reporter)
    assert (caught.value.code, caught.value.field) == (
        "bad-student",
        "recipe.stages.1.student.layers",
    )
    assert reporter.of("stage_start") == []


def test_the_teacher_is_run_once_for_each_example() -> None:
    model = teacher_network()
    teacher = Teacher(model, precision_="fp32", profile=PROFILE)
    teacher.begin(NOTHING, 4)
    soft = SoftLabels(teacher, weight=1.0, temperature=2.0)
    ids = torch.randint(0, 60, (2, 5), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        logits = model(input_ids=ids).logits.clone()

    def forward(own: torch.Tensor) -> ForwardPass:
        return ForwardPass(
            model=model,
            outputs=SimpleNamespace(logits=own),
            inputs={"input_ids": ids},
            targets={"labels": torch.tensor([0, 1]), "index": torch.tensor([3, 1])},
        )

    assert float(soft.value(forward(logits))) == pytest.approx(0.0, abs=1e-6)
    assert teacher.flops(5) == 2 * 5 * 10
    teacher.forget_batch()
    expected = float(soft_loss(torch.zeros_like(logits), logits, 2.0))
    assert float(soft.value(forward(torch.zeros_like(logits)))) == pytest.approx(expected)
    assert teacher.flops(5) == 0.0


def test_a_student_learns_from_its_teacher(tmp_path: Path) -> None:
    data_set(tmp_path, train=400, dev=100, hard_share=0.0)
    stage = {"epochs": 6, "max_steps": None, "learning_rate": 2e-3, "batch_size": 16}
    stages = [{**TRAIN, **stage}, {**DISTILL, **stage, "student": {"layers": 1}, "epochs": 2}]
    config = {**CONFIG, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    reporter = carry_out(tmp_path, recipe(*stages, model={"config": config}))
    teacher, student = (e["value"] for e in reporter.of("metric", name="accuracy"))
    assert teacher > 0.85
    assert student > 0.85
    cost = list({event["key"]: event["dense"] for event in reporter.of("flops")}.values())
    # Forward of the teacher once, three times that of a student half its size, twice.
    assert cost[2] / cost[0] == pytest.approx((1 + 2 * 3 / 2) / (6 * 3), rel=0.15)


def test_an_untrained_teacher_is_rejected(tmp_path: Path) -> None:
    data_set(tmp_path)
    folder = tmp_path / "encoder"
    teacher_network().bert.save_pretrained(folder)
    with pytest.raises(JobError) as caught:
        carry_out(tmp_path, recipe(DISTILL, model="encoder"))
    assert (caught.value.code, caught.value.field) == ("untrained-model", "recipe.stages.0")
