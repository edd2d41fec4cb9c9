from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from app.db import Database, Session
from app.services.attempts import execution
from models import Attempt, Run, RunEvent
from tests.support.executions import claim, claimed, make_run


async def test_a_claim_starts_an_attempt(session: Session) -> None:
    run = await make_run(session, gpus=1, pool="lab")
    claimed_run = await claimed(session, run.id)
    await session.refresh(run)
    assert (claimed_run.number, claimed_run.gpus, claimed_run.pool, claimed_run.experiment) == (
        1,
        1,
        "lab",
        "experiment",
    )
    assert claimed_run.recipe == {"stages": [{"kind": "train"}]}
    assert run.status == "running"
    assert run.started_at is not None
    attempt = await session.get_one(Attempt, claimed_run.attempt_id)
    assert (attempt.status, attempt.worker, attempt.ingested_seq) == ("running", "w1", -1)
    events = (await session.scalars(select(RunEvent).where(RunEvent.run_id == run.id))).all()
    assert [event.payload["status"] for event in events] == ["running"]


async def test_a_second_delivery_has_nothing_to_claim(session: Session) -> None:
    run = await make_run(session)
    await claimed(session, run.id)
    assert await claim(session, run.id, "w2") is None
    assert await execution.demand(session, run.id) is None


@pytest.mark.parametrize("status", ["running", "succeeded", "failed", "cancelled"])
async def test_only_queued_runs_are_claimed(session: Session, status: str) -> None:
    run = await make_run(session, status=status)
    assert await claim(session, run.id) is None


async def test_nothing_starts_before_its_time(session: Session) -> None:
    run = await make_run(session, gpus=2, not_before=datetime.now(UTC) + timedelta(hours=1))
    assert await execution.demand(session, run.id) is None
    assert await claim(session, run.id) is None
    run.not_before = datetime.now(UTC) - timedelta(seconds=1)
    await session.flush()
    assert await execution.demand(session, run.id) == execution.Demand(gpus=2)
    assert await claim(session, run.id) is not None


async def test_an_unknown_run_is_not_claimed(session: Session) -> None:
    assert await claim(session, uuid4()) is None


async def test_one_of_many_claimants_wins(committed_db: Database) -> None:
    async with committed_db.session_scope() as session:
        run_ids = [(await make_run(session)).id for _ in range(5)]

    async def attempt(run_id: UUID, worker: int) -> execution.Claim | None:
        async with committed_db.session_scope() as session:
            return await claim(session, run_id, f"w{worker}")

    for run_id in run_ids:
        claims = await asyncio.gather(*(attempt(run_id, worker) for worker in range(8)))
        assert len([won for won in claims if won is not None]) == 1
    async with committed_db.session_scope() as session:
        assert await session.scalar(select(func.count()).select_from(Attempt)) == len(run_ids)


async def test_the_database_rejects_a_second_open_attempt(session: Session) -> None:
    run = await make_run(session)
    await claimed(session, run.id)
    await session.execute(update(Run).where(Run.id == run.id).values(status="queued"))
    with pytest.raises(IntegrityError, match="uq_attempts_one_open_per_run"):
        await claim(session, run.id, "w2")


async def test_open_attempts_of_a_node(session: Session) -> None:
    run = await make_run(session)
    claimed_run = await claimed(session, run.id)
    (open_attempt,) = await execution.open_attempts(session, "node")
    assert (open_attempt.attempt_id, open_attempt.worker) == (claimed_run.attempt_id, "w1")
    assert await execution.open_attempts(session, "another") == []
