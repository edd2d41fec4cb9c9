"""The process that draws charts: one picture after the other, started again when it dies."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.charts.chart import SCHEMA
from app.charts.drawing import BusyError, Drawing, DrawingError

ECHO = """
import json, os, sys, time
for line in sys.stdin.buffer:
    request = json.loads(line)
    document = request["document"]
    if document.get("die"):
        os._exit(3)
    if document.get("hang"):
        time.sleep(3600)
    if document.get("error"):
        picture, head = b"", {"error": document["error"]}
    else:
        picture = f"{request['format']} {document['n']} {os.getpid()}".encode()
        head = {"bytes": len(picture)}
    sys.stdout.buffer.write(json.dumps(head).encode() + b"\\n" + picture)
    sys.stdout.buffer.flush()
"""
LONG_S = 60.0


@asynccontextmanager
async def drawing(
    tmp_path: Path, limit_s: float = LONG_S, waiting: int = 32
) -> AsyncIterator[Drawing]:
    program = tmp_path / "echo.py"
    program.write_text(ECHO)
    made = Drawing((sys.executable, str(program)), limit_s=limit_s, most_waiting=waiting)
    try:
        yield made
    finally:
        await made.close()


async def test_it_starts_with_the_first_picture_and_draws_each_once(tmp_path: Path) -> None:
    async with drawing(tmp_path) as made:
        assert made.process_id is None
        first = await made.picture("1 svg", {"n": 1}, "svg")
        assert first == f"svg 1 {made.process_id}".encode()
        assert await made.picture("1 svg", {"n": 2}, "svg") == first
        at_once = [made.picture("2", {"n": n}, "png") for n in range(5)]
        assert len(set(await asyncio.gather(*at_once))) == 1
        process_id = made.process_id
        assert process_id is not None
    assert made.process_id is None
    with pytest.raises(ProcessLookupError):
        os.kill(process_id, 0)


async def test_it_starts_again_when_it_died(tmp_path: Path) -> None:
    async with drawing(tmp_path) as made:
        await made.picture("1", {"n": 1}, "svg")
        first = made.process_id
        with pytest.raises(DrawingError, match="ended"):
            await made.picture("2", {"die": True}, "svg")
        assert await made.picture("3", {"n": 3}, "svg") == f"svg 3 {made.process_id}".encode()
        assert made.process_id != first
        assert made.process_id is not None
        os.kill(made.process_id, signal.SIGKILL)
        for n in range(4, 6):  # the first may still meet the dying process
            try:
                picture = await made.picture(str(n), {"n": n}, "svg")
            except DrawingError:
                continue
        assert picture == f"svg 5 {made.process_id}".encode()


async def test_a_picture_that_takes_too_long_ends_the_process(tmp_path: Path) -> None:
    async with drawing(tmp_path, limit_s=0.05) as made:
        with pytest.raises(DrawingError, match=r"more than 0\.05 s"):
            await made.picture("1", {"hang": True}, "svg")
        assert made.process_id is None


async def test_a_request_that_is_given_up_does_not_mix_up_the_next(tmp_path: Path) -> None:
    async with drawing(tmp_path) as made:
        hanging = asyncio.create_task(made.picture("1", {"hang": True}, "svg"))
        while made.process_id is None:
            await asyncio.sleep(0)
        hanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging
        assert (await made.picture("2", {"n": 2}, "svg")).startswith(b"svg 2 ")


async def test_an_error_is_that_of_its_chart_alone(tmp_path: Path) -> None:
    async with drawing(tmp_path) as made:
        with pytest.raises(DrawingError, match="no such mark"):
            await made.picture("1", {"error": "no such mark"}, "svg")
        process_id = made.process_id
        assert await made.picture("2", {"n": 2}, "svg") == f"svg 2 {process_id}".encode()


async def test_the_queue_is_bounded(tmp_path: Path) -> None:
    async with drawing(tmp_path, waiting=2) as made:
        waiting = [
            asyncio.create_task(made.picture(str(n), {"hang": True}, "svg")) for n in range(2)
        ]
        await asyncio.sleep(0)
        with pytest.raises(BusyError, match="2 pictures"):
            await made.picture("3", {"n": 3}, "svg")
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert (await made.picture("3", {"n": 3}, "svg")).startswith(b"svg 3 ")


async def test_a_program_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    made = Drawing((str(tmp_path / "nothing"),))
    with pytest.raises(DrawingError, match="ended"):
        await made.picture("1", {"n": 1}, "svg")


async def test_two_processes_draw_a_figure_with_equal_bytes() -> None:
    """The chart has many half-transparent bars, and two fonts: titles are bold."""
    document = {
        "$schema": SCHEMA,
        "data": {"values": [{"x": n, "y": n % 5} for n in range(16)]},
        "mark": {"type": "bar", "opacity": 0.5},
        "encoding": {
            "x": {"field": "x", "type": "ordinal", "title": None},
            "y": {"field": "y", "type": "quantitative", "title": "y"},
        },
    }
    processes = Drawing(limit_s=LONG_S), Drawing(limit_s=LONG_S)
    try:
        pictures = [await each.picture("1", document, "pdf") for each in processes]
    finally:
        for each in processes:
            await each.close()
    assert pictures[0].startswith(b"%PDF-")
    assert pictures[0] == pictures[1]
