"""Distillation of language models and of question answering."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional
from transformers import AutoConfig

from pricetag.recipes import RecipeError, parse_recipe
from pricetag.recipes.methods.distill import Distill
from pricetag.recipes.students import Student
from tests.support import tiny_models
from tests.support.recording import RecordingReporter
from tests.support.tasks import TASKS, task_files, task_recipe
from tests.support.training import TRAIN_TOKENS, carry_out, job
from workers.job.pipeline import run
from workers.job.reporter import Interrupted, JobError
from workers.methods.logits import SoftLabels, soft_loss
from workers.training.cost.flops import FlopProfile
from workers.training.distillation import require_same_vocabulary
from workers.training.forward_pass import ForwardPass
from workers.training.losses import task_loss
from workers.training.model import heads
from workers.training.model.recording import NOTHING
from workers.training.model.students import student_config, student_of
from workers.training.tasks.registry import task_named
from workers.training.teacher import Teacher

DISTILL = {**TRAIN_TOKENS, "kind": "distill", "student": {"layers": [1]}}


# ---- the loss ----


def test_word_level_distillation_is_that_of_the_published_code() -> None:
    # movement-pruning/masked_run_glue.py (Hugging Face), T 2, both weights 0.5, double precision.
    student = torch.tensor(
        [[-1.58, -4.069, 1.207], [1.489, -0.619, 0.735], [3.421, 2.122, 1.415],
         [1.375, -1.727, 1.928], [-3.297, -0.664, -0.875]],
        dtype=torch.float64, requires_grad=True,
    )  # fmt: skip
    teacher = torch.tensor(
        [[-4.321, -0.276, 4.109], [-0.85, -3.019, -0.228], [2.135, 0.483, -0.007],
         [-3.523, 1.253, 1.214], [3.353, 3.723, 1.721]],
        dtype=torch.float64,
    )  # fmt: skip
    labels = torch.tensor([0, 2, 1, 1, 2])
    soft, hard = soft_loss(student, teacher, 2.0), task_loss(student, labels)
    assert float(soft.detach()) == pytest.approx(0.9551534563182292, rel=1e-12)
    (slope,) = torch.autograd.grad(0.5 * hard + 0.5 * soft, student)
    first = [-0.059232530989533225, -0.008506142794654788, 0.067738673784188]
    assert slope[0].tolist() == pytest.approx(first, rel=1e-10)


MASKED_STUDENT = [
    [[0.939, 3.246, 1.433, -1.62, -0.891, 1.292], [-0.066, 1.789, -2.913, 3.169, 2.827, -2.172],
     [-0.444, -0.905, -0.553, 1.494, -0.73, -1.334], [1.136, 2.109, -0.582, 0.54, -2.084, 1.619]],
    [[3.586, 1.03, 0.026, -3.001, -0.364, -3.033], [1.315, 2.864, 2.267, 0.377, 0.879, -0.924],
     [0.47, 0.469, 0.091, -4.021, 0.499, 0.782], [-1.093, 0.727, 1.308, -3.285, 1.433, -0.779]],
]  # fmt: skip
MASKED_TEACHER = [
    [[-2.406, 0.263, -1.712, -1.08, -2.207, -1.522],
     [-2.639, -1.353, -2.385, -2.917, 2.094, -0.043], [0.787, 3.492, 1.31, -0.035, -2.33, 1.586],
     [0.93, 2.089, -0.315, -0.814, -4.378, 1.09]],
    [[-3.257, -1.104, 0.927, 0.04, -0.304, 0.813], [-3.787, -0.016, 2.488, 2.278, -3.223, 1.835],
     [0.78, -2.165, -2.942, -0.434, 2.744, 0.868], [-2.089, 0.088, 2.044, -0.314, -1.087, 0.829]],
]  # fmt: skip
MASKED_LABELS = [[-100, 3, -100, 0], [5, -100, 2, -100]]
MASK = [[1, 1, 1, 1], [1, 1, 1, 0]]


def batch(own: Any, labels: Any, mask: Any = MASK) -> ForwardPass:
    return ForwardPass(
        model=torch.nn.Identity(),
        outputs=own,
        inputs={"input_ids": torch.tensor(mask), "attention_mask": torch.tensor(mask)},
        targets={"labels": torch.tensor(labels)},
    )


def of_teacher(task: str, own: Any, theirs: Any, forward: ForwardPass, **options: Any) -> float:
    """The task's soft loss at T 2, without a network."""
    choices = task_named(task).choices
    pairs = zip(choices(own, forward, **options), choices(theirs, forward, **options), strict=True)
    losses = [soft_loss(student, teacher, 2.0) for student, teacher in pairs]
    return float(torch.stack(losses).mean().detach())


@pytest.mark.parametrize(
    ("every_token", "expected"),
    [(True, 2.0555430622410436), (False, 2.235140654999431)],
    ids=["all", "predicted"],
)
def test_tokens_of_a_language_model_are_averaged_as_by_distilberts_code(
    every_token: bool, expected: float
) -> None:
    # Both settings of restrict_ce_to_mask: without it every token that is not padding counts.
    own = SimpleNamespace(logits=torch.tensor(MASKED_STUDENT))
    theirs = SimpleNamespace(logits=torch.tensor(MASKED_TEACHER))
    forward = batch(own, MASKED_LABELS)
    loss = of_teacher("masked_lm", own, theirs, forward, every_token=every_token)
    assert loss == pytest.approx(expected, rel=1e-6)


def test_a_batch_without_a_predicted_token_has_no_soft_loss() -> None:
    own = SimpleNamespace(logits=torch.tensor(MASKED_STUDENT, requires_grad=True))
    forward = batch(own, [[-100] * 4] * 2)
    (logits,) = task_named("causal_lm").choices(own, forward)
    loss = soft_loss(logits, logits.detach(), 2.0)
    (slope,) = torch.autograd.grad(loss, own.logits)
    assert float(loss.detach()) == 0
    assert not bool(slope.any())


def test_an_answers_first_and_last_token_are_learned_and_padding_is_not() -> None:
    torch.manual_seed(0)
    first, last, their_first, their_last = torch.randn(4, 2, 4).unbind()
    own = SimpleNamespace(start_logits=first.requires_grad_(), end_logits=last)
    theirs = SimpleNamespace(start_logits=their_first, end_logits=their_last)
    forward = batch(own, [[1, 2], [0, 1]])
    expected = 0.0
    for row, length in enumerate((4, 3)):
        for student, teacher in ((first, their_first), (last, their_last)):
            p = functional.softmax(teacher[row, :length] / 2, dim=0)
            q = functional.softmax(student[row, :length] / 2, dim=0)
            expected += (
                4 * float((p * (p / q).log()).sum().detach()) / 4
            )  # T^2, two rows, two places
    assert of_teacher("question_answering", own, theirs, forward) == pytest.approx(expected)
    (first_logits, _), (target, _) = (
        task_named("question_answering").choices(each, forward) for each in (own, theirs)
    )
    (slope,) = torch.autograd.grad(soft_loss(first_logits, target, 2.0), first)
    assert bool(slope.isfinite().all())
    assert float(slope[1, 3]) == 0.0
    assert bool((slope[0] != 0).all())


def test_the_teacher_s_logits_of_tokens_are_recomputed_for_other_masks() -> None:
    model = heads.MASKED_LM.build(tiny_models.config())
    teacher = Teacher(model, precision_="fp32", profile=FlopProfile(0, 10, 0, "test"))
    teacher.begin(NOTHING, 2)
    soft = SoftLabels(teacher, 1.0, 2.0, task_named("masked_lm").choices)
    values = []
    for token in (5, 6):
        ids = torch.full((2, 4), token)
        forward = ForwardPass(
            model=model,
            outputs=SimpleNamespace(logits=torch.zeros(2, 4, model.config.vocab_size)),
            inputs={"input_ids": ids, "attention_mask": torch.ones_like(ids)},
            targets={"labels": ids, "index": torch.tensor([0, 1])},
        )
        values.append(float(soft.value(forward)))
        assert teacher.flops(4) == 2 * 4 * 10
        teacher.forget_batch()
    assert values[0] != values[1]


# ---- the stage ----


@pytest.fixture(scope="module", params=TASKS)
def finished(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, RecordingReporter]:
    """A teacher and its student for each task."""
    task = request.param
    root = task_files(tmp_path_factory.mktemp(task), task)
    return task, root, carry_out(root, task_recipe(task, TRAIN_TOKENS, DISTILL))


def stage_model(root: Path, stage: str) -> dict[str, torch.Tensor]:
    return load_file(root / "work" / stage / "model" / "model.safetensors")


def test_a_student_is_trained_evaluated_and_published_for_every_task(
    finished: tuple[str, Path, RecordingReporter],
) -> None:
    task, root, reporter = finished
    ends = [(event["kind"], event["status"]) for event in reporter.of("stage_end")]
    done = "succeeded"
    assert ends == [("train", done), ("evaluate", done), ("distill", done), ("evaluate", done)]
    terms = {event["name"] for event in reporter.of("metric") if event["split"] == "train"}
    assert {"loss", "loss_task", "loss_logits"} <= terms
    card = next(e["card"] for e in reporter.of("artifact") if (e["card"] or {}).get("stage") == 1)
    assert (card["facts"]["teacher_layers"], card["facts"]["student_layers"]) == (2, 1)
    assert set(card["quality"]["validation"]) == set(
        {
            "masked_lm": ("perplexity", "masked_accuracy", "predicted_tokens"),
            "causal_lm": ("perplexity", "predicted_tokens"),
            "question_answering": ("exact_match", "f1"),
        }[task]
    )
    mark = ".h." if task == "causal_lm" else ".layer."
    numbers = {n.split(mark)[1].split(".")[0] for n in stage_model(root, "stage-02") if mark in n}
    assert numbers == {"0"}


def test_the_teachers_forward_pass_is_counted_for_every_batch(
    finished: tuple[str, Path, RecordingReporter],
) -> None:
    _, _, reporter = finished
    counts = list({event["key"]: event["dense"] for event in reporter.of("flops")}.values())
    train, distill = counts[0], counts[2]
    # The same batches: three passes of a teacher t; then one of it and three of a student s < t.
    assert train / 3 < distill < train / 3 + train


@pytest.mark.parametrize("task", TASKS)
def test_a_distillation_that_is_interrupted_resumes_to_the_same_student(
    tmp_path: Path, task: str
) -> None:
    root = task_files(tmp_path, task)
    carry_out(root, task_recipe(task, {**TRAIN_TOKENS, "evaluate": False}))
    (root / "work" / "stage-00" / "model").rename(root / "teacher")
    described = task_recipe(task, {**DISTILL, "evaluate": False}, model="teacher")
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    run(job(root, described, work_dir=whole), RecordingReporter())
    with pytest.raises(Interrupted):
        run(job(root, described, work_dir=halves), RecordingReporter(stop_after=4))
    reporter = RecordingReporter()
    run(job(root, described, attempt=2, work_dir=halves), reporter)
    assert any("resuming from" in event["text"] for event in reporter.of("log"))
    one, other = (
        load_file(folder / "stage-00" / "model" / "model.safetensors") for folder in (whole, halves)
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("task", TASKS)
def test_a_student_comes_close_to_its_teacher_without_labels(tmp_path: Path, task: str) -> None:
    root = task_files(tmp_path, task)
    steps = {"max_steps": 40, "learning_rate": 1e-2, "evaluate": False}
    student = {**DISTILL, **steps, "alpha": 0.0, "student": {"layers": 1, "hidden_size": 8}}
    reporter = carry_out(root, task_recipe(task, {**TRAIN_TOKENS, **steps}, student))
    curve = [event["value"] for event in reporter.of("metric", name="loss_logits")]
    assert curve[-1] < 0.5 * curve[0]


# ---- students ----


@pytest.mark.parametrize(
    ("head", "family"),
    [
        (heads.CAUSAL_LM, "gpt2"),
        (heads.MASKED_LM, "distilbert"),
        (heads.MASKED_LM, "roberta"),
        (heads.QUESTION_ANSWERING, "electra"),
        (heads.CLASSIFIER, "gpt2"),
        (heads.CAUSAL_LM, "opt"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_a_student_has_the_layers_that_were_asked_for(head: heads.Head, family: str) -> None:
    config = tiny_models.config(family)
    config.num_hidden_layers = 4
    torch.manual_seed(0)
    teacher = head.build(config)
    student = student_of(teacher, Student(layers=[1, 3]), 0, "f")
    own, theirs = student.state_dict(), teacher.state_dict()
    mark = next(
        mark for mark in (".h.", ".layer.", ".layers.") if any(mark in name for name in own)
    )
    in_layers = 0
    for name, tensor in own.items():
        start, separator, rest = name.partition(mark)
        if separator:
            number, _, rest = rest.partition(".")
            name = f"{start}{mark}{2 * int(number) + 1}.{rest}"
            in_layers += 1
        assert torch.equal(tensor, theirs[name]), name
    assert in_layers > 10


@pytest.mark.parametrize("family", ["gpt2", "distilbert", "bert"])
def test_a_student_s_feed_forward_width_is_set_whatever_its_name(family: str) -> None:
    head = heads.CLASSIFIER
    teacher = head.build(tiny_models.config(family))
    student = student_of(teacher, Student(layers=1, intermediate_size=24), 0, "f")
    widths = {size for tensor in student.state_dict().values() for size in tensor.shape}
    assert 24 in widths
    assert 24 not in {size for t in teacher.state_dict().values() for size in t.shape}


def test_a_width_that_the_architecture_does_not_have_is_rejected() -> None:
    with pytest.raises(ValueError, match="a ctrl model has no intermediate_size; remove it"):
        student_config(Student(layers=1, intermediate_size=24), AutoConfig.for_model("ctrl"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"vocab_size": 99}, "the student has 99 tokens and its teacher"),
        ({"num_labels": 5}, "the student has 5 classes and its teacher 2"),
    ],
)
def test_another_vocabulary_is_rejected(change: dict[str, Any], words: str) -> None:
    teacher, student = tiny_models.config(), tiny_models.config()
    require_same_vocabulary(teacher, student, "f")
    for name, value in change.items():
        setattr(student, name, value)
    with pytest.raises(JobError, match=words) as caught:
        require_same_vocabulary(teacher, student, "recipe.stages.1.student")
    assert (caught.value.code, caught.value.field) == ("bad-student", "recipe.stages.1.student")


def test_a_student_of_a_decoder_is_checked_before_its_teacher_is_trained(tmp_path: Path) -> None:
    root = task_files(tmp_path, "causal_lm")
    heads.CAUSAL_LM.build(tiny_models.config("gpt2")).save_pretrained(root / "base")
    tiny_models.tokenizer().save_pretrained(root / "base")
    stages = (TRAIN_TOKENS, {**DISTILL, "student": {"layers": 5}})
    reporter = RecordingReporter()
    with pytest.raises(JobError) as caught:
        run(job(root, task_recipe("causal_lm", *stages, model="base")), reporter)
    assert caught.value.field == "recipe.stages.1.student.layers"
    assert reporter.of("stage_start") == []


# ---- what is rejected when a run is submitted ----


@pytest.mark.parametrize("task", ["classification", "regression", "question_answering"])
def test_tokens_is_an_option_only_for_language_models(task: str) -> None:
    data = {"train": "a.csv", "validation": "b.csv"}
    stage = {**DISTILL, "tokens": "all"}
    described = {"task": task, "data": data, "model": "base", "stages": [TRAIN_TOKENS, stage]}
    with pytest.raises(RecipeError) as caught:
        parse_recipe(described)
    assert caught.value.field == "recipe.stages.1.tokens"
    assert "belongs to causal_lm and masked_lm" in caught.value.message


@pytest.mark.parametrize("task", TASKS)
def test_distillation_is_accepted_for_every_task(task: str) -> None:
    stages = [TRAIN_TOKENS, {**DISTILL, **({} if "question" in task else {"tokens": "all"})}]
    assert parse_recipe(task_recipe(task, *stages)).stages[1].kind == "distill"


def test_temperature_scales_the_loss_by_its_square() -> None:
    student, teacher = torch.zeros(1, 2), torch.tensor([[math.log(3.0), 0.0]])
    p = 0.75
    expected = p * math.log(p / 0.5) + (1 - p) * math.log((1 - p) / 0.5)
    assert float(soft_loss(student, teacher, 1.0)) == pytest.approx(expected, rel=1e-5)
    hot = math.sqrt(3) / (1 + math.sqrt(3))
    expected = hot * math.log(hot / 0.5) + (1 - hot) * math.log((1 - hot) / 0.5)
    assert float(soft_loss(student, teacher, 2.0)) == pytest.approx(4 * expected, rel=1e-5)


@pytest.mark.parametrize(
    ("tokens", "task", "every"),
    [
        (None, "masked_lm", True),
        (None, "causal_lm", False),
        ("all", "causal_lm", True),
        ("predicted", "masked_lm", False),
    ],
)
def test_a_masked_language_model_is_distilled_on_every_token_by_default(
    tokens: Any, task: str, every: bool
) -> None:
    assert Distill(tokens=tokens).every_token(task) is every
