"""Models of 16 bits, and of integer weights with fp32 arithmetic."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, GPT2Config
from transformers import GPT2ForSequenceClassification as GPT2Classifier

from pricetag.recipes import parse_recipe
from pricetag.recipes.errors import RecipeError
from tests.support.recording import RecordingReporter
from tests.support.training import TRAIN, carry_out, data_set, job, recipe
from workers.job.pipeline import run
from workers.job.reporter import JobError
from workers.methods.half import apply_half
from workers.methods.weight_only import apply_weight_only
from workers.training.formats import registry
from workers.training.formats.half import Half, fast_on_cpu
from workers.training.formats.integers import Integers
from workers.training.formats.profile import profile
from workers.training.formats.weights import count_weights
from workers.training.preparation import check_files

SMALL = BertConfig(
    vocab_size=400,
    hidden_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=128,
    max_position_embeddings=32,
)
IDS = torch.randint(0, 400, (3, 12), generator=torch.Generator().manual_seed(0))


def network() -> BertForSequenceClassification:
    torch.manual_seed(0)
    model = BertForSequenceClassification(copy.deepcopy(SMALL))
    model.train(False)
    return model


def logits(model: nn.Module) -> torch.Tensor:
    with torch.inference_mode():
        result: torch.Tensor = model(input_ids=IDS).logits
    return result


@pytest.mark.parametrize(
    ("bits", "column_size", "most", "share"), [(8, None, 0.01, 0.28), (4, 16, 0.15, 0.21)]
)
def test_few_bits_are_close_to_the_whole_model_in_less_space(
    tmp_path: Path, bits: int, column_size: int | None, most: float, share: float
) -> None:
    model = network()
    before, full = logits(model), count_weights(model)
    names = apply_weight_only(model, bits, column_size, with_embeddings=True)
    assert len(names) == 2 * 6 + 2 + 3
    after = logits(model)
    assert 0 < float((after - before).abs().max()) < most
    small = profile(model).weights
    assert small.parameters == full.parameters
    assert small.dense_bytes < share * full.dense_bytes
    registry.save(model, tmp_path)
    file = tmp_path / "model.safetensors"
    assert abs(file.stat().st_size - small.dense_bytes) < 8000  # names and shapes
    assert torch.equal(logits(registry.load(tmp_path)), after)


def test_a_transposed_matrix_is_quantized_by_its_rows() -> None:
    torch.manual_seed(0)
    shape = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 32, "vocab_size": 400}
    model = GPT2Classifier(GPT2Config(**shape, pad_token_id=0))  # type: ignore[arg-type]
    model.train(False)
    before = logits(model)
    assert len(apply_weight_only(model, 8, None, with_embeddings=True)) == 2 * 4 + 1 + 2
    assert float((logits(model) - before).abs().max()) < 0.02


def test_zeros_stay_zeros_and_embeddings_may_stay_whole() -> None:
    model = network()
    weight = model.get_submodule("bert.encoder.layer.0.output.dense").weight
    nn.init.zeros_(weight)  # type: ignore[arg-type]
    assert len(apply_weight_only(model, 4, 16, with_embeddings=False)) == 14
    layer: Any = model.get_submodule("bert.encoder.layer.0.output.dense")
    assert not layer.real().any()
    assert isinstance(model.get_submodule("bert.embeddings.word_embeddings"), nn.Embedding)


def test_no_low_bit_operations_are_claimed_without_a_kernel() -> None:
    model = network()
    apply_weight_only(model, 4, None, with_embeddings=True)
    counted = profile(model)
    assert counted.low_bit_ops_per_sequence(32) == 0
    assert counted.flops == profile(network()).flops
    assert counted.formats == ("integers",)  # its zeros come from rounding, not from pruning
    (note,) = registry.speed_notes(registry.describe(model), "cuda")
    assert note.startswith("numerics only: no kernel multiplies by these 4-bit weights")


@pytest.mark.parametrize(("number_format", "most"), [("fp16", 2e-3), ("bf16", 2e-2)])
def test_16_bits_are_close_to_the_whole_model_in_half_the_space(
    tmp_path: Path, number_format: Any, most: float
) -> None:
    model = network()
    before, full = logits(model), count_weights(model)
    apply_half(model, number_format, "recipe.stages.0")
    after = logits(model)
    assert after.dtype in (torch.float16, torch.bfloat16)
    assert 0 < float((after.float() - before).abs().max()) < most
    assert count_weights(model).dense_bytes == full.dense_bytes / 2
    registry.save(model, tmp_path)
    assert torch.equal(logits(registry.load(tmp_path)), after)


def test_a_weight_that_fp16_cannot_hold_is_rejected() -> None:
    model = network()
    nn.init.constant_(model.classifier.weight, 1e5)
    with pytest.raises(JobError, match="exceeds the largest fp16 number") as caught:
        apply_half(model, "fp16", "recipe.stages.1")
    assert caught.value.field == "recipe.stages.1"
    apply_half(model, "bf16", "recipe.stages.1")


def test_a_processor_without_the_arithmetic_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_fp16_supported", lambda: False)
    note = {"format": 1, "number_format": "fp16"}
    text = Half().speed_note(note, "cpu")
    assert text is not None
    assert "no fp16 arithmetic" in text
    assert Half().speed_note(note, "cuda") is None
    monkeypatch.setattr(torch.cpu, "_is_amx_fp16_supported", lambda: True)
    assert fast_on_cpu("fp16")
    assert Half().speed_note(note, "cpu") is None


def test_a_run_reports_bytes_and_says_that_it_saves_no_time(tmp_path: Path) -> None:
    data_set(tmp_path)
    stages = [
        {**TRAIN, "evaluate": False},
        {"kind": "quantize", "method": "weight_only", "bits": 4},
        {"kind": "measure", "min_seconds": 0.01, "batch_size": 2},
    ]
    reporter = carry_out(tmp_path, recipe(*stages))
    logs = [event["text"] for event in reporter.of("log")]
    assert sum("numerics only" in text for text in logs) == 2  # when made, and when measured
    figures = {event["name"]: event["value"] for event in reporter.of("metric")}
    assert figures["low_bit_ops_per_example"] == 0
    assert figures["dense_bytes"] < 0.2 * 4 * figures["parameters"]
    (_, card) = [event["card"] for event in reporter.of("artifact") if event["card"]]
    assert card["facts"]["scheme"] == "int4_weight_only"
    assert "numerics only" in card["facts"]["speed"]


@pytest.mark.parametrize(
    ("method", "options"),
    [("fp16", {}), ("bf16", {}), ("weight_only", {"bits": 8}), ("int8_dynamic", {})],
)
@pytest.mark.parametrize("after", ["prune", "train", "quantize"])
def test_nothing_changes_a_quantized_model(
    method: str, options: dict[str, Any], after: str
) -> None:
    stage = {"kind": "quantize", "method": method, **options}
    lasts: dict[str, dict[str, Any]] = {"prune": {"sparsity": 0.5}, "quantize": {"method": "bf16"}}
    last = lasts.get(after, {})
    with pytest.raises(RecipeError) as caught:
        parse_recipe(recipe(TRAIN, stage, {"kind": after, **last}))
    assert caught.value.field == "recipe.stages.2.kind"
    assert "weights are final; put it before" in caught.value.message


def test_a_quantized_model_from_a_folder_is_rejected_before_any_stage(tmp_path: Path) -> None:
    data_set(tmp_path)
    first: list[dict[str, Any]] = [
        {**TRAIN, "evaluate": False},
        {"kind": "quantize", "method": "weight_only"},
    ]
    carry_out(tmp_path, recipe(*first))
    (tmp_path / "work/stage-01/model").rename(tmp_path / "final")
    measure = {"kind": "measure", "min_seconds": 0.01, "batch_size": 2}
    changes: list[dict[str, Any]] = [
        {"kind": "train"},
        {"kind": "prune", "sparsity": 0.5},
        {"kind": "distill"},
        {"kind": "quantize", "method": "bf16"},
    ]
    for change in changes:
        described = recipe(measure, change, model="final")
        reporter = RecordingReporter()
        with pytest.raises(JobError, match="quantized and final") as caught:
            run(job(tmp_path, described), reporter)
        assert caught.value.code == "already-quantized"
        assert caught.value.field == "recipe.stages.1.kind"
        assert reporter.of("stage_start") == []
        with pytest.raises(JobError, match="quantized and final"):
            check_files(parse_recipe(described), [tmp_path])
    assert carry_out(tmp_path, recipe(measure, model="final")).of("metric", name="parameters")


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"bits": 3}, "bits", "must be one of: 8, 4"),
        ({"group_size": 4}, "group_size", "must be at least 8"),
        ({"scheme": "int8"}, "scheme", "not a known field"),
        ({"method": "int5"}, "method", "must be one of: int8_dynamic, bf16"),
    ],
)
def test_what_does_not_fit_is_rejected_with_its_field(
    changes: dict[str, Any], field: str, message: str
) -> None:
    described = recipe(TRAIN, {"kind": "quantize", "method": "weight_only", **changes})
    with pytest.raises(RecipeError) as caught:
        parse_recipe(described)
    assert caught.value.field == f"recipe.stages.1.{field}"
    assert message in caught.value.message


def test_a_note_lists_bits_and_blocks_of_every_module() -> None:
    model = network()
    apply_weight_only(model, 4, 32, with_embeddings=True)
    note = Integers().describe(model)
    assert note is not None
    assert len(note["modules"]) == 17
    assert note["modules"]["classifier"] == {
        "kind": "linear",
        "bits": 4,
        "row_groups": None,
        "column_size": 32,
        "input": None,
    }
