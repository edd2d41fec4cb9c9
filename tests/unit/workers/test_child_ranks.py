"""A job of several processes: any of them may fail first, and then reports the reason."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from pricetag.attempt.event_server import Connection, EventServer
from workers.job.request import JobError
from workers.training.model import accelerators


async def run_child(folder: Path, rank: int) -> tuple[int | None, list[dict[str, Any]]]:
    """A child whose command is rejected; its exit code and messages."""
    heard: list[dict[str, Any]] = []

    async def hear(connection: Connection, message: dict[str, Any]) -> dict[str, Any]:
        heard.append(message)
        return {}

    job = {
        "run_id": "r",
        "attempt_number": 1,
        "recipe": {"stages": [{"kind": "command", "argv": ["true"]}]},
        "data_roots": [],
        "work_dir": str(folder / "work"),
        "artifacts_dir": str(folder / "artifacts" / "r" / "1"),
    }
    (folder / "job.json").write_text(json.dumps(job))
    server = EventServer(folder / "events.sock", hear)
    await server.start()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "workers.job.child", str(folder / "job.json")),
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PRICETAG_EVENTS": str(folder / "events.sock"), "RANK": str(rank)},
    )
    code = await process.wait()
    await server.drain(5.0)
    await server.close()
    return code, heard


@pytest.mark.parametrize("rank", [0, 1])
async def test_a_failing_rank_reports_the_reason(tmp_path: Path, rank: int) -> None:
    code, heard = await run_child(tmp_path, rank)
    assert code == 1
    errors = [message for message in heard if message["type"] == "error"]
    assert [error["code"] for error in errors] == ["command-not-allowed"]
    assert errors[0]["field"] == "recipe.stages.0.kind"
    assert "--allow-commands" in errors[0]["message"]
    assert ("hello" in {message["type"] for message in heard}) == (rank == 0)


def test_a_device_that_cannot_compute_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    accelerators.require(1)
    with pytest.raises(JobError, match="can use 1") as refused:
        accelerators.require(2)
    assert refused.value.code == "no-accelerator"
    assert refused.value.field == "resources.gpus"
