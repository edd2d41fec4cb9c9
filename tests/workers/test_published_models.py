"""A run finds the model of an earlier run by the hashes of its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.support.recording import RecordingReporter
from tests.support.training import TRAIN, carry_out, data_set, job, recipe
from workers.job.pipeline import run
from workers.job.reporter import JobError
from workers.job.socket_reporter import sha256_of

RUN_ID = "99999999-2222-3333-4444-555555555555"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with a run that has trained and published a model."""
    root = data_set(tmp_path_factory.mktemp("lab"))
    artifacts = root / "artifacts" / RUN_ID / "1"
    described = recipe({**TRAIN, "name": "teacher"})
    carry_out(root, described, work_dir=root / "first", artifacts_dir=artifacts)
    return root


def upstream_of(lab: Path) -> dict[str, Any]:
    folder = lab / "artifacts" / RUN_ID / "1" / "stage-00-train"
    return {
        "run_id": RUN_ID,
        "stage": "teacher",
        "folder": f"{RUN_ID}/1/stage-00-train",
        "files": {file.name: sha256_of(file) for file in folder.iterdir()},
    }


def take(lab: Path, upstream: dict[str, Any] | None, *kinds: str) -> RecordingReporter:
    reporter = RecordingReporter()
    stages = [{"kind": kind} for kind in kinds or ("evaluate",)]
    own = str(uuid4())
    described = recipe(*stages, model={"run": RUN_ID, "stage": "teacher"})
    work, artifacts = lab / "work" / own, lab / "artifacts" / own / "1"
    run(job(lab, described, upstream=upstream, work_dir=work, artifacts_dir=artifacts), reporter)
    return reporter


def test_the_published_model_is_what_the_next_run_starts_from(lab: Path) -> None:
    reporter = take(lab, upstream_of(lab), "evaluate", "quantize")
    (card,) = [event["card"] for event in reporter.of("artifact") if event["card"]]
    assert card["base_model"] == {"run": RUN_ID, "stage": "teacher"}
    metrics = {event["name"]: event["value"] for event in reporter.of("metric")}
    own = lab / "artifacts" / RUN_ID / "1" / "stage-00-train" / "card.json"
    assert f'"accuracy": {metrics["accuracy"]}' in own.read_text()


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_removed_file_ends_the_job_before_any_stage(lab: Path, name: str) -> None:
    upstream = upstream_of(lab)
    file = lab / "artifacts" / upstream["folder"] / name
    kept = file.read_bytes()
    file.unlink()
    try:
        with pytest.raises(JobError) as caught:
            take(lab, upstream)
    finally:
        file.write_bytes(kept)
    assert (caught.value.code, caught.value.field) == ("missing-artifact", "recipe.model.run")
    assert name in caught.value.message
    assert "not on this worker's machine" in caught.value.message


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_changed_file_is_not_used(lab: Path, name: str) -> None:
    upstream = upstream_of(lab)
    file = lab / "artifacts" / upstream["folder"] / name
    kept = file.read_bytes()
    file.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    try:
        with pytest.raises(JobError) as caught:
            take(lab, upstream)
    finally:
        file.write_bytes(kept)
    assert (caught.value.code, caught.value.field) == ("artifact-changed", "recipe.model.run")
    assert upstream["files"][name] in caught.value.message


@pytest.mark.parametrize("folder", ["../data", "/etc"])
def test_only_artifacts_are_read(lab: Path, folder: str) -> None:
    with pytest.raises(JobError) as caught:
        take(lab, {**upstream_of(lab), "folder": folder})
    assert caught.value.code == "missing-artifact"


def test_a_job_without_a_settled_model_is_rejected(lab: Path) -> None:
    with pytest.raises(JobError) as caught:
        take(lab, None)
    assert caught.value.code == "missing-artifact"
