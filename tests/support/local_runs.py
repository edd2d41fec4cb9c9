"""Local runs for tests: planted journals, and programs that are metered by the real command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pricetag.local.runs import LocalRun, LocalRuns, write_result
from pricetag.metering.journal import Journal
from tests.support.patience import PATIENCE_S

RUN_ID = "0b5f1d3e-6a60-4a39-9f1c-5a3e8a4c7d10"
ATTEMPT_ID = "6f7e2c55-1c3a-4c63-8a44-0d1be2a0a9f1"
AT = "2026-03-04T05:06:07+00:00"
POWER_W = 40.0
SITE = {"pue": 1.25, "grid_g_per_kwh": 100.0, "site": "default", "currency": "USD"}


def start_record(run_id: str = RUN_ID, **changes: Any) -> dict[str, Any]:
    """The start of a run on one counted processor."""
    component = {
        "id": "rapl:0",
        "kind": "cpu",
        "name": "Test CPU",
        "method": "counter",
        "gain_std_ratio": 0.02,
        "power_limit_w": None,
    }
    run = {
        "name": "planted",
        "kind": "program",
        "origin": "local",
        "project": "reviews",
        "experiment": "first",
        "tags": ["night"],
        "command": ["python", "train.py"],
    }
    return {
        "type": "start",
        "t_s": 0.0,
        "at": AT,
        "run_id": run_id,
        "attempt_id": ATTEMPT_ID,
        "attempt_number": 1,
        "worker": "local",
        "node_name": "bench",
        "devices": [],
        "components": [component],
        "shares_overlaps": True,
        "clock": None,
        "run": run | changes,
        "factors": SITE,
    }


def reading(t_s: float, power_w: float = POWER_W) -> dict[str, Any]:
    """A reading of the counter, which counts a constant power."""
    return {
        "type": "reading",
        "t_s": t_s,
        "at": AT,
        "component": "rapl:0",
        "counter_j": power_w * t_s,
        "integrated_j": None,
        "power_w": power_w,
        "flags": [],
    }


def records(*, ends: bool = True) -> list[dict[str, Any]]:
    """Ten seconds: a stage of four, with a score, and six outside it."""
    stage = {"key": "0", "index": 0, "parent_key": None, "recipe_index": None}
    listed = [
        start_record(),
        *map(reading, (0.0, 1.0, 2.0)),
        {"type": "stage_start", "t_s": 2.0, "at": AT, **stage, "kind": "stage", "name": "train"},
        *map(reading, (3.0, 4.0, 5.0, 6.0)),
        {"type": "metric", "t_s": 5.0, "at": AT, "key": "0", "name": "accuracy", "value": 0.5}
        | {"split": None, "unit": None, "step": None, "quality": True},
        {"type": "stage_end", "t_s": 6.0, "at": AT, "key": "0", "status": "succeeded"},
        *map(reading, (7.0, 8.0, 9.0, 10.0)),
    ]
    end = {"type": "end", "t_s": 10.0, "at": AT, "status": "succeeded", "reason": None}
    return [*listed, end] if ends else listed


def journal_bytes(content: Sequence[Mapping[str, Any]] | None = None, **start: Any) -> bytes:
    """A journal as it is in its file.

    Args:
        content: Its records; by default those of a whole run.
        **start: Fields of its start in place of others.
    """
    first, *rest = records() if content is None else content
    numbered = enumerate([{**first, **start}, *rest])
    return b"".join(json.dumps({"seq": n, **record}).encode() + b"\n" for n, record in numbered)


def plant(folder: Path, content: Sequence[Mapping[str, Any]] | None = None) -> LocalRun:
    """A settled local run."""
    journal = Journal.create(folder / RUN_ID, ATTEMPT_ID)
    journal.append_all(records() if content is None else content)
    write_result(folder / RUN_ID, journal)
    journal.close()
    (run,) = LocalRuns(folder).all()
    return run


class Bench:
    """A data folder, and processes that meter into it.

    Args:
        folder: The data folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs = LocalRuns(folder / "local")
        own = {"PRICETAG_DATA_DIR": str(folder), "PRICETAG_METER_HOST": "model"}
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("PRICETAG_")}
        self.environ = inherited | own

    def command(self, *arguments: str) -> subprocess.Popen[str]:
        """The ``pricetag`` command."""
        return self._start("-m", "pricetag", *arguments)

    def script(self, text: str) -> subprocess.Popen[str]:
        """A script of the user's."""
        return self._start("-c", text)

    def _start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *arguments],
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def journaled(self, kind: str) -> list[dict[str, Any]]:
        """Records of a type in the journal of the only run."""
        lines = [
            line
            for path in self.runs.folder.glob("*/*.jsonl")
            for line in path.read_text().splitlines(keepends=True)
        ]
        listed = [json.loads(line) for line in lines if line.endswith("\n")]
        return [record for record in listed if record["type"] == kind]


def wait_for(condition: Callable[[], object]) -> None:
    """Waits until a condition is true."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
