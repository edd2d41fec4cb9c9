from __future__ import annotations

import random
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text

from app.db import Database, Session
from app.services.attempts import execution
from app.services.errors import AttemptNotFoundError
from models import (
    Artifact,
    Attempt,
    LogLine,
    Measurement,
    Metric,
    Reading,
    RejectedRecord,
    Run,
    RunEvent,
    Stage,
)
from tests.support.executions import GPU, JournalMaker, claimed, make_run

TABLES = (Reading, Metric, LogLine, Artifact, Stage, Measurement, RunEvent)


async def begun(session: Session, **values: Any) -> tuple[Run, JournalMaker]:
    run = await make_run(session, **values)
    return run, JournalMaker((await claimed(session, run.id)).attempt_id)


async def energies(session: Session, attempt_id: Any) -> dict[tuple[str, str], float | None]:
    rows = await session.scalars(select(Measurement).where(Measurement.attempt_id == attempt_id))
    return {(row.stage_key, row.component): row.energy_j for row in rows}


async def counts(session: Session) -> dict[str, int]:
    numbers = {}
    for table in TABLES:
        count = await session.scalar(select(func.count()).select_from(table))
        numbers[table.__tablename__] = count or 0
    return numbers


async def test_a_whole_journal_becomes_rows_measurements_and_an_end(session: Session) -> None:
    run, journal = await begun(session)
    journal.whole()
    mark = await execution.ingest(session, journal.attempt_id, journal.records)
    assert mark == len(journal.records) - 1
    await session.refresh(run)
    attempt = await session.get_one(Attempt, journal.attempt_id)
    assert (run.status, run.status_reason, attempt.status) == ("succeeded", None, "succeeded")
    assert run.finished_at == attempt.ended_at
    assert (attempt.duration_s, attempt.ingested_seq) == (16.0, mark)
    assert attempt.environment == {"packages": {"torch": "2.13.0"}, "python": "3.11", "seeds": {}}
    assert attempt.devices == [{"uuid": "GPU-1", "name": "NVIDIA H200"}]
    assert await energies(session, attempt.id) == {
        ("", GPU): pytest.approx(1600.0),
        ("", "cpu"): pytest.approx(800.0),
        ("0", GPU): pytest.approx(1000.0),
        ("0", "cpu"): pytest.approx(500.0),
        ("1", GPU): pytest.approx(500.0),
        ("1", "cpu"): pytest.approx(250.0),
    }
    artifact = (await session.scalars(select(Artifact))).one()
    assert (artifact.size_bytes, artifact.stage_key) == (5_000_000_000, "0")
    stage = await session.get_one(Stage, (attempt.id, "0"))
    assert stage.flops is not None
    assert stage.flops["dense"] == 1e12


async def test_progress_and_events(session: Session) -> None:
    run, journal = await begun(session)
    journal.whole()
    await execution.ingest(session, journal.attempt_id, journal.records)
    await session.refresh(run)
    assert run.progress is not None
    assert (run.progress["stage"], run.progress["done"], run.progress["attempt"]) == ("1", 14, 1)
    events = (
        await session.scalars(
            select(RunEvent).where(RunEvent.run_id == run.id).order_by(RunEvent.id)
        )
    ).all()
    kinds = [event.kind for event in events]
    assert (kinds[0], kinds[-1]) == ("status", "status")
    assert kinds.count("stage") == 4
    assert kinds.count("progress") == 13
    assert events[-1].payload["status"] == "succeeded"
    (power,) = [event for event in events if event.kind == "power"]
    assert power.payload["power_w"] == pytest.approx(150.0)


@settings(max_examples=12)
@given(steps=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 40)), max_size=8))
async def test_any_split_overlap_or_repeat_gives_the_same_rows(
    db: Database, steps: list[tuple[int, int]]
) -> None:
    async with db.sessions() as session, session.begin():
        _, journal = await afresh(session)
        await execution.ingest(session, journal.attempt_id, journal.records)
        once, measured = await counts(session), await energies(session, journal.attempt_id)
        run, journal = await afresh(session)
        mark, batches = -1, [journal.records]
        for overlap, size in steps:
            start = max(mark + 1 - overlap, 0)
            batch = journal.records[start : mark + 1 + size]
            expected = max([mark, *(record["seq"] for record in batch)])
            mark = await execution.ingest(session, journal.attempt_id, batch)
            assert mark == expected
            batches.append(batch)
        end = len(journal.records) - 1
        assert await execution.ingest(session, journal.attempt_id, journal.records) == end
        assert await execution.ingest(session, journal.attempt_id, journal.records) == end
        many = await counts(session)
        # One "power" event a batch is the only thing that depends on the batches.
        assert 0 <= many.pop("run_events") - once.pop("run_events") < len(batches)
        assert many == once
        assert await energies(session, journal.attempt_id) == measured
        await session.refresh(run)
        assert run.status == "succeeded"


async def afresh(session: Session) -> tuple[Run, JournalMaker]:
    await session.execute(text("TRUNCATE runs CASCADE"))
    for table in ("experiments", "projects"):
        await session.execute(text(f"DELETE FROM {table}"))
    session.expunge_all()
    run, journal = await begun(session)
    journal.whole()
    return run, journal


async def test_an_unknown_attempt_is_named(session: Session) -> None:
    with pytest.raises(AttemptNotFoundError) as caught:
        await execution.ingest(session, uuid4(), [])
    assert (caught.value.code, caught.value.status) == ("attempt-not-found", 404)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"type": "reading", "component": 3}, "component"),
        ({"type": "nonsense"}, "nonsense"),
        ({"type": "stage_end", "key": "9", "status": "succeeded"}, "stage 9 is not open"),
        ({"type": "stage_end", "key": "0", "status": "superb"}, "status"),
        ({"type": "flops", "key": "9", "dense": 1.0}, "unknown stage 9"),
        ({"type": "artifact", "name": "a", "path": "p", "size_bytes": -1}, "size_bytes"),
        ({"type": "log", "stream": "stdout"}, "text"),
        ({"type": "metric", "name": "m", "value": 1.0, "step": 2**70}, "step"),
        ({"type": "reading", "component": "cpu", "t_s": float("nan")}, "t_s"),
        ({"type": "log", "stream": "stdout", "text": "x", "at": "yesterday"}, "at"),
        ({"type": "start", "attempt_id": str(uuid4()), "components": []}, "belongs to attempt"),
    ],
)
async def test_a_malformed_record_is_skipped_and_logged(
    session: Session, broken: dict[str, Any], message: str
) -> None:
    run, journal = await begun(session)
    journal.start()
    journal.add(**{"type_": broken["type"], "t_s": 1.0})
    journal.records[-1].update(broken)
    journal.add("log", 2.0, stream="stdout", text="still here")
    assert await execution.ingest(session, journal.attempt_id, journal.records) == 2
    lines = (await session.scalars(select(LogLine).order_by(LogLine.seq))).all()
    assert [(line.seq, line.stream) for line in lines] == [(1, "pricetag"), (2, "stdout")]
    assert message in lines[0].text
    rejected = (await session.scalars(select(RejectedRecord))).one()
    assert (rejected.seq, message in rejected.reason) == (1, True)
    assert str(broken["type"]) in rejected.record
    attempt = await session.get_one(Attempt, journal.attempt_id)
    assert attempt.intake == {"taken": {"rejected": 1}, "left_out": {}}
    await session.refresh(run)
    assert run.status == "running"


async def test_invalid_records_do_not_stop_the_journal(session: Session) -> None:
    _, journal = await begun(session)
    journal.start()
    records: list[Any] = [*journal.records, "torn", {"no": "seq"}]
    assert await execution.ingest(session, journal.attempt_id, records) == 2
    after = {**journal.records[0], "seq": 3, "type": "log", "stream": "stdout", "text": "x"}
    assert await execution.ingest(session, journal.attempt_id, [after]) == 3
    assert await session.scalar(select(func.count()).select_from(LogLine)) == 3


async def test_a_gap_in_the_journal_is_logged(session: Session) -> None:
    _, journal = await begun(session)
    journal.start()
    journal.read(0.0)
    journal.add("log", 1.0, stream="stdout", text="x")
    kept = [journal.records[0], journal.records[3]]
    assert await execution.ingest(session, journal.attempt_id, kept) == 3
    lines = (await session.scalars(select(LogLine).order_by(LogLine.seq))).all()
    assert "records 1 to 2 never arrived" in lines[0].text
    assert lines[1].text == "x"


async def test_text_that_postgresql_cannot_store_is_replaced(session: Session) -> None:
    _, journal = await begun(session)
    journal.add("log", 1.0, stream="stdout", text="a\0b\ud800c \U0001f600")
    journal.add("metric", 1.0, name="loss\0", value=float("inf"))
    journal.add("progress", 1.0, message="\udfff", done=float("nan"))
    journal.add(
        "artifact",
        1.0,
        name="a",
        path="p",
        size_bytes=1,
        sha256="0" * 64,
        card={"\0key": ["\0", float("nan"), 10**400]},
    )
    assert await execution.ingest(session, journal.attempt_id, journal.records) == 3
    line = (await session.scalars(select(LogLine))).one()
    assert line.text == "a\ufffdb\ufffdc \U0001f600"
    metric = (await session.scalars(select(Metric))).one()
    assert (metric.name, metric.value) == ("loss\ufffd", None)
    artifact = (await session.scalars(select(Artifact))).one()
    assert artifact.card is not None
    assert artifact.card["\ufffdkey"][:2] == ["\ufffd", None]


async def test_an_artifact_written_again_replaces_the_first(session: Session) -> None:
    _, journal = await begun(session)
    for size in (1, 2):
        journal.add("artifact", 1.0, key="0", name="a", path="p", size_bytes=size, sha256="0" * 64)
    await execution.ingest(session, journal.attempt_id, journal.records)
    assert (await session.scalars(select(Artifact))).one().size_bytes == 2


@pytest.mark.parametrize("step", [3_000_000_000, 2**63 - 1, -(2**40)])
async def test_steps_that_count_tokens_are_kept(session: Session, step: int) -> None:
    _, journal = await begun(session)
    journal.start()
    journal.add("metric", 1.0, name="accuracy", value=0.9, step=step, quality=True)
    await execution.ingest(session, journal.attempt_id, journal.records)
    metric = (await session.scalars(select(Metric))).one()
    assert (metric.value, metric.step) == (0.9, step)


INCOMPRESSIBLE = "".join(map(chr, random.Random(1).choices(range(0x20000, 0x29C40), k=1000)))
"""A row of the index on paths that is too large, even packed."""

NESTED: Any = {}
for _ in range(200):
    NESTED = {"deeper": NESTED}


@pytest.mark.parametrize(
    "poison",
    [
        {"type": "artifact", "name": "a", "path": INCOMPRESSIBLE, "size_bytes": 1},
        {"type": "artifact", "name": "a", "path": "p", "size_bytes": 1, "card": NESTED},
        {"type": "metric", "name": "m", "value": 1.0, "step": 2**70},
        {"type": "reading", "component": "k" * 300, "counter_j": 1.0},
        {"type": "reading", "component": "cpu", "counter_j": 10**400},
        {"type": "stage_start", "key": "9" * 300, "index": 3, "kind": "k", "name": "n"},
        {"type": ["list"]},
        {"type": "end", "status": "lovely"},
        {"type": "rejected", "reason": "planted", "event": "\0"},
    ],
)
async def test_a_poisoned_record_is_quarantined_and_the_attempt_is_priced(
    session: Session, poison: dict[str, Any]
) -> None:
    run, journal = await begun(session)
    journal.whole()
    expected = dict(journal.records[-1])
    journal.records[-1] = {**expected, **poison, "sha256": "0" * 64}
    journal.records.append({**expected, "seq": expected["seq"] + 1})
    await execution.ingest(session, journal.attempt_id, journal.records)
    await session.refresh(run)
    assert run.status == "succeeded"
    assert (await energies(session, journal.attempt_id))["", GPU] == pytest.approx(1600.0)
    rejected = (await session.scalars(select(RejectedRecord))).one()
    assert rejected.seq == expected["seq"]


@pytest.mark.parametrize("shares", [True, False])
async def test_stages_side_by_side_share_energy_unless_recorded_before(
    session: Session, shares: bool
) -> None:
    _, journal = await begun(session)
    journal.start()
    journal.records[0]["shares_overlaps"] = shares
    edges = [(0.0, "a", True), (2.0, "b", True), (4.0, "a", False), (8.0, "b", False)]
    for t_s, name, begins in edges:
        journal.read(t_s)
        key = str(ord(name) - ord("a"))
        if begins:
            fields = {"key": key, "index": int(key), "kind": "stage", "name": name}
            journal.add("stage_start", t_s, **fields)
        else:
            journal.add("stage_end", t_s, key=key, status="succeeded")
    journal.add("end", 8.0, status="succeeded", reason=None)
    await execution.ingest(session, journal.attempt_id, journal.records)
    rows = await session.scalars(select(Measurement).where(Measurement.component == GPU))
    by_stage = {row.stage_key: row for row in rows}
    whole_j = by_stage[""].energy_j
    assert whole_j is not None
    parts = (3 / 8, 5 / 8) if shares else (4 / 8, 6 / 8)
    for key, part in zip("01", parts, strict=True):
        assert by_stage[key].energy_j == pytest.approx(part * whole_j)
        assert ("overlapping_stages" in by_stage[key].flags) is shares
        by_hour_j = by_stage[key].energy_by_hour_j
        assert by_hour_j is not None
        assert sum(by_hour_j.values()) == pytest.approx(part * whole_j)
