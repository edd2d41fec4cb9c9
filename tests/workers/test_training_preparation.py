"""What can be known before training is found before training, and training is not repeated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pricetag.recipes import parse_recipe
from tests.support import families, tiny_models
from tests.support.training import CONFIG, carry_out, job, recipe
from workers.job.pipeline import run
from workers.job.reporter import JobError, RecordingReporter
from workers.training.preparation import check_files, reported

HEAD = "sentence\tlabel\n"
GOOD = HEAD + "good film\t1\nbad film\t0\nnice one\t1\nawful one\t0\n"
STEP = {"kind": "train", "max_steps": 2, "batch_size": 4, "max_length": 32}


def described(folder: Path, *stages: dict[str, Any], **splits: str) -> dict[str, Any]:
    """A recipe whose splits have these texts; ``train`` is good unless given."""
    for split, text in {"train": GOOD, "validation": GOOD, **splits}.items():
        (folder / f"{split}.tsv").write_text(text)
    data = {split: f"{split}.tsv" for split in {"train": "", "validation": "", **splits}}
    return recipe(*(stages or (STEP,)), data=data, model={"config": CONFIG})


FAULTS = [
    ({"validation": HEAD + "a\t1\nb\t-1\n"}, "unknown-label", "line 3"),
    ({"validation": "text\tlabel\na\t1\n"}, "missing-column", "'sentence'"),
    ({"validation": HEAD}, "empty-data", "no rows"),
    ({"test": HEAD + "a\t1\nb\t-1\n"}, "unknown-label", "line 3"),
    ({"test": HEAD + "a\t1\nb\n"}, "unreadable-data", "line 3"),
    ({"test": HEAD + "a\t\n"}, "bad-cell", "line 2"),
    ({"train": HEAD + "a\t1\nb\t1\n"}, "single-class", "one class"),
]


@pytest.mark.parametrize(("splits", "code", "where"), FAULTS)
def test_a_fault_of_any_split_is_found_before_training(
    tmp_path: Path, splits: dict[str, str], code: str, where: str
) -> None:
    asked = described(tmp_path, **splits)
    reporter = RecordingReporter()
    with pytest.raises(JobError) as caught:
        run(job(tmp_path, asked), reporter)
    assert caught.value.code == code
    assert where in caught.value.message
    assert reporter.of("stage_start") == []
    with pytest.raises(JobError) as checked:
        check_files(parse_recipe(asked), [tmp_path])
    assert (checked.value.code, checked.value.message) == (code, caught.value.message)


def test_a_split_that_no_stage_reads_is_not_opened(tmp_path: Path) -> None:
    asked = described(tmp_path, {**STEP, "evaluate": False}, test="nothing\n")
    assert carry_out(tmp_path, asked).of("stage_start", kind="train")


def test_a_mended_evaluation_file_does_not_repeat_the_training(tmp_path: Path) -> None:
    quantize, measure = {"kind": "quantize"}, {"kind": "measure", "min_seconds": 0.01}
    asked = described(tmp_path, STEP, quantize, measure)
    first = carry_out(tmp_path, asked)
    assert [event["status"] for event in first.of("stage_end")] == ["succeeded"] * 5
    (tmp_path / "validation.tsv").write_text(GOOD + "great fun\t1\n")
    again = carry_out(tmp_path, asked, attempt=2)
    assert {event["kind"]: event["status"] for event in again.of("stage_end")} == {
        "train": "reused",
        "evaluate": "succeeded",
        "quantize": "reused",
        "inference": "succeeded",
        "measure": "succeeded",
    }


def test_changed_training_data_are_trained_on_again(tmp_path: Path) -> None:
    asked = described(tmp_path)
    carry_out(tmp_path, asked)
    (tmp_path / "train.tsv").write_text(GOOD + "great fun\t1\n")
    again = carry_out(tmp_path, asked, attempt=2)
    assert [event["status"] for event in again.of("stage_end")] == ["succeeded"] * 2


def test_another_positive_label_repeats_the_evaluation_alone(tmp_path: Path) -> None:
    asked = described(tmp_path)
    carry_out(tmp_path, asked)
    asked["data"]["positive_label"] = "0"
    again = carry_out(tmp_path, asked, attempt=2)
    assert [event["status"] for event in again.of("stage_end")] == ["reused", "succeeded"]
    assert again.of("metric", name="f1")[0]["of_class"] == "0"


def test_a_model_that_does_not_fit_is_found_before_a_stage_opens(tmp_path: Path) -> None:
    tiny_models.save(tmp_path / "m", families.config("bert", vocab_size=10))
    asked = {**described(tmp_path), "model": "m"}
    reporter = RecordingReporter()
    with pytest.raises(JobError) as caught:
        run(job(tmp_path, asked), reporter)
    assert caught.value.code == "bad-model"
    assert reporter.of("stage_start") == []
    message = reported(parse_recipe(asked), [tmp_path])
    assert message == f"recipe.model: {caught.value.message} (bad-model)"


def test_files_that_are_elsewhere_are_named_and_are_not_faults(tmp_path: Path) -> None:
    asked = described(tmp_path)
    assert check_files(parse_recipe(asked), [tmp_path]) == []
    (tmp_path / "validation.tsv").unlink()
    (skipped,) = check_files(parse_recipe(asked), [tmp_path])
    assert skipped.startswith("data.validation: 'validation.tsv' is not under")
