"""What a script under ``command`` may tell: nothing of it may end the script."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from pricetag.events import ENV_VAR
from workers.attempt.event_server import Connection, EventServer


async def told_by(script: str) -> tuple[list[dict[str, Any]], str]:
    """The events that a metered script sends, and what it writes to its standard error."""
    heard: list[dict[str, Any]] = []

    async def handle(_: Connection, message: dict[str, Any]) -> dict[str, Any]:
        heard.append(message)
        return {}

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.sock"
        server = EventServer(path, handle)
        await server.start()
        ended = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", "import pricetag\n" + script],
            env={**os.environ, ENV_VAR: str(path)},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=60,
        )
        await server.drain(5)
        await server.close()
    assert ended.returncode == 0, ended.stderr
    return heard, ended.stderr


async def test_a_loss_that_diverges_is_kept_as_null_and_told_once() -> None:
    heard, said = await told_by(
        "for step, loss in enumerate((0.5, float('nan'), float('inf'), 10**400)):\n"
        "    pricetag.log(loss=loss, step=step)\n"
        "pricetag.log(accuracy=float('nan'), split='validation', quality=True)\n"
    )
    values = [(event["name"], event["value"], event["step"]) for event in heard]
    assert values[:4] == [("loss", 0.5, 0), *(("loss", None, step) for step in (1, 2, 3))]
    assert values[4] == ("accuracy", None, None)
    assert said.splitlines() == [
        "pricetag: loss is nan at step 1: kept as null (told once for each name)",
        "pricetag: accuracy is nan: kept as null (told once for each name)",
    ]


async def test_what_is_no_number_is_left_out_and_the_others_are_kept() -> None:
    heard, said = await told_by(
        "import numpy\n"
        "for _ in range(2):\n"
        "    pricetag.log(model='best', ok=True, scores=numpy.ones(2), "
        "accuracy=numpy.float32(0.5))\n"
        "pricetag.log(accuracy=1, step=numpy.int64(7))\n"
        "pricetag.log(accuracy=1, step=0.5)\n"
    )
    assert [(event["name"], event["value"], event["step"]) for event in heard] == [
        ("accuracy", 0.5, None),
        ("accuracy", 0.5, None),
        ("accuracy", 1.0, 7),
        ("accuracy", 1.0, None),
    ]
    lines = said.splitlines()
    assert [line.split()[1].partition("=")[0] for line in lines] == [
        "model",
        "ok",
        "scores",
        "step",
    ]
    assert "model='best' is no number: left out" in lines[0]


async def test_progress_to_an_unknown_end_goes_on() -> None:
    heard, said = await told_by(
        "pricetag.progress(1, float('inf'))\npricetag.progress(float('nan'), 3)\n"
    )
    assert [(event["done"], event["total"]) for event in heard] == [(1.0, None)]
    assert said.count("progress of nan is no finite number") == 1


async def test_operations_are_told_as_they_are_and_what_is_none_is_left_out() -> None:
    heard, said = await told_by(
        "import numpy\n"
        "pricetag.flops(numpy.float32(2e12), effective=1e12, method='6ND')\n"
        "pricetag.flops(5, effective=float('nan'), low_bit=-1)\n"
        "pricetag.flops('many')\n"
    )
    told = [{k: v for k, v in event.items() if k not in ("n", "type")} for event in heard]
    assert [event["type"] for event in heard] == ["flops", "flops"]
    assert told[0] == {
        "dense": pytest.approx(2e12),
        "effective": 1e12,
        "low_bit": None,
        "method": "6ND",
        "uncounted": [],
    }
    assert (told[1]["dense"], told[1]["effective"], told[1]["low_bit"]) == (5.0, None, None)
    assert told[1]["method"] == "told by the script"
    assert said.splitlines() == [
        "pricetag: flops: effective=nan is no count: left out (told once for each name)",
        "pricetag: flops: low_bit=-1 is no count: left out (told once for each name)",
        "pricetag: flops: dense='many' is no count: left out (told once for each name)",
    ]
