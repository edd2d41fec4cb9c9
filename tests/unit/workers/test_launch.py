from __future__ import annotations

import json
import shutil
import socket
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from pricetag.attempt.socket_folder import own_folder, socket_path
from workers.attempt.launch import argv, child_environment, prepare
from workers.job.request import Job
from workers.node.identity import NodeConfig


@dataclass
class Claimed:
    gpus: int = 0
    power_limit_w: float | None = None
    kind: str = "train"
    number: int = 2
    run_id: UUID = field(default_factory=uuid4)
    attempt_id: UUID = field(default_factory=uuid4)
    upstream: dict[str, Any] | None = None

    @property
    def recipe(self) -> dict[str, Any]:
        return {"stages": [{"kind": self.kind}]}


def config(folder: Path) -> NodeConfig:
    return NodeConfig(
        name="n",
        worker="n:b:1:2",
        pool="default",
        data_dir=folder,
        artifacts_dir=folder / "artifacts",
        data_roots=(folder,),
        allow_commands=False,
        allow_hub=True,
        lease_s=900.0,
        heartbeat_timeout_s=600.0,
        stop_grace_s=30.0,
        git_commit="abc",
    )


def test_several_devices_are_launched_by_torchrun_a_command_is_not() -> None:
    assert argv(Claimed(gpus=0)) == [sys.executable, "-m", "workers.job.child"]
    assert argv(Claimed(gpus=1)) == [sys.executable, "-m", "workers.job.child"]
    assert "--nproc-per-node=4" in argv(Claimed(gpus=4))
    assert argv(Claimed(gpus=4, kind="command")) == [sys.executable, "-m", "workers.job.child"]


def test_the_child_reads_what_the_launch_wrote(tmp_path: Path) -> None:
    claimed = Claimed(gpus=1)
    launch = prepare(claimed, config(tmp_path), ["GPU-1"], tmp_path)
    job = Job.from_json(Path(launch.argv[-1]).read_text())
    assert (job.run_id, job.attempt_number, job.device) == (str(claimed.run_id), 2, "cuda")
    assert job.artifacts_dir == tmp_path / "artifacts" / str(claimed.run_id) / "2"
    assert json.dumps(job.recipe) == json.dumps(claimed.recipe)


def test_a_job_sees_its_devices_and_none_of_the_services_secrets(tmp_path: Path) -> None:
    variables = {"PATH": "/bin", "PRICETAG_DATABASE_URL": "postgresql://secret", "HF_HOME": "/hf"}
    seen = child_environment(variables, config(tmp_path), ["GPU-1", "GPU-2"], tmp_path / "s")
    assert seen["CUDA_VISIBLE_DEVICES"] == "GPU-1,GPU-2"
    assert seen["PRICETAG_EVENTS"] == str(tmp_path / "s")
    assert (seen["PATH"], seen["HF_HOME"]) == ("/bin", "/hf")
    assert "PRICETAG_DATABASE_URL" not in seen
    grouped = child_environment({"RANK": "1", "WORLD_SIZE": "2"}, config(tmp_path), [], tmp_path)
    assert not {"RANK", "WORLD_SIZE"} & grouped.keys()
    nothing = child_environment(variables, config(tmp_path), [], tmp_path / "s")
    assert nothing["CUDA_VISIBLE_DEVICES"] == ""  # none, not all


@pytest.mark.parametrize("depth", [1, 60])
def test_the_event_socket_s_path_is_short_enough_for_the_kernel(
    monkeypatch: pytest.MonkeyPatch, depth: int
) -> None:
    base = Path(tempfile.mkdtemp(dir="/tmp"))  # pytest's own folder may be a deep one
    deep = base / "/".join(["d"] * depth)
    deep.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    folder = own_folder()
    try:
        assert (folder.parent == deep) is (depth == 1)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(socket_path(folder)))
    finally:
        shutil.rmtree(folder)
        shutil.rmtree(base)
