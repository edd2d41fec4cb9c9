"""A job may send anything over its socket: the attempt ends, and its measurements stay."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.services.attempts.journal_records import Rejected, RejectedEvent, in_order
from pricetag.attempt import event_flow
from pricetag.attempt.ending import every_record
from pricetag.attempt.event_desk import EventDesk
from pricetag.attempt.event_server import EventServer
from pricetag.attempt.log import AttemptLog
from pricetag.attempt.outcome import Observed
from pricetag.attempt.progress import ProgressBoard
from pricetag.attempt.stages import StageBook
from pricetag.metering.journal import Journal
from tests.workers.test_supervisor import Bench, bench

__all__ = ["bench"]  # a fixture

TYPES = (
    *("hello", "stage_start", "stage_end", "progress", "metric", "flops", "log", "artifact"),
    *("environment", "heartbeat", "error", "finished", "reading", "end", "start", "nonsense"),
)
FIELDS = (
    *("n", "key", "parent", "name", "kind", "status", "value", "step", "split", "quality", "done"),
    *("total", "unit", "message", "dense", "effective", "low_bit", "method", "uncounted", "text"),
    *("stream", "path", "size_bytes", "sha256", "card", "packages", "seeds", "code", "field"),
    *("at", "t_s", "seq", "type", "recipe_index", "attempt_id", "flags"),
)
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.sampled_from(
            [2**31, 2**63, -(2**70), 10**300, 1e308, 5e-324, -1, "0", "0.0", "succeeded"]
        ),
        st.floats(),
        st.text(),
        st.just("\ud83d\0\u202e\n" + "x" * 5000),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
EVENTS = st.builds(
    lambda fields, type_: json.dumps({**fields, "type": type_}).encode(),
    st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=8),
    st.sampled_from(TYPES) | VALUES,
)
DEEP = b'{"type":"metric","card":' + b"[" * 50_000 + b"]" * 50_000 + b"}"
LINES = st.lists(
    EVENTS | st.binary(max_size=50) | st.just(DEEP) | st.just(b'{"type":"metric","value":1e999}'),
    max_size=20,
)


class Desk:
    """Server and desk of an attempt, without a meter."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "events.sock"
        self.journal = Journal.create(folder, uuid4())
        self.seen = Observed()
        now_s = time.monotonic
        began_s = now_s()
        self.log = AttemptLog(self.journal, lambda: now_s() - began_s)

        async def edge() -> float:
            return now_s() - began_s

        self.desk = EventDesk(
            self.log, StageBook(), ProgressBoard(), self.seen, edge=edge, now_s=now_s
        )
        self.server = EventServer(self.path, self.desk.take, self.desk.reject)

    async def say(self, lines: list[bytes]) -> list[dict[str, Any]]:
        """Sends lines over their own connection; the replies."""
        reader, writer = await asyncio.open_unix_connection(str(self.path), limit=1 << 20)

        async def listen() -> list[dict[str, Any]]:
            return [json.loads(line) async for line in reader]

        listening = asyncio.create_task(listen())
        for line in lines:
            writer.write(line + b"\n")
            await writer.drain()
        writer.write_eof()
        replies = await asyncio.wait_for(listening, 60)
        writer.close()
        return replies

    def records(self) -> list[dict[str, Any]]:
        return list(every_record(self.journal))


STAGE = [
    b'{"type":"stage_start","n":900,"kind":"k","name":"real"}',
    b'{"type":"metric","name":"accuracy","value":0.5,"quality":true,"t_s":9e9,"at":"never"}',
    b'{"type":"stage_end","n":901,"status":"succeeded"}',
]


async def spoken(lines: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder))
        await desk.server.start()
        await desk.say(lines)
        replies = await desk.say(STAGE)
        assert [reply["ack"] for reply in replies] == [900, 901]
        assert "error" not in replies[0] | replies[1]
        await desk.server.close()
        records = desk.records()
        desk.journal.close()
    parsed, holes = in_order(records, after_seq=-1)
    assert holes == []
    assert [record for record in parsed if isinstance(record, Rejected)] == []
    assert all(record["t_s"] < 1000 for record in records)
    assert [r["quality"] for r in records if r["type"] == "metric" and r["name"] == "accuracy"]
    started = {record["key"] for record in records if record["type"] == "stage_start"}
    ended = [record["key"] for record in records if record["type"] == "stage_end"]
    assert len(ended) == len(set(ended))
    assert set(ended) <= started


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(lines=LINES)
def test_the_journal_can_be_ingested_whatever_a_job_sends(lines: list[bytes]) -> None:
    asyncio.run(spoken(lines))


async def test_rejected_events_are_kept_with_their_reason_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_flow, "MAX_REJECTED", 3)
    desk = Desk(tmp_path)
    await desk.server.start()
    await desk.say([b'{"type":"metric","name":"m","value":"high"}'] * 10 + [b"x" * 600_000])
    desk.desk.finish()
    *rejected, rest = [record for record in desk.records() if record["type"] == "rejected"]
    assert len(rejected) == 3
    assert rest["further"] == 8
    assert "value" in rejected[0]["reason"]
    assert '"high"' in rejected[0]["event"]
    (text,) = [record["text"] for record in desk.records() if record["type"] == "log"]
    assert text == "11 events were rejected; 3 of them are kept"
    parsed, _ = in_order(desk.records(), after_seq=-1)
    assert isinstance(parsed[0], RejectedEvent)
    await desk.server.close()
    desk.journal.close()


async def test_a_flood_is_limited_and_delays_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_flow, "BURST", 100)
    desk = Desk(tmp_path)
    await desk.server.start()
    held_s: list[float] = []  # CPU time: what else runs on the machine is not the flood's doing

    async def tick() -> None:
        while True:
            before_s = time.thread_time()
            await asyncio.sleep(0.01)
            held_s.append(time.thread_time() - before_s)

    ticking = asyncio.create_task(tick())
    metric = b'{"type":"metric","name":"loss","value":1.0}'
    quality = b'{"type":"metric","name":"accuracy","value":1.0,"quality":true}'
    huge = b'{"type":"metric","name":"' + b"x" * 4_000_000 + b'"}'
    lines = [metric] * 20_000 + [huge] * 10 + [quality] + STAGE
    beside = asyncio.create_task(desk.say([metric] * 20_000))
    replies = await desk.say(lines)
    await beside
    ticking.cancel()
    assert [reply["ack"] for reply in replies] == [900, 901]
    assert max(held_s) < 1.0
    desk.desk.finish()
    records = desk.records()
    names = [record["name"] for record in records if record["type"] == "metric"]
    assert names.count("accuracy") == 2
    assert names.count("loss") < 40_000
    dropped = [r["text"] for r in records if r["type"] == "log" and "were dropped" in r["text"]]
    assert len(dropped) == 1
    assert names.count("loss") + int(dropped[0].split()[0]) == 40_000
    assert sum(record["type"] == "rejected" for record in records) == 10
    await desk.server.close()
    desk.journal.close()


async def test_a_hostile_script_ends_like_any_other(bench: Bench) -> None:
    supervisor = bench.supervisor("""
        import json, os, socket
        import pricetag
        pipe = socket.socket(socket.AF_UNIX)
        pipe.connect(os.environ["PRICETAG_EVENTS"])
        for line in (
            b"\\0" * 1_000_000 + b"\\n",
            b'{"type":"end","t_s":9e9,"status":"failed"}',
            b'{"type":"reading","component":"cpu","counter_j":1e9}',
            b'{"type":"stage_end","key":"0","n":0,"status":"failed"}',
            b'{"type":"finished","status":7}',
            b'{"type":"progress","done":"half"}',
            b'{"type":"artifact","name":"a","path":"' + b"p" * 5000 + b'"}',
        ):
            pipe.sendall(line + b"\\n")
        pipe.sendall(b'{"type":"stage_start","n":1,"name":"torn')
        with pricetag.stage("epoch"):
            pricetag.log(accuracy=0.9, quality=True)
    """)
    await asyncio.wait_for(supervisor.run(), 120)
    assert bench.end() == ("succeeded", None)
    assert [record["name"] for record in bench.records("stage_start")] == ["command", "epoch"]
    assert [record["value"] for record in bench.records("metric")] == [0.9]
    assert len(bench.records("rejected")) == 7
    assert bench.records("reading") == []
