"""Which data and model files a job reports, with size and SHA-256."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from pricetag.attempt import event_schema
from pricetag.recipes import parse_recipe
from tests.support.training import CONFIG, TRAIN, carry_out, data_set, job, recipe
from workers.job import inputs
from workers.job.context import ModelRef
from workers.job.file_hashes import FileHashes

EVALUATE = {"kind": "evaluate", "splits": ["validation"]}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def described(
    root: Path, recipe_: dict[str, Any], model: ModelRef | None = None
) -> list[dict[str, Any]]:
    return inputs.describe(job(root, recipe_), parse_recipe(recipe_), model, FileHashes(None))


def content(root: Path, role: str, path: str) -> dict[str, Any]:
    """What is reported about a file under the data root."""
    file = root / path
    size_bytes = file.stat().st_size
    about = {"role": role, "path": path, "size_bytes": size_bytes, "sha256": sha256(file)}
    return {**about, "reason": None}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Data, and a folder with the files of a model and others."""
    data_set(tmp_path)
    folder = tmp_path / "base"
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "vocab.txt", "README.md", "old.bin"):
        (folder / name).write_text(name)
    (folder / "onnx").mkdir()
    return tmp_path


def test_a_job_reports_what_it_reads_and_keeps_the_hashes(tmp_path: Path) -> None:
    data_set(tmp_path)
    notes = tmp_path / "notes" / "hashes.json"
    reporter = carry_out(tmp_path, recipe({**TRAIN, "evaluate": False}), hashes=notes)
    [files] = [event["inputs"] for event in reporter.of("environment") if "inputs" in event]
    assert files == [content(tmp_path, "data.train", "data/train.tsv")]


def test_only_splits_that_a_step_reads_are_listed(root: Path) -> None:
    data = {"train": "data/train.tsv", "validation": "data/dev.tsv", "test": "data/test.tsv"}
    for stages, roles in (
        ([TRAIN], ["data.train", "data.validation", "data.test"]),  # evaluated on both
        ([{**TRAIN, "evaluate": False}], ["data.train"]),
        ([{**TRAIN, "evaluate": False}, EVALUATE], ["data.train", "data.validation"]),
    ):
        files = described(root, recipe(*stages, data=data))
        assert [file["role"] for file in files] == roles


def test_the_files_of_a_models_folder_that_are_loaded_are_listed(root: Path) -> None:
    of_folder = recipe(EVALUATE, model="base")
    files = described(root, of_folder, ModelRef(folder=root / "base"))
    assert files == [
        content(root, "data.validation", "data/dev.tsv"),
        *(
            content(root, "model", f"base/{name}")
            for name in ("config.json", "model.safetensors", "vocab.txt")
        ),
    ]


def test_a_tokenizer_and_a_trained_student_are_listed(root: Path) -> None:
    student = {**TRAIN, "kind": "distill", "student": {"model": "base"}, "evaluate": False}
    scratch = {"config": CONFIG, "tokenizer": "base"}
    first = {**TRAIN, "evaluate": False}
    files = described(root, recipe(first, student, model=scratch))
    assert [(file["role"], file["path"]) for file in files] == [
        ("data.train", "data/train.tsv"),
        *(
            (role, f"base/{name}")
            for role in ("model.tokenizer", "stages.1.student.model")
            for name in ("config.json", "model.safetensors", "vocab.txt")
        ),
    ]


def test_what_comes_from_the_hub_is_unknown_with_a_reason(root: Path) -> None:
    of_hub = recipe(EVALUATE, model="org/base", data={"hub": "sst2", "validation": "validation"})
    files = described(root, of_hub, ModelRef(hub="org/base"))
    unknown = {"size_bytes": None, "sha256": None, "reason": inputs.OF_HUB}
    assert files == [
        {"role": "data.validation", "path": "sst2: validation", **unknown},
        {"role": "model", "path": "org/base", **unknown},
    ]


def test_files_beyond_the_limit_are_counted(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "MAX_FILES", 2)
    files = described(root, recipe(EVALUATE, model="base"), ModelRef(folder=root / "base"))
    assert [file["path"] for file in files] == ["data/dev.tsv", "base/config.json", "..."]
    assert files[-1]["sha256"] is None
    assert files[-1]["reason"] == "2 more files are not listed"


def test_the_event_of_many_files_with_long_names_is_accepted(root: Path) -> None:
    file = {
        "role": "stages.12.student.model",
        "path": "p" * 500,
        "size_bytes": 2**62,
        "sha256": "a" * 64,
        "reason": None,
    }
    message = {"type": "environment", "n": 1, "inputs": [file] * (inputs.MAX_FILES + 1)}
    line = json.dumps(message).encode()
    assert len(line) < 256 * 1024
    event = event_schema.parse(event_schema.decode(line))
    assert event.fields()["inputs"] == message["inputs"]


@pytest.mark.parametrize(
    "wrong",
    [{"sha256": "A" * 64}, {"sha256": "a"}, {"size_bytes": -1}, {"size_bytes": True}, {"role": 1}],
)
def test_a_malformed_file_is_rejected(wrong: dict[str, Any]) -> None:
    file = {"role": "model", "path": "p", "size_bytes": 1, "sha256": None, "reason": "r", **wrong}
    with pytest.raises(event_schema.EventError):
        event_schema.parse({"type": "environment", "n": 1, "inputs": [file]})
