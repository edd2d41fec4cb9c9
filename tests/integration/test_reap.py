from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

from sqlalchemy import select, update

from app.db import Database, Session
from app.repositories.attempts import attempts as attempt_rows
from app.services.attempts import execution
from app.services.attempts.leases import REAPER_LOCK, Lease
from models import Attempt, Node
from tests.support.executions import claimed, make_run


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


async def watch(
    session: Session, observer: execution.LeaseObserver, clock: Clock, seconds: float
) -> list[object]:
    """Looks once every 10 s; returns the runs that were closed."""
    closed: list[object] = []
    for _ in range(int(seconds / 10)):
        clock.now_s += 10.0
        closed += await execution.reap(session, observer=observer, lease_s=60.0)
    return closed


async def test_an_attempt_that_is_silent_for_its_lease_is_closed(session: Session) -> None:
    run = await make_run(session)
    claimed_run = await claimed(session, run.id)
    clock = Clock()
    observer = execution.LeaseObserver(clock)
    assert await watch(session, observer, clock, 60) == []
    assert await watch(session, observer, clock, 10) == [run.id]
    await session.refresh(run)
    attempt = await session.get_one(Attempt, claimed_run.attempt_id)
    assert (run.status, attempt.status) == ("queued", "lost")
    assert await watch(session, observer, clock, 120) == []


async def test_a_renewed_lease_is_not_closed(session: Session) -> None:
    run = await make_run(session)
    claimed_run = await claimed(session, run.id)
    clock = Clock()
    observer = execution.LeaseObserver(clock)
    for tick in range(1, 30):
        # now() is constant within a transaction, so the renewals are set explicitly.
        renewed = datetime.now(UTC) + timedelta(seconds=tick)
        await session.execute(
            update(Attempt)
            .where(Attempt.id == claimed_run.attempt_id)
            .values(lease_renewed_at=renewed)
        )
        assert await watch(session, observer, clock, 50) == []


def test_time_without_observation_does_not_count() -> None:
    clock = Clock()
    observer = execution.LeaseObserver(clock)
    attempt, at, epoch = uuid4(), datetime.now(UTC), datetime.now(UTC)

    def look(after_s: float, epoch: datetime = epoch) -> bool:
        clock.now_s += after_s
        return observer.observe({attempt: Lease(at, 60.0)}, epoch=epoch) == [attempt]

    assert not look(0)
    assert not look(20)
    assert not look(500)  # the observer was away itself
    assert not look(20)
    assert not look(20)
    assert not look(10, epoch + timedelta(seconds=1))  # the database was restarted
    assert not any(look(20, epoch + timedelta(seconds=1)) for _ in range(2))
    assert look(20, epoch + timedelta(seconds=1))


async def test_a_lease_holds_for_the_duration_that_its_worker_states(session: Session) -> None:
    """Whatever the server's own setting is: the worker ends its jobs by its own."""
    runs = {lease_s: await make_run(session) for lease_s in (20.0, 60.0, 200.0)}
    for lease_s, run in runs.items():
        claimed_run = await execution.claim(
            session, run.id, worker="w1", node_name="node", devices=[], lease_s=lease_s
        )
        assert claimed_run is not None
    clock = Clock()
    observer = execution.LeaseObserver(clock)
    assert await watch(session, observer, clock, 20) == []
    assert observer.shortest_s == 20.0
    assert await watch(session, observer, clock, 10) == [runs[20.0].id]
    assert await watch(session, observer, clock, 40) == [runs[60.0].id]
    assert await watch(session, observer, clock, 130) == []
    assert observer.shortest_s == 200.0
    assert await watch(session, observer, clock, 10) == [runs[200.0].id]
    query = select(Attempt).where(Attempt.run_id == runs[200.0].id)
    [attempt] = await session.scalars(query)
    assert (attempt.reason or {})["message"] == "its worker did not report for 200 s"


def test_a_pause_of_the_observer_interrupts_only_short_leases() -> None:
    clock = Clock()
    observer = execution.LeaseObserver(clock)
    short, long, at = uuid4(), uuid4(), datetime.now(UTC)
    leases = {short: Lease(at, 8.0), long: Lease(at, 40.0)}
    epoch = datetime.now(UTC)
    expired = []
    for _ in range(5):
        clock.now_s += 10.0
        expired += observer.observe(leases, epoch=epoch)
    assert expired == [long]


async def test_one_reaper_at_a_time(committed_db: Database) -> None:
    async with committed_db.session_scope() as session:
        run = await make_run(session)
        await claimed(session, run.id)
    clock = Clock()
    observer = execution.LeaseObserver(clock)
    async with committed_db.session_scope() as holder, committed_db.session_scope() as session:
        assert await attempt_rows.try_lock_reaper(holder, REAPER_LOCK)
        assert await watch(session, observer, clock, 100) == []
    async with committed_db.session_scope() as session:
        assert await watch(session, observer, clock, 10) == [run.id]


async def test_a_renewal_during_the_sweep_saves_the_attempt(session: Session) -> None:
    run = await make_run(session)
    claimed_run = await claimed(session, run.id)
    [(_, seen, _)] = await attempt_rows.open_leases(session)
    assert (
        await execution.close_lost(
            session, claimed_run.attempt_id, unless_renewed_since=seen - timedelta(seconds=1)
        )
        is None
    )
    assert await execution.close_lost(session, claimed_run.attempt_id, unless_renewed_since=seen)


async def test_leases_of_unknown_attempts_are_closed(session: Session) -> None:
    unknown = uuid4()
    states = await execution.renew_leases(session, [unknown])
    assert states == {unknown: execution.LeaseState(cancel_requested=False, closed=True)}
    assert await execution.renew_leases(session, []) == {}


async def test_a_node_shows_where_its_name_was_last_used(session: Session) -> None:
    register = partial(execution.register_node, session, "n1", "default", [], {})
    assert await register("here") is None
    assert await register("there") == "here"
    assert await register("there") == "there"


async def test_nodes_register_themselves(session: Session) -> None:
    await execution.register_node(session, "n1", "default", [], {"rapl": False})
    await execution.register_node(session, "n1", "lab", [{"uuid": "GPU-1"}], {})
    node = (await session.scalars(select(Node))).one()
    assert (node.name, node.pool, node.devices) == ("n1", "lab", [{"uuid": "GPU-1"}])
    await session.execute(update(Node).values(last_seen_at=datetime(2026, 1, 1, tzinfo=UTC)))
    await execution.touch_node(session, "another")
    await session.refresh(node)
    assert node.last_seen_at == datetime(2026, 1, 1, tzinfo=UTC)
    await execution.touch_node(session, "n1")
    await session.refresh(node)
    assert datetime.now(UTC) - node.last_seen_at < timedelta(minutes=1)
