import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pricetag.attempt.event_server import Connection, EventServer
from pricetag.events import MAX_LINE_BYTES, EventChannel, EventPipeError, decode


class Pipe:
    """A supervisor that writes down what it hears."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "events.sock"
        self.heard: list[dict[str, Any]] = []
        self.server = EventServer(self.path, self.handle)

    async def handle(self, connection: Connection, message: dict[str, Any]) -> dict[str, Any]:
        type_ = message["type"]
        self.heard.append(message)
        if type_ == "stage_start":
            connection.open_keys.append("7")
            return {"key": "7"}
        return {}


@pytest.fixture
async def pipe() -> AsyncIterator[Pipe]:
    with tempfile.TemporaryDirectory() as folder:
        made = Pipe(Path(folder))
        await made.server.start()
        yield made
        await made.server.close()


async def test_an_edge_waits_for_its_acknowledgement(pipe: Pipe) -> None:
    channel = await asyncio.to_thread(EventChannel, str(pipe.path))
    acknowledgement = await asyncio.to_thread(
        lambda: channel.edge("stage_start", kind="k", name="n")
    )
    assert acknowledgement["key"] == "7"
    channel.send("metric", name="loss", value=0.5)
    await asyncio.to_thread(channel.close)
    await pipe.server.drain(2)
    assert [message["type"] for message in pipe.heard] == ["stage_start", "metric"]
    assert [message["n"] for message in pipe.heard] == [0, 1]


async def test_a_process_that_connects_inside_a_stage_belongs_to_it(pipe: Pipe) -> None:
    outer = await asyncio.to_thread(EventChannel, str(pipe.path))
    await asyncio.to_thread(lambda: outer.edge("stage_start", kind="command", name="command"))
    inner = await asyncio.to_thread(EventChannel, str(pipe.path))
    inner.send("metric", name="x", value=1.0)
    while len(pipe.server.connections) < 2:
        await asyncio.sleep(0.01)
    assert pipe.server.connections[1].stage_key == "7"
    await asyncio.to_thread(inner.close)
    await asyncio.to_thread(outer.close)


async def test_a_stop_reaches_the_job(pipe: Pipe) -> None:
    stopped: list[str] = []
    channel = await asyncio.to_thread(lambda: EventChannel(str(pipe.path), on_stop=stopped.append))
    channel.send("hello")
    while not pipe.heard:
        await asyncio.sleep(0.01)
    pipe.server.broadcast_stop("cancelled")
    while not stopped:
        await asyncio.sleep(0.01)
    assert (channel.stop_reason, stopped) == ("cancelled", ["cancelled"])
    await asyncio.to_thread(channel.close)


async def test_a_vanished_supervisor_is_detected(pipe: Pipe) -> None:
    lost: list[bool] = []
    channel = await asyncio.to_thread(
        lambda: EventChannel(str(pipe.path), on_lost=lambda: lost.append(True))
    )
    channel.send("hello")
    while not pipe.heard:
        await asyncio.sleep(0.01)
    await pipe.server.close()
    while not lost:
        await asyncio.sleep(0.01)
    with pytest.raises(EventPipeError, match="is gone"):
        await asyncio.to_thread(lambda: channel.edge("stage_start", kind="k", name="n"))
    channel.close()


async def test_malformed_events_are_skipped_and_the_rest_is_processed(pipe: Pipe) -> None:
    _reader, writer = await asyncio.open_unix_connection(str(pipe.path))
    writer.write(b"not json\n[1]\n{}\n" + b'{"type":"metric","n":3}\n')
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    await pipe.server.drain(2)
    assert pipe.heard == [{"type": "metric", "n": 3}]


async def test_an_event_too_long_for_a_line_is_rejected_by_the_sender(pipe: Pipe) -> None:
    channel = await asyncio.to_thread(EventChannel, str(pipe.path))
    with pytest.raises(ValueError, match="is too long"):
        channel.send("log", text="x" * (MAX_LINE_BYTES + 1))
    channel.send("metric", name="after", value=1.0)
    await asyncio.to_thread(channel.close)
    await pipe.server.drain(2)
    assert [message["type"] for message in pipe.heard] == ["metric"]


def test_a_missing_listener_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(EventPipeError, match="no supervisor listens"):
        EventChannel(os.fspath(tmp_path / "absent.sock"))


def test_an_event_must_be_an_object() -> None:
    with pytest.raises(ValueError, match="must be a JSON object"):
        decode(b"[1, 2]")
