"""Input and output embeddings as one matrix: counted once, stored once, still one when reloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedModel,
    RobertaConfig,
    RobertaForMaskedLM,
)

from pricetag.inspection.files import read_model
from pricetag.inspection.parts import parts_of
from pricetag.recipes import parse_recipe
from pricetag.recipes.errors import RecipeError
from tests.support.recording import RecordingReporter
from tests.support.tasks import task_files, task_recipe
from tests.support.training import TRAIN_TOKENS, carry_out, context, counted_once, recipe
from workers.job.reporter import JobError
from workers.methods.tied_embeddings import apply_tying
from workers.training.formats import registry
from workers.training.formats.profile import profile
from workers.training.model.models import for_training
from workers.training.model.tying import are_tied, freeze_unread, tables, tie, untie

V, H = 60, 16
SIZES: dict[str, Any] = {"vocab_size": V, "pad_token_id": 0}
BERT: dict[str, Any] = {
    **SIZES, "hidden_size": H, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 24, "max_position_embeddings": 40,
}  # fmt: skip
FAMILIES = ("bert", "roberta", "distilbert", "gpt2")
START: tuple[Literal["output", "input", "mean"], ...] = ("output", "input", "mean")


def language_model(family: str, *, tied: bool) -> PreTrainedModel:
    torch.manual_seed(3)
    model: PreTrainedModel
    if family == "bert":
        model = BertForMaskedLM(BertConfig(**BERT, tie_word_embeddings=tied))
    elif family == "roberta":
        model = RobertaForMaskedLM(RobertaConfig(**BERT, tie_word_embeddings=tied))
    elif family == "distilbert":
        model = DistilBertForMaskedLM(
            DistilBertConfig(
                **SIZES, dim=H, n_layers=1, n_heads=2, hidden_dim=24, tie_word_embeddings=tied
            )
        )
    else:
        model = GPT2LMHeadModel(
            GPT2Config(**SIZES, n_embd=H, n_layer=1, n_head=2, tie_word_embeddings=tied)
        )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_()
    model.train(False)
    return model


def logits(model: PreTrainedModel) -> torch.Tensor:
    inputs = torch.arange(5, 25).reshape(2, 10)
    with torch.no_grad():
        scores: torch.Tensor = model(input_ids=inputs).logits
    return scores


def reloaded(model: PreTrainedModel, folder: Path) -> PreTrainedModel:
    registry.save(model, folder)
    kind = AutoModelForCausalLM if model.config.model_type == "gpt2" else AutoModelForMaskedLM
    again: PreTrainedModel = kind.from_pretrained(folder)
    again.train(False)
    return again


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("start", START)
def test_one_matrix_takes_the_place_of_two(
    family: str, start: Literal["output", "input", "mean"], tmp_path: Path
) -> None:
    model = language_model(family, tied=False)
    table, output = (matrix.weight.detach().clone() for matrix in tables(model))
    expected = {"output": output, "input": table, "mean": (table + output) / 2}[start]
    _, of_output = tables(model)
    bias = None if of_output.bias is None else of_output.bias.detach().clone()
    counts = profile(model)
    facts = apply_tying(model, "tied", start)
    assert are_tied(model)
    assert torch.equal(tables(model)[0].weight, expected)
    if bias is not None:
        assert torch.equal(tables(model)[1].bias, bias)
    after = profile(model)
    unread = 0 if family in ("gpt2", "distilbert") else V  # a bias that was stored twice
    assert counts.weights.parameters - after.weights.parameters == V * H + unread
    assert counts.weights.dense_bytes - after.weights.dense_bytes == 4 * (V * H + unread)
    assert counts.flops_per_sequence(20) == after.flops_per_sequence(20)
    assert facts == {
        "parameters_before": counts.weights.parameters,
        "parameters": after.weights.parameters,
    }
    again = reloaded(model, tmp_path / "model")
    assert are_tied(again)
    assert again.config.tie_word_embeddings
    assert torch.equal(logits(again), logits(model))
    assert profile(again).weights == after.weights


@pytest.mark.parametrize("family", FAMILIES)
def test_the_control_has_two_matrices_and_computes_the_same_at_first(
    family: str, tmp_path: Path
) -> None:
    model = language_model(family, tied=True)
    before, parameters = logits(model), model.num_parameters()
    untie(model)
    assert not are_tied(model)
    assert torch.equal(logits(model), before)
    assert model.num_parameters() >= parameters + V * H
    with torch.no_grad():
        tables(model)[1].weight.add_(1.0)
    again = reloaded(model, tmp_path / "model")
    assert not are_tied(again)
    assert torch.equal(logits(again), logits(model))
    tie(again, "output")
    assert are_tied(again)
    assert again.num_parameters() == parameters


@pytest.mark.parametrize("family", FAMILIES)
def test_every_trained_parameter_of_an_untied_model_gets_a_gradient(family: str) -> None:
    """Training on several processes waits for the gradient of each of them."""
    model = language_model(family, tied=False)
    freeze_unread(model)
    inputs = torch.arange(5, 25).reshape(2, 10)
    model(input_ids=inputs).logits.logsumexp(-1).sum().backward()
    missing = [
        name for name, each in model.named_parameters() if each.requires_grad and each.grad is None
    ]
    assert missing == []
    tied = language_model(family, tied=True)
    freeze_unread(tied)
    assert all(parameter.requires_grad for parameter in tied.parameters())


def test_the_files_of_both_are_inspected_as_they_are_counted(tmp_path: Path) -> None:
    tied = language_model("gpt2", tied=True)
    registry.save(tied, tmp_path / "tied")
    untie(tied)
    registry.save(tied, tmp_path / "untied")
    sizes = [
        sum(part.parameters for part in parts_of(read_model(tmp_path / name), 16).by_name.values())
        for name in ("tied", "untied")
    ]
    assert sizes[1] - sizes[0] == V * H
    assert sizes[1] == profile(tied).weights.parameters


def test_models_that_cannot_be_tied_say_why() -> None:
    classifier = BertForSequenceClassification(BertConfig(**BERT))
    with pytest.raises(ValueError, match="no head that predicts tokens"):
        are_tied(classifier)
    narrow = language_model("bert", tied=False)
    narrow.set_output_embeddings(nn.Linear(H // 2, V))  # type: ignore[no-untyped-call]
    with pytest.raises(ValueError, match="cannot be one matrix"):
        are_tied(narrow)


# ---- recipes and stages ----

SHARE = {**TRAIN_TOKENS, "kind": "share", "method": "tied_embeddings", "evaluate": False}
TRAIN = {**TRAIN_TOKENS, "evaluate": False}


@pytest.mark.parametrize("task", ["classification", "regression", "question_answering"])
def test_tasks_without_a_head_that_predicts_tokens_are_rejected(task: str) -> None:
    described = (
        task_recipe(task, SHARE) if task == "question_answering" else recipe(SHARE, task=task)
    )
    with pytest.raises(RecipeError) as caught:
        parse_recipe(described)
    assert caught.value.field == "recipe.stages.0.kind"
    assert caught.value.message == (
        f"'share-tied_embeddings' does not work on {task}; it works on masked_lm and causal_lm"
    )


@pytest.mark.parametrize(
    ("options", "field", "message"),
    [
        ({"embeddings": "untied", "start": "mean"}, "start", "belongs to embeddings: tied"),
        ({"embeddings": "both"}, "embeddings", "must be one of: tied, untied"),
        ({"start": "random"}, "start", "must be one of: output, input, mean"),
        ({"groups": 1}, "groups", "not a known field"),
    ],
)
def test_what_does_not_fit_is_rejected_with_its_field(
    options: dict[str, Any], field: str, message: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(task_recipe("causal_lm", {**SHARE, **options}))
    assert caught.value.field == f"recipe.stages.0.{field}"
    assert message in caught.value.message


@pytest.fixture(scope="module", params=["masked_lm", "causal_lm"])
def control(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with a model that was trained from scratch with two matrices."""
    task = request.param
    root = task_files(tmp_path_factory.mktemp(task), task)
    with counted_once():
        carry_out(root, task_recipe(task, {**SHARE, "embeddings": "untied"}))
    (root / "work/stage-00/model").rename(root / "control")
    (root / "task").write_text(task)
    return root


def shared(root: Path, folder: Path, *stages: dict[str, Any], model: str) -> RecordingReporter:
    with counted_once():
        described = task_recipe((root / "task").read_text(), *stages, model=model)
        return carry_out(folder, described, data_roots=[root])


def made_by(folder: Path, stage: int = 0) -> PreTrainedModel:
    return loaded(folder / f"work/stage-{stage:02d}/model")


def loaded(place: Path) -> PreTrainedModel:
    is_causal = "gpt2" in (place / "config.json").read_text()
    kind = AutoModelForCausalLM if is_causal else AutoModelForMaskedLM
    model: PreTrainedModel = kind.from_pretrained(place)
    return model


def test_a_trained_model_is_tied_and_stays_so_in_later_stages(
    control: Path, tmp_path: Path
) -> None:
    measure = {"kind": "measure", "min_seconds": 0.01, "batch_size": 2, "accuracy": False}
    reporter = shared(control, tmp_path, SHARE, TRAIN, measure, model="control")
    tied, later = made_by(tmp_path), made_by(tmp_path, 1)
    assert are_tied(tied)
    assert are_tied(later)
    vocabulary, hidden = tables(tied)[0].weight.shape
    before = loaded(control / "control").num_parameters()
    unread = vocabulary if tied.config.model_type == "bert" else 0
    assert before - tied.num_parameters() == vocabulary * hidden + unread
    figures = {event["name"]: event["value"] for event in reporter.of("metric")}
    assert figures["parameters"] == tied.num_parameters()
    assert figures["dense_bytes"] == 4 * tied.num_parameters()


def test_what_is_tied_or_untied_already_is_rejected(control: Path, tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        shared(control, tmp_path / "1", {**SHARE, "embeddings": "untied"}, model="control")
    assert (caught.value.code, caught.value.field) == (
        "nothing-to-share",
        "recipe.stages.0.embeddings",
    )
    with pytest.raises(JobError) as caught:
        shared(control, tmp_path / "2", SHARE, SHARE, model="control")
    assert caught.value.field == "recipe.stages.1.embeddings"
    assert "are tied already" in caught.value.message
    assert not (tmp_path / "2/work/stage-00").exists()  # rejected before the first stage


def test_a_model_from_scratch_is_made_as_the_stage_says(control: Path, tmp_path: Path) -> None:
    task = (control / "task").read_text()
    with counted_once():
        carry_out(tmp_path, task_recipe(task, SHARE), data_roots=[control])
    assert are_tied(made_by(tmp_path))


def test_a_bias_that_is_not_computed_with_is_frozen_in_later_training(control: Path) -> None:
    task = (control / "task").read_text()
    described = task_recipe(task, TRAIN, model="control")
    model = for_training(context(control, described, control / "control"), None, 0).model
    frozen = [name for name, each in model.named_parameters() if not each.requires_grad]
    assert frozen == (["cls.predictions.bias"] if task == "masked_lm" else [])
