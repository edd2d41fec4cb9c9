"""Masked and causal language models: from plain text through every stage to the metrics."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import BertConfig

from pricetag.recipes import RecipeError, parse_recipe
from tests.support import tiny_models
from tests.support.recording import RecordingReporter
from tests.support.texts import text_files, text_recipe
from tests.support.training import TRAIN_TOKENS, carry_out, context, job
from workers.job.pipeline import run
from workers.job.reporter import Interrupted, JobError
from workers.training.cost.flops import closed_form, profile
from workers.training.data.plain_text import packed, read_lines
from workers.training.data.texts import load_split
from workers.training.formats.profile import profile as model_profile
from workers.training.model import heads
from workers.training.tasks.causal_lm import NextTokenCollator
from workers.training.tasks.language import perplexity, token_loss
from workers.training.tasks.masked_lm import MaskingCollator
from workers.training.tasks.registry import task_named

TASKS = ("masked_lm", "causal_lm")


def quality(reporter: RecordingReporter, split: str = "validation") -> dict[str, Any]:
    return {
        event["name"]: event["value"]
        for event in reporter.of("metric")
        if event.get("quality") and event.get("split") == split
    }


@pytest.fixture(scope="module", params=TASKS)
def finished(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, RecordingReporter]:
    """A run of every kind of stage that works on the task."""
    task = request.param
    root = text_files(tmp_path_factory.mktemp(task))
    stages = (
        {**TRAIN_TOKENS, "mid_evaluation": {"every_steps": 3}},
        {"kind": "prune", "sparsity": 0.5, "recovery_epochs": 0.2, "batch_size": 8},
        {"kind": "quantize"},
        {"kind": "evaluate", "splits": ["validation"]},
        {"kind": "measure", "min_seconds": 0.02, "batch_size": 2, "sequence_length": 16},
    )
    return task, root, carry_out(root, text_recipe(task, *stages))


def stage_metrics(reporter: RecordingReporter, name: str) -> list[float]:
    return [event["value"] for event in reporter.of("metric") if event["name"] == name]


def test_every_kind_of_stage_works_on_a_language_model(
    finished: tuple[str, Path, RecordingReporter],
) -> None:
    task, _, reporter = finished
    # Two during training; after train, prune and quantize; in measure.
    assert len(stage_metrics(reporter, "perplexity")) == 6
    assert all(1 < value < 1000 for value in stage_metrics(reporter, "perplexity"))
    assert ("masked_accuracy" in quality(reporter)) == (task == "masked_lm")
    assert len(set(stage_metrics(reporter, "predicted_tokens"))) == 1
    assert stage_metrics(reporter, "encoder_sparsity")[0] == pytest.approx(0.5, abs=0.01)
    assert stage_metrics(reporter, "inferences")[0] % 2 == 0
    assert min(stage_metrics(reporter, "throughput_per_s")) > 1
    assert all(event["status"] == "succeeded" for event in reporter.of("stage_end"))


def test_a_published_language_model_scores_the_same_when_loaded_again(
    finished: tuple[str, Path, RecordingReporter],
) -> None:
    task, root, reporter = finished
    ends = {path.parent.name: path.parent for path in (root / "artifacts").rglob("config.json")}
    assert len(ends) == 3
    expected = stage_metrics(reporter, "perplexity")[2:5]
    for (name, _), before in zip(sorted(ends.items()), expected, strict=True):
        described = text_recipe(
            task, {"kind": "evaluate"}, model=f"artifacts/1/{name}", data={"train": None}
        )
        described["data"].pop("train")
        again = carry_out(root, described, work_dir=root / f"again-{name}")
        assert quality(again)["perplexity"] == pytest.approx(before, rel=1e-5)


def test_the_embedding_and_the_head_of_a_plain_model_share_one_tensor_on_disk(
    finished: tuple[str, Path, RecordingReporter],
) -> None:
    _, root, _ = finished
    model = next((root / "artifacts").rglob("stage-00-train/model.safetensors"))
    tensors = load_file(model)
    vocabulary = max(len(tensor) for tensor in tensors.values())
    assert sum(len(tensor) == vocabulary and tensor.dim() == 2 for tensor in tensors.values()) == 1


def test_quantizing_a_language_model_makes_all_of_its_matrices_8_bit(
    finished: tuple[str, Path, RecordingReporter],
) -> None:
    _, root, _ = finished
    model = next((root / "artifacts").rglob("stage-02-quantize/model.safetensors"))
    matrices = [tensor for tensor in load_file(model).values() if tensor.dim() == 2]
    assert {tensor.dtype for tensor in matrices} == {torch.int8}


@pytest.mark.parametrize("task", TASKS)
def test_an_interrupted_training_resumes_to_the_same_weights(tmp_path: Path, task: str) -> None:
    stage = {**TRAIN_TOKENS, "max_steps": 9, "evaluate": False}
    described = text_recipe(task, stage)
    whole, halves = text_files(tmp_path / "whole"), text_files(tmp_path / "halves")
    carry_out(whole, described)
    with pytest.raises(Interrupted):
        run(job(halves, described), RecordingReporter(stop_after=8))
    resumed = carry_out(halves, described, attempt=2)
    assert any("resuming from checkpoint-8" in event["text"] for event in resumed.of("log"))
    one, other = (
        load_file(root / "work" / "stage-00" / "model" / "model.safetensors")
        for root in (whole, halves)
    )
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


# ---- masks ----

SPECIAL = frozenset({0, 1, 2, 3, 4})


def masking(**changes: Any) -> MaskingCollator:
    return MaskingCollator(
        **{
            "pad_token_id": 0,
            "mask_token_id": 4,
            "special": SPECIAL,
            "vocabulary": 1000,
            "seed": 5,
            **changes,
        }
    )


def items(count: int, length: int) -> list[dict[str, Any]]:
    return [
        {"index": n, "input_ids": [2, *range(10, 10 + length), 3], "labels": 0}
        for n in range(count)
    ]


def test_masking_hides_15_percent_of_every_text_80_10_10() -> None:
    texts = items(400, 100)
    batch = masking()(texts)
    hidden = batch["labels"] != -100
    assert hidden.sum(1).tolist() == [15] * 400
    original = torch.tensor([text["input_ids"] for text in texts])
    assert torch.equal(batch["labels"][hidden], original[hidden])
    assert torch.equal(batch["input_ids"][~hidden], original[~hidden])
    shown = batch["input_ids"][hidden]
    masked = (shown == 4).float().mean()
    same = (shown == original[hidden]).float().mean()
    assert float(masked) == pytest.approx(0.8, abs=0.02)
    assert float(same) == pytest.approx(0.1, abs=0.02)
    others = shown[(shown != 4) & (shown != original[hidden])]
    assert not SPECIAL & set(others.tolist())
    assert len(set(others.tolist())) > 300  # drawn from the whole vocabulary


def test_special_tokens_and_padding_are_never_hidden() -> None:
    batch = masking(multiple=16)([*items(30, 6), {"index": 99, "input_ids": [2, 3]}])
    hidden = batch["labels"] != -100
    assert hidden.sum(1).tolist() == [1] * 30 + [0]
    assert not hidden[:, 0].any()
    assert not hidden[:, 7:].any()


def test_masks_depend_on_seed_epoch_and_text_alone() -> None:
    texts = items(6, 40)
    whole = masking()(texts)
    alone = [masking()([text])["input_ids"][0] for text in texts]
    assert torch.equal(whole["input_ids"], torch.stack(alone))
    later = masking(epoch=1)(texts)
    assert not torch.equal(whole["input_ids"], later["input_ids"])
    assert not torch.equal(whole["input_ids"], masking(seed=6)(texts)["input_ids"])
    again = masking()
    again.set_epoch(1)
    assert torch.equal(again(texts)["input_ids"], later["input_ids"])


def test_next_tokens_are_the_labels_of_those_before() -> None:
    batch = NextTokenCollator(0)(
        [{"index": 0, "input_ids": [7, 8, 9]}, {"index": 1, "input_ids": [5, 6]}]
    )
    assert batch["labels"].tolist() == [[8, 9, -100], [6, -100, -100]]


# ---- figures ----


def test_perplexity_is_exp_of_the_mean_loss_over_tokens() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.5], [0.25, 0.75]]))
    targets = torch.tensor([0, 0])
    mean = float(token_loss(logits, targets))
    assert mean == pytest.approx((math.log(2) + math.log(4)) / 2)
    assert perplexity(2 * mean, 2).value == pytest.approx(math.sqrt(8))


def test_a_perplexity_beyond_every_float_is_unknown_with_its_reason() -> None:
    score = perplexity(2000.0, 2)
    assert score.value is None
    assert "mean loss 1000" in str(score.reason)
    assert perplexity(1400.0, 2).value == math.exp(700)


def test_a_batch_with_nothing_to_predict_has_no_loss() -> None:
    assert float(token_loss(torch.zeros((0, 5)), torch.zeros(0, dtype=torch.long))) == 0


def test_operations_of_a_bert_masked_language_model_equal_the_closed_form() -> None:
    config = BertConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        vocab_size=500,
    )  # fmt: skip
    counted = profile(config, heads.MASKED_LM)
    layer = 2 * 20 * (4 * 32 * 32 + 2 * 32 * 64) + 4 * 20 * 20 * 32
    head = 2 * 20 * (32 * 32 + 32 * 500)
    assert counted.forward(20) == 2 * layer + head == heads.MASKED_LM.closed_form(config, 20)
    assert counted.training(20) == 3 * counted.forward(20)
    # Zeros in the encoder save nothing in the head.
    assert counted.forward(20, density=0.0) == 2 * 4 * 20 * 20 * 32 + head
    assert closed_form(config, 20) != counted.forward(20)
    model = heads.MASKED_LM.build(config)
    assert model_profile(model).flops == counted


def test_operations_of_gpt2_include_the_logits_of_every_token() -> None:
    config = tiny_models.config("gpt2", vocab_size=500)
    counted = profile(config, heads.CAUSAL_LM)
    hidden, inner = config.hidden_size, config.n_inner or 4 * config.hidden_size
    layer = 2 * 20 * (4 * hidden**2 + 2 * hidden * inner) + 4 * 20 * 20 * hidden
    head = 2 * 20 * hidden * 500
    assert counted.forward(20) == config.num_hidden_layers * layer + head
    assert counted.head == 2 * hidden * 500


# ---- texts ----


def load(root: Path, **data: Any) -> Any:
    return load_split(context(root, text_recipe("masked_lm", TRAIN_TOKENS, data=data)), "train")


def test_every_line_of_a_text_file_is_a_text_and_blank_lines_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_bytes('\ufeffOne, two\tthree.\r\n\n  \n"Four\n'.encode())
    examples = load(tmp_path, train="t.txt")
    assert examples.texts == ["One, two\tthree.", '"Four']
    assert examples.where(1) == "line 4"


def test_the_text_column_of_a_table_is_text(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('id,body\n1,"a, b"\n2,c\n')
    assert load(tmp_path, train="t.csv", text="body").texts == ["a, b", "c"]


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", "empty-data"), (b"\n \n", "empty-data"), (b"ok\n\xff\n", "unreadable-data")],
)
def test_a_text_file_without_text_is_rejected(tmp_path: Path, content: bytes, code: str) -> None:
    (tmp_path / "t.txt").write_bytes(content)
    with pytest.raises(JobError) as caught:
        load(tmp_path, train="t.txt")
    assert caught.value.code == code
    assert caught.value.field == "recipe.data.train"
    if code == "unreadable-data":
        assert "line 2, byte 3" in caught.value.message


def test_other_encodings_are_read_with_an_option(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_bytes("naïve\n".encode("utf-16"))
    assert read_lines(tmp_path / "t.txt", "x", "utf-16", "f").columns == {"x": ["naïve"]}


def test_packing_fills_blocks_and_loses_no_token() -> None:
    tokenizer = tiny_models.tokenizer()
    texts = [[5, 6, 7], [8], [9, 10, 11, 12]]
    blocks = packed(texts, tokenizer, 6)
    end = tokenizer.eos_token_id
    stream = [5, 6, 7, end, 8, end, 9, 10, 11, 12, end]
    assert blocks == [[0, *stream[i : i + 4], 2] for i in (0, 4, 8)]


def test_blocks_are_trained_and_evaluated(tmp_path: Path) -> None:
    root = text_files(tmp_path)
    blocks = carry_out(root, text_recipe("causal_lm", TRAIN_TOKENS, data={"block_size": 32}))
    assert quality(blocks)["predicted_tokens"] > 100


# ---- what is rejected ----


@pytest.mark.parametrize(
    ("task", "changes", "field", "words"),
    [
        ("masked_lm", {"data": {"train": "a.txt", "text_pair": "b"}}, "recipe.data.text_pair", ""),
        ("causal_lm", {"data": {"train": "a.txt", "labels": ["a", "b"]}}, "recipe.data.labels", ""),
        (
            "causal_lm",
            {"model": {"config": {}}},
            "recipe.model.config.model_type",
            "from scratch is gpt2, not bert",
        ),
        (
            "classification",
            {"data": {"train": "a.csv", "validation": "b.csv", "block_size": 8}},
            "recipe.data.block_size",
            "belongs to masked_lm and causal_lm",
        ),
        (
            "masked_lm",
            {"data": {"train": "a.txt", "validation": "b.txt", "block_size": 64}},
            "recipe.stages.0.max_length",
            "32 is less than data.block_size 64",
        ),
        ("masked_words", {}, "recipe.task", "must be one of"),
    ],
)
def test_options_that_do_not_fit_the_task_are_rejected_when_submitted(
    task: str, changes: dict[str, Any], field: str, words: str
) -> None:
    data = {"train": "a.txt", "validation": "b.txt"}
    described = {"task": task, "data": data, "model": "base", "stages": [TRAIN_TOKENS], **changes}
    with pytest.raises(RecipeError) as caught:
        parse_recipe(described)
    assert caught.value.field == field
    assert words in caught.value.message


def test_a_classifier_has_no_head_for_a_language_model(tmp_path: Path) -> None:
    root = text_files(tmp_path)
    tiny_models.save(root / "base", tiny_models.config(labels=["a", "b"]))
    with pytest.raises(JobError) as caught:
        carry_out(root, text_recipe("masked_lm", {"kind": "evaluate"}, model="base"))
    assert caught.value.code == "untrained-model"


def test_a_tokenizer_without_a_mask_is_rejected(tmp_path: Path) -> None:
    root = text_files(tmp_path)
    tiny_models.save(root / "base", tiny_models.config(labels=["a", "b"]), mask_token=None)
    with pytest.raises(JobError, match="mask_token") as caught:
        carry_out(root, text_recipe("masked_lm", TRAIN_TOKENS, model="base"))
    assert caught.value.code == "bad-model"


def test_a_causal_model_without_padding_pads_with_its_end_of_text(tmp_path: Path) -> None:
    root = text_files(tmp_path)
    made = tiny_models.config("gpt2", pad_token_id=None, bos_token_id=0, eos_token_id=2)
    heads.CAUSAL_LM.build(made).save_pretrained(root / "base")
    tiny_models.tokenizer(pad_token=None).save_pretrained(root / "base")
    reporter = carry_out(root, text_recipe("causal_lm", TRAIN_TOKENS, model="base"))
    assert quality(reporter)["perplexity"] > 1


def test_the_names_of_metrics_are_those_that_the_recipe_knows(
    finished: tuple[str, Path, RecordingReporter],
) -> None:
    from pricetag.recipes.tasks import TASKS as ENTRIES

    task, _, reporter = finished
    names = {name for name in quality(reporter) if not name.endswith(("_s", "_bytes"))}
    assert set(ENTRIES[task].metrics) <= names
    assert task_named(task).name == task
