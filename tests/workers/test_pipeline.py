from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from pricetag.recipes import parse_recipe
from pricetag.studies.ensemble import Member, ensemble_curve
from tests.support.recording import RecordingReporter
from tests.support.training import CONFIG, TRAIN, carry_out, data_set, job, recipe
from workers.job import steps
from workers.job.pipeline import run
from workers.job.reporter import Interrupted, Job, JobError

MEASURE = {"kind": "measure", "batch_size": 4, "sequence_length": 16, "min_seconds": 0.05}
ALL = recipe(
    TRAIN,
    {**TRAIN, "kind": "distill"},
    {"kind": "prune", "sparsity": 0.5, "evaluate": False},
    {"kind": "quantize"},
    {**MEASURE, "accuracy": True},
)


def ends(reporter: RecordingReporter) -> list[tuple[str, str]]:
    return [(event["kind"], event["status"]) for event in reporter.of("stage_end")]


def refused(root: Path, described: dict[str, Any], **changes: Any) -> JobError:
    with pytest.raises(JobError) as caught:
        run(job(root, described, **changes), RecordingReporter())
    return caught.value


def test_stages_run_in_order_each_on_the_artifact_before(tmp_path: Path) -> None:
    data_set(tmp_path)
    reporter = carry_out(tmp_path, ALL)
    assert [kind for kind, _ in ends(reporter)] == [
        *("train", "evaluate", "distill", "evaluate", "prune", "quantize", "inference", "measure"),
    ]
    assert {status for _, status in ends(reporter)} == {"succeeded"}
    metrics = {event["name"]: event["value"] for event in reporter.of("metric", key="s6")}
    assert metrics["encoder_sparsity"] == pytest.approx(0.5, abs=0.05)
    assert metrics["low_bit_ops_per_example"] > 0
    assert metrics["model_bytes"] < 2 * metrics["dense_bytes"]
    assert metrics["latency_p50_batch_1_s"] <= metrics["latency_p95_batch_1_s"]
    assert 0 <= metrics["accuracy"] <= 1
    inner = reporter.of("stage_start", kind="inference")[0]
    assert inner["parent"] == "s6"
    count = reporter.of("metric", name="inferences")[0]
    assert count["key"] == inner["key"]
    assert count["value"] % 4 == 0


def test_each_model_has_a_card_that_states_its_lineage(tmp_path: Path) -> None:
    data_set(tmp_path)
    reporter = carry_out(tmp_path, ALL)
    cards = {event["name"]: event for event in reporter.of("artifact") if event["card"] is not None}
    assert list(cards) == [
        f"stage-0{number}-{kind}/model.safetensors"
        for number, kind in enumerate(["train", "distill", "prune", "quantize"])
    ]
    student = cards["stage-01-distill/model.safetensors"]
    assert student["card"]["run_id"] == "11111111-2222-3333-4444-555555555555"
    assert [parent["kind"] for parent in student["card"]["parents"]] == ["train"]
    assert 0 <= student["card"]["quality"]["validation"]["accuracy"] <= 1
    assert student["stage_key"] == "s2"
    assert json.loads((student["path"].parent / "card.json").read_text()) == student["card"]
    last = cards["stage-03-quantize/model.safetensors"]["card"]
    assert [parent["kind"] for parent in last["parents"]] == ["train", "distill", "prune"]
    files = {path.suffix for path in (tmp_path / "artifacts").rglob("*") if path.is_file()}
    assert files == {".json", ".safetensors"}


def test_a_second_attempt_repeats_no_finished_stage(tmp_path: Path) -> None:
    data_set(tmp_path)
    reporter = RecordingReporter(stop_after=9)
    with pytest.raises(Interrupted):
        run(job(tmp_path, recipe(TRAIN, TRAIN)), reporter)
    again = carry_out(tmp_path, recipe(TRAIN, TRAIN), attempt=2)
    first, second = ends(reporter), ends(again)
    done = [kind for kind, status in first if status == "succeeded"]
    assert [kind for kind, status in second if status == "reused"] == done
    assert len(second) == 4
    third = carry_out(tmp_path, recipe(TRAIN, TRAIN), attempt=3)
    assert {status for _, status in ends(third)} == {"reused"}
    assert third.of("metric") == []


def test_a_stage_is_repeated_if_it_or_its_data_changed(tmp_path: Path) -> None:
    data_set(tmp_path)
    carry_out(tmp_path, recipe(TRAIN))
    changed = carry_out(tmp_path, recipe({**TRAIN, "seed": 5}), attempt=2)
    assert ends(changed)[0] == ("train", "succeeded")
    os.utime(tmp_path / "data" / "train.tsv", ns=(1, 1))
    changed = carry_out(tmp_path, recipe({**TRAIN, "seed": 5}), attempt=3)
    assert ends(changed)[0] == ("train", "succeeded")
    renamed = carry_out(tmp_path, recipe({**TRAIN, "seed": 5, "name": "other"}), attempt=4)
    assert ends(renamed)[0] == ("train", "reused")


@pytest.mark.parametrize("damage", ["{", "[]", '{"key": "other"}'])
def test_a_damaged_note_is_ignored(tmp_path: Path, damage: str) -> None:
    data_set(tmp_path)
    carry_out(tmp_path, recipe(TRAIN))
    (tmp_path / "work" / "stage-00" / "done.json").write_text(damage)
    assert ends(carry_out(tmp_path, recipe(TRAIN), attempt=2))[0] == ("train", "succeeded")


def test_trained_models_are_evaluated_on_all_available_splits() -> None:
    data = {"train": "a.tsv", "validation": "b.tsv", "test": "c.tsv"}
    stages: list[dict[str, Any]] = [TRAIN, {**TRAIN, "evaluate": False}, {"kind": "quantize"}]
    planned = steps.plan(parse_recipe(recipe(*stages, data=data)))
    assert [(step.kind, step.index, step.automatic) for step in planned] == [
        ("train", 0, False),
        ("evaluate", 0, True),
        ("train", 1, False),
        ("quantize", 2, False),
    ]
    assert getattr(planned[1].params, "splits", None) == ["validation", "test"]


def test_a_stop_before_the_first_stage_is_an_interruption(tmp_path: Path) -> None:
    data_set(tmp_path)
    reporter = RecordingReporter(stop_after=0)
    with pytest.raises(Interrupted):
        run(job(tmp_path, recipe(TRAIN)), reporter)
    assert reporter.of("stage_start") == []


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"data": {"train": "none.tsv", "validation": "data/dev.tsv"}}, "missing-file", "train"),
        ({"data": {"train": "/etc/a.csv", "validation": "data/dev.tsv"}}, "path-outside", "train"),
        ({"model": "nowhere"}, "missing-model", "recipe.model"),
        ({"model": "data"}, "bad-model", "recipe.model"),
        ({"model": "data/dev.tsv"}, "bad-model", "recipe.model"),
        ({"task": "poetry"}, "invalid-recipe", "recipe.task"),
    ],
)
def test_unusable_models_are_named(
    tmp_path: Path, changes: dict[str, Any], code: str, field: str
) -> None:
    data_set(tmp_path)
    error = refused(tmp_path, recipe(TRAIN, **changes))
    assert error.code.startswith(code)
    assert error.field is not None
    assert error.field.endswith(field)


def test_labels_of_the_validation_data_must_be_known(tmp_path: Path) -> None:
    data_set(tmp_path)
    dev = tmp_path / "data" / "dev.tsv"
    dev.write_text(dev.read_text() + "odd one out\t7\teasy\n")
    error = refused(tmp_path, recipe(TRAIN))
    assert (error.code, error.field) == ("unknown-label", "recipe.data.validation")


def test_pickled_weights_are_never_loaded(tmp_path: Path) -> None:
    data_set(tmp_path)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", **CONFIG}))
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    error = refused(tmp_path, recipe(TRAIN, model="model"))
    assert error.code == "bad-model"
    assert "never loaded" in error.message


def test_a_broken_model_folder_is_reported_as_such(tmp_path: Path) -> None:
    data_set(tmp_path)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "no-such-thing"}')
    save_file({"weight": torch.zeros(64)}, folder / "model.safetensors")
    assert refused(tmp_path, recipe(TRAIN, model="model")).code == "bad-model"
    (folder / "config.json").write_text("{")
    assert refused(tmp_path, recipe(TRAIN, model="model")).code == "bad-model"


@pytest.mark.parametrize("left_bytes", [0, 20, 100, -1])
def test_weights_that_were_cut_off_are_found_before_anything_runs(
    tmp_path: Path, left_bytes: int
) -> None:
    data_set(tmp_path)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", **CONFIG}))
    weights = folder / "model.safetensors"
    save_file({"weight": torch.zeros(64)}, weights)
    weights.write_bytes(weights.read_bytes()[:left_bytes])
    error = refused(tmp_path, recipe(TRAIN, model="model"))
    assert (error.code, error.field) == ("bad-model", "recipe.model")
    assert "'model/model.safetensors' is damaged or incomplete" in error.message


def test_a_broken_tokenizer_is_reported_as_such(tmp_path: Path) -> None:
    data_set(tmp_path)
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "config.json").write_text(json.dumps({"model_type": "bert", **CONFIG}))
    (tmp_path / "words" / "tokenizer.json").write_text("[]")
    model = {"config": CONFIG, "tokenizer": "words"}
    error = refused(tmp_path, recipe(TRAIN, model=model))
    assert (error.code, error.field) == ("bad-model", "recipe.model.tokenizer")
    assert "the tokenizer 'words' cannot be loaded" in error.message


def test_a_model_whose_files_link_outside_is_rejected(tmp_path: Path) -> None:
    root = data_set(tmp_path / "root")
    (tmp_path / "secret.safetensors").write_bytes(b"x")
    folder = root / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").symlink_to(tmp_path / "secret.safetensors")
    assert refused(root, recipe(TRAIN, model="model")).code == "path-outside-roots"


def test_a_saved_model_can_be_the_start_of_another_run(tmp_path: Path) -> None:
    data_set(tmp_path)
    first = carry_out(tmp_path, recipe(TRAIN))
    (tmp_path / "work" / "stage-00" / "model").rename(tmp_path / "kept")
    stages: list[dict[str, Any]] = [
        {"kind": "evaluate", "keep_probabilities": True},
        {"kind": "quantize"},
        {"kind": "evaluate"},
    ]
    second = carry_out(tmp_path, recipe(*stages, model="kept"), attempt=2)
    before = first.of("metric", name="accuracy")[0]["value"]
    after = [event["value"] for event in second.of("metric", name="accuracy")]
    assert after[0] == before
    assert after[1] == pytest.approx(before, abs=0.1)
    # An ensemble of the kept class probabilities of one model has its accuracy.
    kept = [event for event in second.of("artifact") if "probabilities" in event["name"]]
    assert [event["name"] for event in kept] == ["stage-00-evaluate/probabilities-validation.json"]
    member = Member.read(json.loads(kept[0]["path"].read_text()))
    assert sum(member.probabilities) == pytest.approx(len(member.labels))
    assert ensemble_curve([member])[0].accuracy == pytest.approx(before)


def test_a_job_survives_its_journey_as_json(tmp_path: Path) -> None:
    one = job(tmp_path, recipe(TRAIN), allow_commands=True, gpus=2, device="cuda")
    assert Job.from_json(one.to_json()) == one
