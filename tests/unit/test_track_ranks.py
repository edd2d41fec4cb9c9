"""Only the first of several processes of one script reports."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pricetag.attempt.event_server import Connection, EventServer
from pricetag.events import ENV_VAR
from pricetag.script import is_first_rank
from tests.unit.workers.test_launch import config
from workers.attempt.launch import child_environment

SCRIPT = """
import json, pricetag
with pricetag.stage("epoch"):
    pricetag.log(loss=0.5)
    pricetag.progress(1, 2)
print(json.dumps("said"))
"""


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, True),
        ({"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "8"}, True),
        ({"RANK": "3", "LOCAL_RANK": "3"}, False),
        ({"RANK": "8", "LOCAL_RANK": "0"}, False),  # the first one of another machine
        ({"SLURM_PROCID": "0", "SLURM_LOCALID": "0"}, True),
        ({"SLURM_PROCID": "1", "SLURM_LOCALID": "1"}, False),
        ({"SLURM_LOCALID": "1", "LOCAL_RANK": "0"}, False),  # torchrun within a Slurm task
        ({"OMPI_COMM_WORLD_LOCAL_RANK": "2"}, False),
        ({"LOCAL_RANK": ""}, True),
    ],
)
def test_the_first_process_is_distinguished_from_the_others(
    environ: dict[str, str], expected: bool
) -> None:
    assert is_first_rank(environ) is expected


@pytest.mark.parametrize(("rank", "stages"), [("0", 1), ("1", 0)])
async def test_a_stage_is_opened_once_however_many_processes_announce_it(
    rank: str, stages: int
) -> None:
    heard: list[str] = []

    async def handle(_: Connection, message: dict[str, object]) -> dict[str, object]:
        heard.append(str(message["type"]))
        return {"key": "0"}

    with tempfile.TemporaryDirectory() as folder:
        server = EventServer(Path(folder) / "events.sock", handle)
        await server.start()
        ended = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", SCRIPT],
            env={ENV_VAR: f"{folder}/events.sock", "LOCAL_RANK": rank, "RANK": rank},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=60,
        )
        await server.drain(5)
        await server.close()
    assert json.loads(ended.stdout) == "said", ended.stderr
    assert ended.stderr == ""
    assert heard.count("stage_start") == heard.count("stage_end") == stages
    assert heard.count("metric") == stages


def test_a_workers_own_place_among_tasks_is_not_its_jobs(tmp_path: Path) -> None:
    environ = {"SLURM_PROCID": "3", "SLURM_LOCALID": "3", "PMI_RANK": "3", "HOME": "/root"}
    variables = child_environment(environ, config(tmp_path), [], tmp_path / "events.sock")
    assert is_first_rank(variables)
    assert variables["HOME"] == "/root"
