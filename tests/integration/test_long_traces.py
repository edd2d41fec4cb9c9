"""Verification of long traces: computed by a few other processes, with the same figures."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from app.services.verification import checking
from models import Attempt, Measurement
from tests.support.api import Api, finished_run
from tests.support.processes import Noted, gone

LENDER = """
import os, time
from app.services.processes import SharedProcesses
with SharedProcesses(1).lent() as processes:
    print(processes.submit(os.getpid).result(), flush=True)
    time.sleep(60)
"""


def wait_for(condition: Callable[[], bool]) -> bool:
    until_s = time.monotonic() + 30
    while not condition() and time.monotonic() < until_s:
        time.sleep(0.05)
    return condition()


async def verified(api: Api, run_id: UUID) -> Any:
    response = await api.viewer.get(f"/v1/runs/{run_id}/price-tag/verification")
    assert response.status_code == 200, response.text
    return response.json()


async def test_long_traces_are_verified_by_other_processes(
    committed_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, noted = committed_api, Noted()
    monkeypatch.setattr(checking, "PROCESSES", noted)
    async with api.database.session_scope() as session:
        run_ids = [await finished_run(session) for _ in range(2)]
    expected = [await verified(api, run_id) for run_id in run_ids]
    assert noted.borrowed == []
    monkeypatch.setattr(checking, "LONG_TRACE_S", 0.0)
    by_processes = await asyncio.gather(*(verified(api, run_id) for run_id in run_ids))
    assert by_processes == expected
    assert [report["outcome"] for report in expected] == ["verified", "verified"]
    one, other = noted.borrowed
    assert one is other
    assert wait_for(lambda: multiprocessing.active_children() == [])

    async with api.database.session_scope() as session:
        its = Attempt.run_id == run_ids[0]
        await session.execute(
            update(Measurement)
            .where(Measurement.attempt_id == Attempt.id, its, Measurement.stage_key == "")
            .values(energy_j=Measurement.energy_j + 1)
        )
    wrong = await verified(api, run_ids[0])
    assert wrong["outcome"] == "differs"
    assert "energy_j" in wrong["steps"][1]["detail"]


def test_processes_end_with_a_parent_that_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", LENDER], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert not gone(pid)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert wait_for(lambda: gone(pid))
