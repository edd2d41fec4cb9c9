"""TinyBERT's distillation, against the values of its authors' code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional
from transformers import AutoModelForMaskedLM

from pricetag.recipes import parse_recipe
from pricetag.recipes.errors import RecipeError
from pricetag.recipes.methods.distill_tinybert import DistillTinybert
from tests.support.sockets import PROFILE, fitted, prepared
from tests.support.sockets import teacher as frozen
from tests.support.texts import text_files, text_recipe
from tests.support.training import CONFIG, TRAIN, carry_out, data_set, recipe
from workers.job.request import JobError
from workers.methods.tinybert import (
    AttentionScores,
    HiddenStates,
    attention_loss,
    hidden_loss,
    mapped_layers,
    prediction_loss,
)
from workers.training.losses import TaskLoss
from workers.training.model.loaded import Loaded
from workers.training.preparation import reported

FOLDER = Path(__file__).parents[1] / "data/golden"
CASES = json.loads((FOLDER / "tinybert.json").read_text())["cases"]
MAPS = json.loads((FOLDER / "layer_maps.json").read_text())["cases"]["tinybert"]
INPUTS = CASES["inputs"]
INTERMEDIATE = [name for name, case in CASES.items() if "att_loss" in case]
TINYBERT = {
    **TRAIN,
    "kind": "distill",
    "method": "tinybert",
    "intermediate_epochs": 1,
    "student": {"layers": 2, "hidden_size": 16, "intermediate_size": 24},
}


def tensors(name: str) -> list[torch.Tensor]:
    return list(torch.tensor(INPUTS[name], dtype=torch.float64))


def projection() -> nn.Linear:
    weight = torch.tensor(INPUTS["projection_weight"], dtype=torch.float64)
    layer = nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(torch.tensor(INPUTS["projection_bias"], dtype=torch.float64))
    return layer


def test_every_case_is_computed() -> None:
    assert {"inputs", *INTERMEDIATE} == set(CASES)


@pytest.mark.parametrize("name", INTERMEDIATE)
def test_intermediate_loss_and_gradient_are_those_of_the_authors(name: str) -> None:
    case = CASES[name]
    layers = mapped_layers(INPUTS["teacher_layers"], INPUTS["student_layers"])
    assert layers == case["teacher_hidden_index_used"]
    assert [layer - 1 for layer in layers[1:]] == case["teacher_att_index_used"]
    scores, states = tensors("teacher_scores"), tensors("teacher_hidden")
    attention = attention_loss(
        tensors("student_scores"), [scores[layer - 1] for layer in layers[1:]]
    )
    project = projection()
    hidden = hidden_loss(tensors("student_hidden"), [states[layer] for layer in layers], project)
    assert float(attention) == pytest.approx(case["att_loss"], rel=1e-12)
    assert hidden.item() == pytest.approx(case["rep_loss"], rel=1e-12)
    assert (attention + hidden).item() == pytest.approx(case["loss"], rel=1e-12)
    (gradient,) = torch.autograd.grad(hidden, project.weight)
    expected = torch.tensor(case["grad_projection_weight"], dtype=torch.float64)
    torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize(
    ("name", "layer"),
    [(name, n) for name in INTERMEDIATE for n in range(len(CASES[name]["att_loss_per_layer"]))],
)
def test_each_layers_attention_loss_is_that_of_the_authors(name: str, layer: int) -> None:
    case = CASES[name]
    used = case["teacher_att_index_used"][layer]
    loss = attention_loss([tensors("student_scores")[layer]], [tensors("teacher_scores")[used]])
    assert float(loss) == pytest.approx(case["att_loss_per_layer"][layer], rel=1e-12)


@pytest.mark.parametrize(
    ("name", "state"),
    [(name, n) for name in INTERMEDIATE for n in range(len(CASES[name]["rep_loss_per_layer"]))],
)
def test_each_states_loss_is_that_of_the_authors(name: str, state: int) -> None:
    case = CASES[name]
    used = case["teacher_hidden_index_used"][state]
    own, theirs = tensors("student_hidden")[state], tensors("teacher_hidden")[used]
    loss = hidden_loss([own], [theirs], projection())
    assert loss.item() == pytest.approx(case["rep_loss_per_layer"][state], rel=1e-12)


@pytest.mark.parametrize("name", MAPS)
def test_layer_maps_are_those_of_the_authors(name: str) -> None:
    student, teacher = (int(part[1:]) for part in name.split("_"))
    layers, expected = mapped_layers(teacher, student), MAPS[name]
    assert layers == expected["hidden_with_embeddings"]
    assert [layer - 1 for layer in layers[1:]] == expected["attention_0based"]


@given(teacher=st.integers(1, 48), student=st.integers(1, 48))
def test_a_layer_map_rises_from_the_embeddings_to_the_last_layer(
    teacher: int, student: int
) -> None:
    layers = mapped_layers(teacher, student)
    assert (layers[0], layers[-1]) == (0, teacher)
    assert layers == sorted(layers)
    if student <= teacher:
        assert len(set(layers)) == student + 1


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 999), temperature=st.floats(0.5, 20))
def test_prediction_loss_is_least_at_the_teachers_logits(seed: int, temperature: float) -> None:
    torch.manual_seed(seed)
    own, theirs = torch.randn(2, 5, 3, dtype=torch.float64)
    loss = prediction_loss(own, theirs, temperature)
    least = prediction_loss(theirs, theirs, temperature)
    assert loss >= least
    # The gap is the divergence, with the mean over the batch of the sum over classes.
    gap = functional.kl_div(
        functional.log_softmax(own / temperature, -1),
        functional.softmax(theirs / temperature, -1),
        reduction="batchmean",
    )
    torch.testing.assert_close(loss - least, gap)
    whole = prediction_loss(own, theirs, temperature, mean_over_classes=True)
    torch.testing.assert_close(3 * whole, loss)


def head_of(loaded: Loaded) -> torch.Tensor:
    return loaded.model.get_parameter("classifier.weight").detach().clone()


def test_inner_states_cost_one_pass_without_heads(tmp_path: Path) -> None:
    """Each model passes once in a step, and no head is computed or changed."""
    stage, loaded = prepared(tmp_path)
    _, other = prepared(tmp_path)
    calls = {"encoder": 0, "head": 0}

    def count(name: str) -> Any:
        def hook(*_: Any) -> None:
            calls[name] += 1

        return hook

    for model in (loaded.model, other.model):
        model.get_submodule("bert.encoder").register_forward_hook(count("encoder"))
        model.get_submodule("classifier").register_forward_hook(count("head"))
    teacher = frozen(other)
    layers = mapped_layers(2, 2)
    before = head_of(loaded)
    fitted(
        stage,
        loaded,
        losses=[HiddenStates(teacher, layers, (16, 16), 0), AttentionScores(teacher, layers)],
    )
    assert calls == {"encoder": 8, "head": 0}
    assert torch.equal(head_of(loaded), before)
    assert teacher.flops(8) == 0  # the last batch was forgotten


def test_a_loss_on_logits_needs_the_heads(tmp_path: Path) -> None:
    stage, loaded = prepared(tmp_path)
    _, other = prepared(tmp_path)
    layers = mapped_layers(2, 2)
    before = head_of(loaded)
    fitted(stage, loaded, losses=[TaskLoss(), AttentionScores(frozen(other), layers)])
    assert not torch.equal(head_of(loaded), before)


def test_operations_are_those_of_the_encoders_and_the_projection(tmp_path: Path) -> None:
    stage, loaded = prepared(tmp_path)
    _, other = prepared(tmp_path)
    layers = mapped_layers(2, 2)
    term = HiddenStates(frozen(other), layers, (16, 16), 0)
    fitted(stage, loaded, steps=1, losses=[term], options={"group_by_length": False})
    count = stage.reporter.of("flops")[-1]  # type: ignore[attr-defined]
    widths = {
        width: 3 * 2 * (2 * width * (4 * 16 * 16 + 2 * 16 * 24) + 4 * width**2 * 16)
        + PROFILE.linear * width
        + 3 * 3 * 2 * width * 16 * 16
        for width in range(4, 49)
    }
    assert count["dense"] in {8 * per_text for per_text in widths.values()}
    assert "the pooler" in count["uncounted"]


def test_a_student_learns_inner_states_then_classes(tmp_path: Path) -> None:
    data_set(tmp_path, train=64, dev=16, test=8)
    train = {**TRAIN, "evaluate": False}
    inner = {"intermediate_epochs": 4, "intermediate_learning_rate": 3e-3}
    tiny = {**TINYBERT, **inner, "evaluate": False}
    reporter = carry_out(tmp_path, recipe(train, tiny))
    for name in ("loss_hidden", "loss_attention"):
        losses = reporter.of("metric", name=name)
        assert losses[-1]["value"] < losses[0]["value"]
    cards = [event["card"] for event in reporter.of("artifact") if event["card"] is not None]
    assert cards[-1]["facts"]["steps_by_phase"] == {"intermediate": 32, "prediction": 6}


def test_general_distillation_gives_a_student_to_start_the_task_from(tmp_path: Path) -> None:
    text_files(tmp_path)
    general = {**TINYBERT, "student": {"layers": 1, "hidden_size": 16}, "evaluate": False}
    carry_out(tmp_path, text_recipe("masked_lm", {**TRAIN, "evaluate": False}, general))
    (tmp_path / "work" / "stage-01" / "model").rename(tmp_path / "general")
    (tmp_path / "work" / "stage-00" / "model").rename(tmp_path / "pretrained")
    trained = AutoModelForMaskedLM.from_pretrained(tmp_path / "general")
    data_set(tmp_path, train=48, dev=16, test=8)
    task = {**TINYBERT, "student": {"model": "general"}}
    reporter = carry_out(tmp_path / "next", recipe(TRAIN, task, model="pretrained"), 1,
                         data_roots=[tmp_path])  # fmt: skip
    assert len(reporter.of("metric", name="accuracy")) == 2
    assert trained.config.num_hidden_layers == 1


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        (
            {"student": {"layers": 2, "num_attention_heads": 4}},
            "student.num_attention_heads",
            "must be the teacher's, 2 (got 4)",
        ),
        ({"student": {"layers": 5}}, "student.layers", "the teacher has 4 layers"),
        ({"student": {"layers": 2, "model": "general"}}, "student.layers", "remove it, or model"),
        ({"intermediate_epochs": -1}, "intermediate_epochs", "must be at least 0"),
    ],
)
def test_what_does_not_fit_is_rejected_with_its_field(
    changes: dict[str, Any], field: str, message: str
) -> None:
    described = recipe(TRAIN, {**TINYBERT, **changes}, model={"config": CONFIG})
    with pytest.raises(RecipeError) as caught:
        parse_recipe(described)
    assert caught.value.field == f"recipe.stages.1.{field}"
    assert message in caught.value.message


def test_the_default_student_is_that_of_the_paper() -> None:
    params = DistillTinybert(method="tinybert")
    student = params.student
    assert (student.layers, student.hidden_size, student.intermediate_size) == (4, 312, 1200)
    assert params.effective_epochs == 3


def test_a_students_folder_with_other_heads_is_rejected_before_the_stage(tmp_path: Path) -> None:
    data_set(tmp_path, train=48, dev=16, test=8)
    other = {**CONFIG, "num_attention_heads": 4}
    carry_out(tmp_path, recipe({**TRAIN, "evaluate": False}, model={"config": other}))
    (tmp_path / "work" / "stage-00" / "model").rename(tmp_path / "other")
    task = {**TINYBERT, "student": {"model": "other"}}
    with pytest.raises(JobError) as caught:
        carry_out(tmp_path / "next", recipe(TRAIN, task), 1, data_roots=[tmp_path])
    assert caught.value.code == "bad-student"
    assert "must be the teacher's, 2 (got 4)" in caught.value.message


def test_a_students_missing_folder_is_reported_before_anything_is_trained(tmp_path: Path) -> None:
    data_set(tmp_path, train=24, dev=8, test=8)
    (tmp_path / "general").mkdir()
    for place, code in (("nowhere", "missing-file"), ("general", "bad-model")):
        described = recipe(TRAIN, {**TINYBERT, "student": {"model": place}})
        with pytest.raises(JobError) as caught:
            carry_out(tmp_path, described)
        assert caught.value.code == code
        assert caught.value.field == "recipe.stages.1.student.model"
    assert not (tmp_path / "work" / "stage-00" / "model").exists()
    described = recipe(TRAIN, {**TINYBERT, "student": {"model": "nowhere"}})
    message = reported(parse_recipe(described), [tmp_path])
    assert isinstance(message, str)
    assert "recipe.stages.1.student.model: 'nowhere' is not under" in message
