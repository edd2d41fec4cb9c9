"""The supervisor and real children, without queue, database or meters."""

from __future__ import annotations

import asyncio
import sys
import textwrap
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from pricetag.metering.journal import Journal
from tests.support.processes import gone
from workers.node import NodeConfig
from workers.processes import FreshInterpreter
from workers.recovery import every_record
from workers.supervisor import Devices, Supervisor


@dataclass
class Claimed:
    """A claim of a run whose only stage is a script."""

    script: Path
    gpus: int = 0
    number: int = 1
    run_id: UUID = field(default_factory=uuid4)
    attempt_id: UUID = field(default_factory=uuid4)

    @property
    def recipe(self) -> dict[str, Any]:
        return {"stages": [{"kind": "command", "argv": [sys.executable, str(self.script)]}]}


@dataclass
class Bench:
    folder: Path

    def supervisor(self, script: str, **settings: Any) -> Supervisor:
        path = self.folder / "script.py"
        path.write_text(textwrap.dedent(script))
        claim = Claimed(path)
        self.journal = Journal.create(self.folder / "journal", claim.attempt_id)
        given = {"stop_grace_s": 1.0, "heartbeat_timeout_s": 60.0, "lease_s": 900.0, **settings}
        config = NodeConfig(
            name="node",
            worker="node:m:b:1:2",
            pool="default",
            data_dir=self.folder,
            artifacts_dir=self.folder / "artifacts",
            data_roots=(),
            allow_commands=True,
            allow_hub=False,
            git_commit=None,
            **given,
        )
        return Supervisor(claim, config, Devices(()), self.journal, FreshInterpreter())

    def records(self, type_: str) -> list[dict[str, Any]]:
        return [record for record in every_record(self.journal) if record["type"] == type_]

    def end(self) -> tuple[str, str | None]:
        (end,) = self.records("end")
        return end["status"], (end["reason"] or {}).get("code")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("PRICETAG_METER_HOST", "none")
    return Bench(tmp_path)


DAEMON = """
    import pathlib, subprocess, sys
    code = "import time; time.sleep(300)"
    left = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    pathlib.Path({note!r}).write_text(str(left.pid))
"""


async def test_what_a_job_leaves_behind_in_a_session_of_its_own_ends_with_it(bench: Bench) -> None:
    note = bench.folder / "pid"
    supervisor = bench.supervisor(DAEMON.format(note=str(note)))
    began_s = time.monotonic()
    await asyncio.wait_for(supervisor.run(), 30)
    assert time.monotonic() - began_s < 15
    assert bench.end() == ("succeeded", None)
    assert gone(int(note.read_text()))
    assert any("outlived" in record["text"] for record in bench.records("log"))
