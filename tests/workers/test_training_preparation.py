"""Problems that can be found before training are found then, and training is not repeated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pricetag.cli.app import run as pricetag
from pricetag.recipes import parse_recipe
from tests.support import families, tiny_models
from tests.support.recording import RecordingReporter
from tests.support.training import CONFIG, carry_out, job, recipe
from workers.job import steps
from workers.job.pipeline import run
from workers.job.reporter import JobError
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
def test_an_error_in_any_split_is_reported_before_training(
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


def test_a_corrected_evaluation_file_does_not_repeat_the_training(tmp_path: Path) -> None:
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


def test_a_model_that_does_not_fit_is_reported_before_a_stage_starts(tmp_path: Path) -> None:
    tiny_models.save(tmp_path / "m", families.config("bert", vocab_size=10))
    asked = {**described(tmp_path), "model": "m"}
    reporter = RecordingReporter()
    with pytest.raises(JobError) as caught:
        run(job(tmp_path, asked), reporter)
    assert caught.value.code == "bad-model"
    assert reporter.of("stage_start") == []
    message = reported(parse_recipe(asked), [tmp_path])
    assert message == f"recipe.model: {caught.value.message} (bad-model)"


def test_files_that_are_elsewhere_are_named_and_are_not_errors(tmp_path: Path) -> None:
    asked = described(tmp_path)
    assert check_files(parse_recipe(asked), [tmp_path]) == []
    (tmp_path / "validation.tsv").unlink()
    (skipped,) = check_files(parse_recipe(asked), [tmp_path])
    assert skipped.startswith("data.validation: 'validation.tsv' is not under")


def test_the_files_at_hand_are_checked_where_others_are_elsewhere(tmp_path: Path) -> None:
    asked = described(tmp_path, test=HEAD + "a\t-1\n")
    (tmp_path / "validation.tsv").unlink()
    with pytest.raises(JobError) as caught:
        check_files(parse_recipe(asked), [tmp_path])
    assert (caught.value.code, caught.value.field) == ("unknown-label", "recipe.data.test")


EVALUATE: dict[str, Any] = {"kind": "evaluate", "splits": ["validation"]}
MEASURE: dict[str, Any] = {"kind": "measure", "min_seconds": 0.01}
HEADLESS = [
    (EVALUATE,),
    (MEASURE, EVALUATE),
    ({"kind": "prune", "sparsity": 0.5}, STEP),
    ({"kind": "distill", "max_steps": 2},),
    ({"kind": "quantize"},),
]


@pytest.mark.parametrize("stages", HEADLESS)
def test_a_missing_head_is_reported_before_a_stage_starts(
    tmp_path: Path, stages: tuple[dict[str, Any], ...]
) -> None:
    tiny_models.save(tmp_path / "m", tiny_models.config())
    kept = json.loads((tmp_path / "m" / "config.json").read_text())
    kept["architectures"] = ["BertForMaskedLM"]
    (tmp_path / "m" / "config.json").write_text(json.dumps(kept))
    asked = {**described(tmp_path, *stages), "model": "m"}
    reporter = RecordingReporter()
    with pytest.raises(JobError) as caught:
        run(job(tmp_path, asked), reporter)
    assert (caught.value.code, caught.value.field) == ("untrained-model", "recipe.stages.0")
    assert reporter.of("stage_start") == []


def test_labels_unknown_to_the_head_are_reported_before_a_stage_starts(
    tmp_path: Path,
) -> None:
    tiny_models.save(tmp_path / "m", tiny_models.config(labels=["0", "1"]))
    odd = HEAD + "a\t1\nb\t7\n"
    for stages in ((EVALUATE,), (MEASURE, EVALUATE, STEP)):
        asked = {**described(tmp_path, *stages, validation=odd), "model": "m"}
        reporter = RecordingReporter()
        with pytest.raises(JobError) as caught:
            run(job(tmp_path, asked), reporter)
        assert (caught.value.code, "line 3" in caught.value.message) == ("unknown-label", True)
        assert reporter.of("stage_start") == []


@pytest.mark.parametrize("cell", ["", "  "])
def test_a_split_without_any_text_is_rejected(tmp_path: Path, cell: str) -> None:
    asked = described(tmp_path, validation=HEAD + f"{cell}\t1\n{cell}\t0\n")
    with pytest.raises(JobError) as caught:
        check_files(parse_recipe(asked), [tmp_path])
    assert (caught.value.code, caught.value.field) == ("empty-data", "recipe.data.validation")
    assert "every text in the column 'sentence'" in caught.value.message
    asked = described(tmp_path, validation=HEAD + f"{cell}\t1\nb\t0\n")
    assert check_files(parse_recipe(asked), [tmp_path]) == []


def test_the_log_says_how_many_examples_are_cut(tmp_path: Path) -> None:
    long = "good film " * 20
    asked = described(tmp_path, {**STEP, "max_length": 8}, validation=GOOD + f"{long}\t1\n")
    lines = [event["text"] for event in carry_out(tmp_path, asked).of("log")]
    assert "train: 0 of 4 examples (0.0%) are longer than 8 tokens and are cut" in lines
    assert "validation: 1 of 5 examples (20.0%) are longer than 8 tokens and are cut" in lines


def test_rows_are_kept_only_for_stages_to_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[set[str]] = []
    forget = steps.forget_splits

    def recorded(cache: dict[Any, Any], remaining: Any) -> None:
        forget(cache, remaining)
        kept.append({key[1] for key in cache if key[0] in steps.OF_SPLIT})

    monkeypatch.setattr(steps, "forget_splits", recorded)
    asked = described(tmp_path, STEP, {"kind": "quantize"}, EVALUATE, test=GOOD)
    carry_out(tmp_path, asked)
    assert kept == [{"validation", "test"}, {"validation"}, {"validation"}, set()]


def test_the_command_line_checks_the_files_at_hand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "job.json"
    names = {"project": "p", "experiment": "e", "name": "n"}
    command = ["submit", str(file), "--check", "--data-root", str(tmp_path)]
    file.write_text(json.dumps({**names, "recipe": described(tmp_path)}))
    assert pricetag(command) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "Checked: data (train, validation): columns, encoding and labels"
    ]
    assert pricetag(command[:3]) == 0
    alone = "Checked: the job file alone; --data-root FOLDER also checks its files."
    assert capsys.readouterr().out.splitlines()[1:] == [alone]
    file.write_text(json.dumps({**names, "recipe": described(tmp_path, validation="a\t1\n")}))
    assert pricetag(command) == 2
    complaint = capsys.readouterr().err
    assert "recipe.data.validation: validation.tsv has no column 'sentence'" in complaint
    assert "add columns: [sentence, label]" in complaint
    (tmp_path / "validation.tsv").unlink()
    (tmp_path / "validations.tsv").write_text(HEAD)
    assert pricetag(command) == 2
    complaint = capsys.readouterr().err
    assert "recipe.data.validation: 'validation.tsv' is not under" in complaint
    assert "(did you mean 'validations.tsv'" in complaint
    assert pricetag([*command, "--data-root", str(tmp_path / "absent")]) == 2
    assert "absent is not a folder" in capsys.readouterr().err
