"""Reports of a job beyond the limits are dropped and counted, however often they are sent."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select

from app.db import Session
from app.repositories.price_tags import price_tags
from app.services.attempts import execution
from app.services.attempts.intake import Limits
from app.services.attempts.intake import limits as limits_of_this_process
from app.services.runs.reading import read
from app.settings import get_settings
from models import Artifact, Attempt, LogLine, Metric
from tests.support.api import a_principal
from tests.support.executions import JournalMaker, claimed, make_run

FEW = Limits(metrics=10, artifacts=3, quality_metrics=2)


def flood(attempt_id: UUID) -> list[dict[str, Any]]:
    """25 losses, 4 figures of quality, 5 artifacts of which two are of one path."""
    journal = JournalMaker(attempt_id)
    journal.start()
    for step in range(25):
        journal.add("metric", 1.0, name="loss", value=0.5, step=step)
        if step % 6 == 5:
            journal.add("metric", 1.0, name="accuracy", value=0.9, quality=True)
    for path in ("a", "b", "a", "c", "d"):
        journal.add("artifact", 2.0, name=path, path=path, size_bytes=1, sha256="0" * 64)
    journal.add("end", 3.0, status="succeeded", reason=None)
    return journal.records


async def count(session: Session, table: type[Any]) -> int:
    return await session.scalar(select(func.count()).select_from(table)) or 0


@pytest.mark.parametrize("batch", [1, 3, 7, 100])
@pytest.mark.parametrize("overlap", [0, 5])
async def test_excess_records_are_dropped_reported_once_and_counted(
    session: Session, batch: int, overlap: int
) -> None:
    run = await make_run(session)
    attempt_id = (await claimed(session, run.id)).attempt_id
    records = flood(attempt_id)
    for start in range(0, len(records), batch):
        sent = records[max(0, start - overlap) : start + batch]
        for _ in range(2):  # the answer to the first was lost
            await execution.ingest(session, attempt_id, sent, limits=FEW)
    assert await count(session, Metric) == 12
    quality = select(func.count()).where(Metric.quality.is_(True))
    assert await session.scalar(quality) == 2
    assert list(await session.scalars(select(Artifact.path).order_by(Artifact.path))) == [
        *("a", "b", "c")
    ]
    attempt = await session.get_one(Attempt, attempt_id)
    assert attempt.status == "succeeded"  # the job continues
    assert attempt.intake == {
        "taken": {"metrics": 10, "quality_metrics": 2},
        "left_out": {"metrics": 15, "quality_metrics": 2, "artifacts": 1},
    }
    lines = list(await session.scalars(select(LogLine.text).order_by(LogLine.seq)))
    assert lines == [
        "more than 10 metrics: the rest is dropped",
        "more than 2 metrics of quality: the rest is dropped",
        "more than 3 artifacts: the rest is dropped",
    ]
    [shown] = (await read(session, await a_principal(session), run.id)).attempts
    assert shown.left_out == {"metrics": 15, "quality_metrics": 2, "artifacts": 1}


async def test_records_within_the_limits_are_all_kept(session: Session) -> None:
    run = await make_run(session)
    attempt_id = (await claimed(session, run.id)).attempt_id
    await execution.ingest(session, attempt_id, flood(attempt_id))
    assert (await count(session, Metric), await count(session, Artifact)) == (29, 4)
    assert await count(session, LogLine) == 0
    [shown] = (await read(session, await a_principal(session), run.id)).attempts
    assert shown.left_out == {}


def test_the_limits_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits_of_this_process() == Limits(metrics=100_000, artifacts=10_000)
    monkeypatch.setenv("PRICETAG_MAX_METRICS", "7")
    monkeypatch.setenv("PRICETAG_MAX_ARTIFACTS", "0")
    get_settings.cache_clear()
    try:
        assert limits_of_this_process() == Limits(metrics=7, artifacts=0)
    finally:
        get_settings.cache_clear()


async def test_rejected_reports_are_counted_with_their_reasons(session: Session) -> None:
    run = await make_run(session)
    attempt_id = (await claimed(session, run.id)).attempt_id
    journal = JournalMaker(attempt_id)
    journal.start()
    journal.read(0.0)
    for _ in range(3):
        journal.add("rejected", 1.0, reason="metric: value is not a number", event="{...}")
    journal.add("rejected", 1.0, reason="no JSON", event="x")
    journal.add("rejected", 1.0, reason="the rest", event="", further=50)
    journal.add("flops", 1.0, key="9", dense=1.0, method="by hand")  # of a stage that never began
    journal.read(2.0)
    journal.add("end", 2.0, status="succeeded", reason=None)
    for _ in range(2):  # the answer to the first was lost
        await execution.ingest(session, attempt_id, journal.records)
    [shown] = (await read(session, await a_principal(session), run.id)).attempts
    assert shown.rejected is not None
    assert shown.rejected.count == 55
    assert [(item.reason, item.count) for item in shown.rejected.reasons] == [
        ("metric: value is not a number", 3),
        ("no JSON", 1),
        ("flops: unknown stage 9", 1),
    ]
    tag = await price_tags.get(session, run.id)
    assert tag is not None
    assert "rejected" not in str(tag.content)  # hashes of price tags stay as they are


async def test_only_the_first_of_many_reasons_are_shown(session: Session) -> None:
    run = await make_run(session)
    attempt_id = (await claimed(session, run.id)).attempt_id
    journal = JournalMaker(attempt_id)
    journal.start()
    for index in range(30):
        journal.add("rejected", 1.0, reason=f"reason {index}", event="x")
    await execution.ingest(session, attempt_id, journal.records)
    [shown] = (await read(session, await a_principal(session), run.id)).attempts
    assert shown.rejected is not None
    assert shown.rejected.count == 30
    assert [item.reason for item in shown.rejected.reasons] == [f"reason {i}" for i in range(20)]


async def test_an_attempt_without_rejected_reports_has_none(session: Session) -> None:
    run = await make_run(session)
    attempt_id = (await claimed(session, run.id)).attempt_id
    await execution.ingest(session, attempt_id, flood(attempt_id))
    [shown] = (await read(session, await a_principal(session), run.id)).attempts
    assert shown.rejected is None
