"""MobileBERT's distillation, against values of its published rule."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    AutoConfig,
    BertConfig,
    BertForMaskedLM,
    MobileBertConfig,
    MobileBertForMaskedLM,
    MobileBertModel,
)

from pricetag.recipes import FromScratch, parse_recipe
from pricetag.recipes.errors import RecipeError
from pricetag.recipes.methods.distill_mobilebert import DistillMobilebert
from tests.support.texts import SHALLOW, text_files, text_recipe
from tests.support.training import TRAIN, carry_out
from workers.methods.mobilebert import (
    LayerTransfer,
    attention_map_loss,
    background_rate,
    feature_map_loss,
    layer_gate,
    layer_rate,
    student_config,
)
from workers.training.cost.flops import FlopProfile, profile
from workers.training.forward_pass import ForwardPass
from workers.training.model.headless import without_head
from workers.training.model.heads import MASKED_LM
from workers.training.model.models import scratch_config
from workers.training.model.recording import Needs, prepared
from workers.training.teacher import Teacher

FOLDER = Path(__file__).parents[1] / "data/golden"
CASES = json.loads((FOLDER / "mobilebert.json").read_text())["cases"]
INPUTS = CASES["inputs"]
PER_LAYER = [name for name, case in CASES.items() if "attention_ce" in case]
MOBILEBERT = {
    **TRAIN,
    "kind": "distill",
    "method": "mobilebert",
    "max_steps": 3,
    "feedforward_networks": 2,
    "transfer_epochs": 0.5,
    "evaluate": False,
}
WIDE = {"name": "inverted_bottleneck"}


def layers(name: str) -> torch.Tensor:
    return torch.tensor(INPUTS[name], dtype=torch.float64)


def test_every_case_is_computed() -> None:
    assert {"inputs", *PER_LAYER} == set(CASES)


@pytest.mark.parametrize(
    ("name", "layer"),
    [(name, n) for name in PER_LAYER for n in range(len(CASES[name]["attention_ce"]))],
)
def test_each_layers_losses_are_those_of_the_published_rule(name: str, layer: int) -> None:
    case = CASES[name]
    states = feature_map_loss(layers("student_hidden")[layer], layers("teacher_hidden")[layer])
    scores = attention_map_loss(layers("student_scores")[layer], layers("teacher_scores")[layer])
    assert float(states) == pytest.approx(case["hidden_ln_mse"][layer], rel=1e-9)
    assert float(scores) == pytest.approx(case["attention_ce"][layer], rel=1e-12)


def test_a_phase_ends_with_the_step_that_the_next_one_would_begin_with() -> None:
    rates = [[layer_rate(layer, step, 4) for step in range(10)] for layer in range(2)]
    assert rates == [
        [0, 3, 3, 3, 3, 0.3, 0.3, 0.3, 0.3, 0.3],
        [0, 0, 0, 0, 0, 3, 3, 3, 3, 0.3],
    ]
    gates = [[layer_gate(layer, step, 4) for step in range(10)] for layer in range(2)]
    assert gates == [[0, 1, 1, 1, 1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1, 1, 1, 1, 0]]
    assert layer_gate(0, 1, 4, background=0.4) == 0


@given(layer=st.integers(0, 23), step=st.integers(0, 10_000), length=st.integers(1, 500))
def test_one_layer_at_a_time_learns_at_the_full_rate(layer: int, step: int, length: int) -> None:
    rates = [layer_rate(number, step, length) for number in range(24)]
    assert sum(rate == 3 for rate in rates) == (1 if 0 < step <= 24 * length else 0)
    assert rates == sorted(rates, key=lambda rate: (rate == 0, rate == 3))
    assert layer_gate(layer, step, length) == float(rates[layer] == 3)


def test_the_background_rises_quickly_and_falls_slowly() -> None:
    rates = [background_rate(done, 100) for done in range(101)]
    assert rates[0] == 0
    assert rates[5] == pytest.approx(0.5)
    assert max(rates) == pytest.approx(0.9 + 0.1 * 0.9**0.5)
    assert rates[100] == pytest.approx(0.9)
    assert background_rate(0, 1) == 1


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 999), masked=st.integers(0, 3))
def test_attention_loss_is_least_at_the_teachers_and_ignores_masked_columns(
    seed: int, masked: int
) -> None:
    torch.manual_seed(seed)
    own, theirs = torch.randn(2, 2, 3, 5, 5, dtype=torch.float64)
    if masked:
        own[..., -masked:] = theirs[..., -masked:] = torch.finfo(torch.float64).min
    loss, least = attention_map_loss(own, theirs), attention_map_loss(theirs, theirs)
    assert loss >= least
    kept = slice(0, 5 - masked)
    alone = functional.cross_entropy(
        own[..., kept].reshape(-1, 5 - masked),
        theirs[..., kept].softmax(-1).reshape(-1, 5 - masked),
    )
    torch.testing.assert_close(loss, alone)


@cache
def operations(config: str) -> FlopProfile:
    described = json.loads(config)
    return profile(AutoConfig.for_model(**described), MASKED_LM)


def transferred(layer: int) -> tuple[Any, LayerTransfer, Teacher, tuple[Any, Any]]:
    torch.manual_seed(2)
    shape = {**SHALLOW, "num_hidden_layers": 3, "pad_token_id": 0}
    teacher = BertForMaskedLM(BertConfig.from_dict(shape))
    params = DistillMobilebert(method="mobilebert", feedforward_networks=2)
    config = student_config(params, "stage", teacher.config)
    student = MobileBertForMaskedLM(config).train(True)
    counted = operations(config.to_json_string()), operations(teacher.config.to_json_string())
    wrapped = Teacher(teacher, precision_="fp32", profile=counted[1])
    return student, LayerTransfer(wrapped, layer, (100, 1), counted), wrapped, counted


@pytest.mark.parametrize("layer", range(3))
def test_operations_are_those_that_are_counted_and_no_layer_above_learns(layer: int) -> None:
    student, term, teacher, (counted, _) = transferred(layer)
    rows, width = 2, 11
    ids, mask = torch.full((rows, width), 7), torch.ones((rows, width), dtype=torch.long)
    inputs = {"input_ids": ids, "attention_mask": mask}
    term.attach(student)
    needs = Needs(hidden_states=True, attention_scores=True)
    teacher.begin(needs, rows, logits=False)
    with prepared(student, needs) as recorder, teacher.serving(), without_head(student):
        with FlopCounterMode(display=False) as counter:
            with recorder.recording():
                outputs = student(**inputs)
            forward = ForwardPass(
                student, outputs, inputs, {}, recorder.hidden_states, recorder.attention
            )
            torch.autograd.backward(term.value(forward))
        extra = term.extra_flops(rows, width) + teacher.flops(width)
    expected = rows * counted.without_head().training(width) + extra
    # Word embeddings have no operations: the gradient of their lookup is not computed by a product.
    own = counter.get_total_flops()
    assert own == pytest.approx(expected, rel=1e-9)
    learned = {name for name, p in student.named_parameters() if p.grad is not None}
    above = [f"layer.{number}." for number in range(layer + 1, 3)]
    assert any(f"layer.{layer}." in name for name in learned)
    assert not any(part in name for part in above for name in learned)
    term.detach(student)
    assert all(p.requires_grad for p in student.parameters())


def test_a_thin_student_learns_layer_by_layer_and_is_published(tmp_path: Path) -> None:
    text_files(tmp_path)
    described = text_recipe("masked_lm", {**TRAIN, "max_steps": 2, "evaluate": False}, MOBILEBERT)
    described["model"]["architecture"] = {**WIDE, "inner_size": 32, "embedding_size": 8}
    reporter = carry_out(tmp_path, described)
    cards = [event["card"] for event in reporter.of("artifact") if event["card"] is not None]
    assert cards[-1]["facts"]["steps_by_phase"] == {"layer 0": 2, "layer 1": 2, "words": 3}
    teacher = AutoConfig.from_pretrained(tmp_path / "work" / "stage-00" / "model")
    assert (teacher.intra_bottleneck_size, teacher.hidden_size) == (32, 16)
    config = AutoConfig.from_pretrained(tmp_path / "work" / "stage-01" / "model")
    assert (config.model_type, config.intra_bottleneck_size) == ("mobilebert", 4)
    assert (config.hidden_dropout_prob, config.attention_probs_dropout_prob) == (0, 0)


def test_the_default_shapes_of_teacher_and_student_are_those_of_the_paper() -> None:
    shape = {"hidden_size": 512, "num_hidden_layers": 24, "num_attention_heads": 4}
    sizes = {**shape, "intermediate_size": 4096, "vocab_size": 30522}
    scratch = FromScratch.model_validate(
        {"config": {**sizes, "max_position_embeddings": 512}, "architecture": WIDE}
    )
    teacher = scratch_config(scratch)
    assert isinstance(teacher, MobileBertConfig)
    with torch.device("meta"):
        encoder = MobileBertModel(teacher, add_pooling_layer=False)
    # The paper's queries, keys and values are made from the narrow states.
    narrow = encoder.num_parameters() - 24 * 3 * (1024 - 512) * 1024
    assert narrow == pytest.approx(293e6, rel=0.005)  # table 1
    config = student_config(DistillMobilebert(method="mobilebert"), "stage", teacher)
    assert (config.intra_bottleneck_size, config.embedding_size) == (128, 128)
    assert (config.intermediate_size, config.num_feedforward_networks) == (512, 4)


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"bottleneck_size": 5}, "bottleneck_size", "not a multiple of the teacher's 2 attention"),
        ({"embedding_size": 16}, "embedding_size", "must be less than the teacher's width, 16"),
        ({"transfer_epochs": 0.0}, "transfer_epochs", "must be greater than 0"),
    ],
)
def test_what_does_not_fit_is_rejected_with_its_field(
    changes: dict[str, Any], field: str, message: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text_recipe("masked_lm", TRAIN, {**MOBILEBERT, **changes}))
    assert caught.value.field == f"recipe.stages.1.{field}"
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("inner_size", "says"), [(33, "multiple of the 2"), (8, "at least hidden_size")]
)
def test_an_inner_width_that_does_not_fit_is_rejected(inner_size: int, says: str) -> None:
    described = text_recipe("masked_lm", TRAIN, MOBILEBERT)
    described["model"]["architecture"] = {**WIDE, "inner_size": inner_size}
    with pytest.raises(RecipeError) as caught:
        parse_recipe(described)
    assert caught.value.field == "recipe.model.architecture.inner_size"
    assert says in caught.value.message
