from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from app.db import Session
from app.repositories.attempts import executions
from app.repositories.attempts.executions import Event
from app.services.live import events
from models import RunEvent
from tests.support.executions import make_run

KINDS = ("status", "stage", "progress", "power")


async def test_passing_events_are_dropped_an_hour_after_the_end(session: Session) -> None:
    now = datetime.now(UTC)
    long_over = await make_run(session, status="succeeded", finished_at=now - timedelta(hours=2))
    just_over = await make_run(session, status="failed", finished_at=now - timedelta(minutes=5))
    going_on = await make_run(session, status="running")
    for run in (long_over, just_over, going_on):
        event_rows = [Event(kind, now, {"kind": kind}) for kind in KINDS]
        await executions.add_events(session, run.id, event_rows)

    assert await events.forget_passing(session) == 2

    left = (await session.execute(select(RunEvent.run_id, RunEvent.kind))).all()
    kinds = {run: [kind for owner, kind in left if owner == run] for run, _ in left}
    assert sorted(kinds[long_over.id]) == ["stage", "status"]
    assert sorted(kinds[just_over.id]) == sorted(KINDS)
    assert sorted(kinds[going_on.id]) == sorted(KINDS)
    assert await events.forget_passing(session) == 0
