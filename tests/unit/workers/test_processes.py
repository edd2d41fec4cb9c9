from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from workers.attempt import leftovers
from workers.attempt.launch import Launch
from workers.attempt.processes import FreshInterpreter

FLEES = """
import subprocess, sys
print("said", flush=True)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
sys.exit(3)
"""


def launch(code: str, events: Path) -> Launch:
    environment = {**os.environ, "PRICETAG_EVENTS": str(events)}
    return Launch((sys.executable, "-c", code), environment, trains=False, forkable=False)


async def test_an_exit_is_reported_while_another_process_holds_the_output(tmp_path: Path) -> None:
    events = tmp_path / "events.sock"
    process = await FreshInterpreter().start(launch(FLEES, events))
    assert process.stdout is not None
    try:
        ended = await asyncio.wait_for(process.wait(), 120)
        assert ended.code == 3
        assert ended.cpu_s is not None
        assert 0.0 < ended.cpu_s < 10.0
        assert await process.stdout.readline() == b"said\n"
        assert len(leftovers.processes(events)) == 1
    finally:
        assert await asyncio.to_thread(leftovers.kill, events) == 1
    assert await asyncio.wait_for(process.stdout.read(), 60) == b""


async def test_a_signal_is_reported_as_a_negative_code(tmp_path: Path) -> None:
    code = f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})"
    process = await FreshInterpreter().start(launch(code, tmp_path / "events.sock"))
    ended = await asyncio.wait_for(process.wait(), 120)
    assert ended.code == -signal.SIGKILL
