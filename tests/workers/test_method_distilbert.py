"""DistilBERT's distillation, against the values of its authors' code."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from transformers import AutoConfig, BertConfig, BertForMaskedLM, RobertaConfig

from pricetag.recipes import parse_recipe
from pricetag.recipes.errors import RecipeError
from pricetag.recipes.methods.distill_distilbert import DistillDistilbert, spread_layers
from tests.support.sockets import PROFILE
from tests.support.texts import text_files, text_recipe
from tests.support.training import CONFIG, TRAIN, carry_out, data_set, recipe
from workers.job.request import JobError
from workers.methods.distilbert import AdamOfDistilbert, cosine_loss
from workers.methods.logits import SoftLabels
from workers.training.forward_pass import ForwardPass
from workers.training.model.distilbert import distilbert_config, distilbert_of
from workers.training.plugin import Step
from workers.training.tasks.registry import task_named
from workers.training.teacher import Teacher, TeacherOutputs

FOLDER = Path(__file__).parents[1] / "data/golden"
CASES = json.loads((FOLDER / "distilbert_triple.json").read_text())["cases"]
MAPS = json.loads((FOLDER / "layer_maps.json").read_text())["cases"]
INPUTS = CASES["inputs"]
DISTILBERT = {**TRAIN, "kind": "distill", "method": "distilbert", "max_grad_norm": 5.0}


def values(name: str) -> torch.Tensor:
    return torch.tensor(INPUTS[name], dtype=torch.float64)


class Known(Teacher):
    """A teacher whose logits are known."""

    def __init__(self, logits: torch.Tensor) -> None:
        config = BertConfig.from_dict(CONFIG)
        super().__init__(BertForMaskedLM(config), precision_="fp32", profile=PROFILE)
        self._known = TeacherOutputs(SimpleNamespace(logits=logits))

    def outputs(self, forward: ForwardPass) -> TeacherOutputs:
        return self._known


@pytest.mark.parametrize("name", [name for name in CASES if name != "inputs"])
def test_three_terms_and_gradients_are_those_of_the_authors(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The terms compute in fp32, as in training; the golden values are in double precision.
    monkeypatch.setattr(torch.Tensor, "float", lambda tensor: tensor)
    case, task = CASES[name], task_named("masked_lm")
    logits = values("student_logits").requires_grad_()
    hidden = values("student_last_hidden").requires_grad_()
    mask = torch.tensor(INPUTS["attention_mask"])
    forward = ForwardPass(
        model=nn.Identity(),
        outputs=SimpleNamespace(logits=logits),
        inputs={"input_ids": mask, "attention_mask": mask},
        targets={"labels": torch.tensor(INPUTS["mlm_labels"])},
    )
    choices = partial(task.choices, every_token=not case["restrict_ce_to_mask"])
    words = SoftLabels(Known(values("teacher_logits")), 1, case["temperature"], choices)
    ce, mlm = words.value(forward), task.loss().value(forward)
    cosine = cosine_loss(hidden, values("teacher_last_hidden"), mask)
    assert ce.item() == pytest.approx(case["ce"], rel=1e-12)
    assert mlm.item() == pytest.approx(case["mlm"], rel=1e-12)
    assert cosine.item() == pytest.approx(case["cos"], rel=1e-12)
    total = case["alpha_ce"] * ce + case["alpha_mlm"] * mlm + case["alpha_cos"] * cosine
    assert total.item() == pytest.approx(case["total"], rel=1e-12)
    slopes = torch.autograd.grad(total, (logits, hidden))
    for slope, wanted in zip(slopes, ("grad_student_logits", "grad_student_hidden"), strict=True):
        expected = torch.tensor(case[wanted], dtype=torch.float64)
        torch.testing.assert_close(slope, expected, rtol=1e-9, atol=1e-14)


def test_the_weights_of_the_terms_are_those_of_the_paper() -> None:
    params = DistillDistilbert(method="distilbert")
    assert (params.alpha_ce, params.alpha_mlm, params.alpha_cos) == (5, 2, 1)
    assert params.temperature == 2


def test_the_layers_are_those_of_the_authors() -> None:
    params = DistillDistilbert(method="distilbert")
    assert params.kept_layers(12) == MAPS["distilbert_init_from_teacher_layers_0based"]
    assert [params.kept_layers(layers) for layers in (1, 2, 3, 4)] == [[0], [0], [0, 2], [0, 3]]


@given(teacher=st.integers(1, 96), data=st.data())
def test_spread_layers_reach_from_the_first_to_the_last(teacher: int, data: Any) -> None:
    student = data.draw(st.integers(1, teacher))
    layers = spread_layers(teacher, student)
    assert layers == sorted(set(layers))
    assert len(layers) == student
    assert layers[0] == 0
    assert student == 1 or layers[-1] == teacher - 1


def bert(layers: int = 3) -> BertForMaskedLM:
    torch.manual_seed(5)
    config = BertConfig.from_dict({**CONFIG, "num_hidden_layers": layers, "pad_token_id": 0})
    model = BertForMaskedLM(config)
    with torch.no_grad():
        for parameter in model.parameters():  # biases and norms too: none may be forgotten
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.train(False)
    return model


@pytest.mark.parametrize("transform", [True, False])
def test_a_student_of_all_layers_is_its_teacher_without_token_types(transform: bool) -> None:
    teacher = bert()
    student = distilbert_of(teacher, [0, 1, 2], transform=transform, seed=0, field="stage")
    student.train(False)
    ids = torch.randint(5, 60, (3, 9), generator=torch.Generator().manual_seed(0))
    mask = (torch.arange(9) < torch.tensor([[9], [6], [4]])).long()
    with torch.no_grad():
        teacher.bert.embeddings.token_type_embeddings.weight.zero_()
        theirs = teacher(input_ids=ids, attention_mask=mask).logits
        own = student(input_ids=ids, attention_mask=mask).logits
    same = torch.allclose(own[mask.bool()], theirs[mask.bool()], atol=1e-5)
    assert same == transform
    assert "token_type" not in " ".join(student.state_dict())
    decoder = student.get_parameter("vocab_projector.weight")
    assert decoder is student.get_parameter("distilbert.embeddings.word_embeddings.weight")


def test_a_teacher_of_another_kind_is_rejected() -> None:
    with pytest.raises(JobError) as caught:
        distilbert_config(RobertaConfig(), 6, "stage")
    assert caught.value.code == "bad-teacher"
    assert "roberta" in caught.value.message


def test_the_optimizer_is_that_of_the_paper() -> None:
    optimizer = torch.optim.AdamW([nn.Parameter(torch.ones(1))])
    AdamOfDistilbert().before_step(Step(0, 1, 0.0, optimizer))
    (group,) = optimizer.param_groups
    assert (group["betas"], group["eps"]) == ((0.9, 0.98), 1e-6)


def test_a_student_is_distilled_then_fine_tuned_with_a_teacher(tmp_path: Path) -> None:
    """Distilled on plain text, then distilled on a task: the teacher reads pairs, it does not."""
    text_files(tmp_path)
    quiet = {"evaluate": False, "max_steps": 3}
    reporter = carry_out(
        tmp_path, text_recipe("masked_lm", {**TRAIN, **quiet}, {**DISTILBERT, **quiet})
    )
    assert {"loss_logits", "loss_task", "loss_cosine"} <= {
        event["name"] for event in reporter.of("metric")
    }
    stages = tmp_path / "work"
    (stages / "stage-01" / "model").rename(tmp_path / "small")
    (stages / "stage-00" / "model").rename(tmp_path / "large")
    assert AutoConfig.from_pretrained(tmp_path / "small").model_type == "distilbert"
    data_set(tmp_path, train=24, dev=8, test=8)
    for file in (tmp_path / "data").glob("*.tsv"):
        head, *lines = file.read_text().splitlines()
        rows = [line + "\t" + line.split("\t")[0] for line in lines]
        file.write_text("\n".join([f"{head}\tsecond", *rows]) + "\n")
    data = {"train": "data/train.tsv", "validation": "data/dev.tsv", "text_pair": "second"}
    fine = {**TRAIN, **quiet, "kind": "distill", "student": {"model": "small"}, "evaluate": True}
    described = recipe({**TRAIN, **quiet}, fine, model="large", data=data)
    reporter = carry_out(tmp_path / "next", described, 1, data_roots=[tmp_path])
    assert len(reporter.of("metric", name="accuracy")) == 1


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"layers": [1, 0]}, "layers", "must rise"),
        ({"layers": [0, 4]}, "layers", "the teacher has layers 0 to 3, not 4"),
        ({"tokens": "masked"}, "tokens", "must be one of: all, predicted"),
        ({"student": {"layers": 2}}, "student", "not a known field"),
    ],
)
def test_what_does_not_fit_is_rejected_with_its_field(
    changes: dict[str, Any], field: str, message: str
) -> None:
    model = {"config": CONFIG}
    described = text_recipe("masked_lm", TRAIN, {**DISTILBERT, **changes}, model=model)
    with pytest.raises(RecipeError) as caught:
        parse_recipe(described)
    assert caught.value.field == f"recipe.stages.1.{field}"
    assert message in caught.value.message
