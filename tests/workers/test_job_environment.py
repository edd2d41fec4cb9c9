"""A worker with a hostile environment, and the jobs that it starts."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.support.supervised import of, supervise
from tests.support.training import TRAIN, carry_out, data_set, recipe
from workers.attempt.nursery import Nursery
from workers.attempt.processes import FreshInterpreter, Starter
from workers.job.reporter import JobError

HOSTILE = {
    "ACCELERATE_MIXED_PRECISION": "bf16",
    "ACCELERATE_USE_DEEPSPEED": "true",
    "ACCELERATE_DYNAMO_BACKEND": "inductor",
    "PMI_SIZE": "2",
    "PMI_RANK": "0",
    "OMPI_COMM_WORLD_SIZE": "2",
    "MV2_COMM_WORLD_SIZE": "2",
    "SLURM_NTASKS": "2",
    "WORLD_SIZE": "2",
    "WANDB_PROJECT": "mine",
    "SERVICE_SECRET": "hush",
}


def hostile_folder(folder: Path) -> Path:
    """Modules with the names of libraries, as in a researcher's project."""
    folder.mkdir()
    for name in ("tokenizers", "datasets", "safetensors", "evaluate", "sitecustomize", "random"):
        (folder / f"{name}.py").write_text("raise ImportError('the wrong module')\n")
    return folder


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRICETAG_METER_HOST", "none")
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(hostile_folder(tmp_path / "project")))


@pytest.mark.parametrize("way", ["nursery", "fresh interpreter"])
async def test_training_is_the_same_whatever_the_worker_s_environment(
    tmp_path: Path, way: str, hostile: None
) -> None:
    described = recipe({**TRAIN, "max_steps": 3, "evaluate": False, "precision": "fp32"})
    data_set(tmp_path / "lab")
    nursery = Nursery(allow_hub=False)
    starter: Starter = nursery if way == "nursery" else FreshInterpreter()
    try:
        records, work = await supervise(tmp_path / "lab", described, starter)
    finally:
        nursery.close()
    assert of(records, "end")[0]["status"] == "succeeded", records[-8:]
    seen: dict[str, str] = {}
    for record in of(records, "environment"):
        seen |= record.get("variables") or {}
    assert not seen.keys() & HOSTILE.keys()
    assert str(tmp_path / "project") not in json.dumps(seen)
    assert seen["PATH"] == os.environ["PATH"]
    trained = load_file(work / "stage-00" / "model" / "model.safetensors")
    with pytest.MonkeyPatch.context() as clean:
        for name in HOSTILE:
            clean.delenv(name)
        carry_out(data_set(tmp_path / "clean"), described)
    expected = load_file(tmp_path / "clean/work/stage-00/model/model.safetensors")
    for name, tensor in expected.items():
        # Threads may sum in another order; bf16 would differ in the third digit.
        assert (trained[name] - tensor).abs().max() < 1e-5, name


SHOW = "import json, os, sys; print(json.dumps([dict(os.environ), sys.path]))"


async def program(root: Path, job_env: tuple[str, ...] = ()) -> tuple[dict[str, str], list[str]]:
    described = {"stages": [{"kind": "command", "argv": [sys.executable, "-c", SHOW]}]}
    root.mkdir()
    records, _ = await supervise(root, described, FreshInterpreter(), job_env)
    lines = [record["text"] for record in of(records, "log") if record["text"].startswith("[")]
    variables, path = json.loads(lines[0])
    recorded = of(records, "environment")[0]["variables"]
    assert {name: variables[name] for name in recorded if recorded[name] != "***"} == {
        name: value for name, value in recorded.items() if value != "***"
    } | {"PATH": variables["PATH"]}
    return variables, path


async def test_a_program_sees_what_is_allowed_and_what_the_administrator_adds(
    tmp_path: Path, hostile: None
) -> None:
    project = tmp_path / "project"
    (project / "sitecustomize.py").unlink()
    (project / "random.py").unlink()
    variables, path = await program(tmp_path / "plain")
    assert not variables.keys() & (HOSTILE.keys() | {"PYTHONPATH", "PYTHONSAFEPATH"})
    assert str(project) not in path
    allowed = ("PYTHONPATH", "WANDB_PROJECT", "SERVICE_SECRET")
    variables, path = await program(tmp_path / "added", allowed)
    assert variables["WANDB_PROJECT"] == "mine"
    assert str(project) in path


@pytest.mark.parametrize(
    ("variable", "value", "precision"),
    [
        ("ACCELERATE_MIXED_PRECISION", "bf16", "fp32"),
        ("ACCELERATE_MIXED_PRECISION", "fp16", "fp32"),
    ],
)
def test_training_in_another_format_than_is_logged_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, precision: str
) -> None:
    """Should a variable ever leak again, no figure is issued for the wrong format."""
    monkeypatch.setenv(variable, value)
    described = recipe({**TRAIN, "max_steps": 1, "precision": precision, "evaluate": False})
    with pytest.raises(JobError) as caught:
        carry_out(data_set(tmp_path), described)
    assert caught.value.code == "precision-mismatch"
    assert value in caught.value.message
