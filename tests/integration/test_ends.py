"""How attempts end, and what becomes of their runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import select

from app.db import Session, driver_connection
from app.services.attempts import execution, ingestion
from app.services.billing import issuing
from app.services.errors import PriceTagNotFoundError, RunFinishedError
from app.services.verification import checking
from models import Attempt, LogLine, Measurement, PriceTag, Run, Stage
from tests.support.executions import GPU, JournalMaker, claim, claimed, make_run

LOST = {"code": "worker-lost", "message": "the worker process died"}


async def entries(session: Session, run: Run) -> int:
    connection: psycopg.AsyncConnection[Any] = await driver_connection(session)
    query = "SELECT count(*) FROM procrastinate_jobs WHERE args ->> 'run_id' = %s"
    row = await (await connection.execute(query, [str(run.id)])).fetchone()
    assert row is not None
    return int(row[0])


async def end(session: Session, run: Run, status: str, reason: Any = None) -> Attempt:
    claimed_run = await claimed(session, run.id)
    journal = JournalMaker(claimed_run.attempt_id)
    journal.whole(status, reason)
    await execution.ingest(session, claimed_run.attempt_id, journal.records)
    await session.refresh(run)
    return await session.get_one(Attempt, claimed_run.attempt_id)


async def versions(session: Session, run: Run) -> list[int]:
    query = select(PriceTag.version).where(PriceTag.run_id == run.id).order_by(PriceTag.version)
    return list((await session.scalars(query)).all())


@pytest.mark.parametrize("status", ["lost", "interrupted"])
async def test_a_run_is_repeated_until_its_attempts_are_used_up(
    session: Session, status: str
) -> None:
    run = await make_run(session, max_attempts=2)
    await end(session, run, status, LOST)
    assert run.status == "queued"
    assert run.status_reason is not None
    assert run.status_reason["code"] == f"attempt-{status}"
    assert (run.finished_at, run.progress) == (None, None)
    assert await entries(session, run) == 1
    attempt = await end(session, run, status, LOST)
    assert (attempt.number, run.status) == (2, "failed")
    assert run.status_reason["code"] == "attempts-exhausted"
    assert run.finished_at == attempt.ended_at
    assert await entries(session, run) == 1
    assert await claim(session, run.id) is None


async def test_a_jobs_own_error_is_final(session: Session) -> None:
    run = await make_run(session)
    reason = {"code": "empty-data", "message": "no rows", "field": "recipe.data"}
    await end(session, run, "failed", reason)
    assert (run.status, run.status_reason) == ("failed", reason)
    assert await entries(session, run) == 0


async def test_every_attempt_stays_on_the_bill(session: Session) -> None:
    run = await make_run(session)
    attempt = await end(session, run, "lost", LOST)
    attempt.started_at -= timedelta(minutes=1)  # 16 s of a journal take no time here
    first = await issuing.get_price_tag(session, run.id)
    await end(session, run, "succeeded")
    second = await issuing.get_price_tag(session, run.id)
    assert [first.version, second.version] == [1, 2]
    assert len(second.content["attempts"]) == 2
    one_kwh = first.content["it_energy_kwh"]["value"]
    assert one_kwh == pytest.approx(2400 / 3.6e6)
    assert second.content["it_energy_kwh"]["value"] == pytest.approx(2 * one_kwh)


async def test_the_unread_end_of_a_lost_attempt_is_in_the_interval(session: Session) -> None:
    run = await make_run(session)
    claimed_run = await claimed(session, run.id)
    journal = JournalMaker(claimed_run.attempt_id)
    journal.whole("lost", LOST)
    journal.records[-1]["unread_j"] = {GPU: 110.0, "cpu": 55.0}
    await execution.ingest(session, claimed_run.attempt_id, journal.records)
    content = (await issuing.get_price_tag(session, run.id)).content
    energy = content["it_energy_kwh"]
    assert energy["value"] == pytest.approx(2400 / 3.6e6)
    assert energy["high"] * 3.6e6 > 2400 + 165
    assert "end_unread" in content["flags"]
    assert (await checking.verify(session, run.id)).outcome == "verified"


async def test_canceling_a_queued_run(session: Session) -> None:
    run = await make_run(session, enqueue=True)
    assert await entries(session, run) == 1
    assert await execution.request_cancel(session, run.id) == "cancelled"
    assert await entries(session, run) == 0
    assert run.finished_at is not None
    assert await claim(session, run.id) is None
    assert await execution.request_cancel(session, run.id) == "cancelled"
    with pytest.raises(PriceTagNotFoundError, match="nothing was used"):
        await issuing.get_price_tag(session, run.id)


@pytest.mark.parametrize("status", ["cancelled", "interrupted", "lost"])
async def test_canceling_a_running_run(session: Session, status: str) -> None:
    run = await make_run(session)
    claimed_run = await claimed(session, run.id)
    states = await execution.renew_leases(session, [claimed_run.attempt_id])
    assert states[claimed_run.attempt_id] == execution.LeaseState(False, False)
    assert await execution.request_cancel(session, run.id) == "running"
    states = await execution.renew_leases(session, [claimed_run.attempt_id])
    assert states[claimed_run.attempt_id] == execution.LeaseState(
        cancel_requested=True, closed=False
    )
    journal = JournalMaker(claimed_run.attempt_id)
    journal.whole(status, {"code": status, "message": "stopped"})
    await execution.ingest(session, claimed_run.attempt_id, journal.records)
    await session.refresh(run)
    assert (run.status, await entries(session, run)) == ("cancelled", 0)
    assert await versions(session, run) == [1]
    states = await execution.renew_leases(session, [claimed_run.attempt_id])
    assert states[claimed_run.attempt_id].closed


async def test_a_run_that_was_faster_than_its_canceling_has_succeeded(session: Session) -> None:
    run = await make_run(session)
    claimed_run = await claimed(session, run.id)
    await execution.request_cancel(session, run.id)
    journal = JournalMaker(claimed_run.attempt_id)
    journal.whole()
    await execution.ingest(session, claimed_run.attempt_id, journal.records)
    await session.refresh(run)
    assert run.status == "succeeded"
    with pytest.raises(RunFinishedError, match="has already succeeded"):
        await execution.request_cancel(session, run.id)


async def test_an_attempt_without_a_journal_is_closed_from_nothing(session: Session) -> None:
    run = await make_run(session, max_attempts=1)
    claimed_run = await claimed(session, run.id)
    assert await execution.close_lost(session, claimed_run.attempt_id) == run.id
    assert await execution.close_lost(session, claimed_run.attempt_id) is None
    await session.refresh(run)
    assert run.status == "failed"
    tag = await issuing.get_price_tag(session, run.id)
    assert tag.content["it_energy_kwh"]["value"] is None
    assert tag.content["it_energy_kwh"]["reason"]


async def lost_in_the_middle(session: Session, run: Run) -> tuple[JournalMaker, int]:
    """A run whose journal arrived up to 5 s into training; the rest comes later."""
    claimed_run = await claimed(session, run.id)
    journal = JournalMaker(claimed_run.attempt_id)
    journal.whole()
    cut = next(i for i, r in enumerate(journal.records) if r["t_s"] > 5.0)
    await execution.ingest(session, claimed_run.attempt_id, journal.records[:cut])
    await execution.close_lost(session, claimed_run.attempt_id)
    return journal, cut


async def whole_energy_j(session: Session, journal: JournalMaker) -> float | None:
    key = (journal.attempt_id, "", GPU)
    return (await session.get_one(Measurement, key, populate_existing=True)).energy_j


async def test_a_lost_attempt_is_billed_from_the_received_records(session: Session) -> None:
    run = await make_run(session)
    journal, _ = await lost_in_the_middle(session, run)
    assert await whole_energy_j(session, journal) == pytest.approx(500.0)
    stage = await session.get_one(Stage, (journal.attempt_id, "0"))
    assert (stage.status, stage.end_s) == ("lost", None)
    tag = await issuing.get_price_tag(session, run.id)
    [cut_off] = tag.content["stages"]
    # Its time goes to the last reading, as its energy does.
    assert cut_off["duration_s"]["value"] == pytest.approx(5.0 - stage.start_s)
    assert cut_off["it_energy_kwh"]["value"] > 0
    await session.refresh(run)
    assert run.status == "queued"


async def test_what_a_lost_attempt_used_after_its_stored_readings_is_in_the_interval(
    session: Session,
) -> None:
    run = await make_run(session)
    claimed_run = await claimed(session, run.id)
    journal = JournalMaker(claimed_run.attempt_id)
    journal.whole()
    cut = next(i for i, r in enumerate(journal.records) if r["t_s"] > 5.0)
    await execution.ingest(session, claimed_run.attempt_id, journal.records[:cut])
    attempt = await session.get_one(Attempt, claimed_run.attempt_id)
    # The meter was opened two hours ago: the job may have run until now.
    attempt.meter_opened_at = datetime.now(UTC) - timedelta(hours=2)
    attempt.started_at = attempt.meter_opened_at
    await execution.close_lost(session, claimed_run.attempt_id)
    assert attempt.unread_j is not None
    assert attempt.unread_j[GPU] == pytest.approx(700.0 * 7195, rel=0.01)  # its limit
    assert attempt.unread_j["cpu"] == pytest.approx(50.0 * 7195, rel=0.01)
    content = (await issuing.get_price_tag(session, run.id)).content
    assert content["it_energy_kwh"]["value"] == pytest.approx(750 / 3.6e6)
    assert content["it_energy_kwh"]["high"] > 750.0 * 7195 / 3.6e6
    assert "end_unread" in content["flags"]
    assert (await checking.verify(session, run.id)).outcome == "verified"
    # The journal has the true end.
    await execution.ingest(session, journal.attempt_id, journal.records[cut:])
    assert attempt.unread_j is None
    content = (await issuing.get_price_tag(session, run.id)).content
    assert "end_unread" not in content["flags"]
    assert (await checking.verify(session, run.id)).outcome == "verified"


async def test_a_clock_that_is_behind_hides_no_unread_end(session: Session) -> None:
    run = await make_run(session)
    claimed_run = await claimed(session, run.id)
    journal = JournalMaker(claimed_run.attempt_id)
    journal.start()
    for t_s in (0.0, 1.0, 2.0):
        journal.read(t_s)
    await execution.ingest(session, claimed_run.attempt_id, journal.records)
    attempt = await session.get_one(Attempt, claimed_run.attempt_id)
    attempt.meter_opened_at = datetime.now(UTC) + timedelta(hours=2)
    await execution.close_lost(session, claimed_run.attempt_id)
    assert attempt.unread_j == pytest.approx({GPU: 150.0, "cpu": 75.0})


async def test_a_late_journal_is_added_and_the_tag_gets_a_new_version(session: Session) -> None:
    run = await make_run(session)
    journal, cut = await lost_in_the_middle(session, run)
    second = await claimed(session, run.id, "w2")
    assert await versions(session, run) == [1]
    await execution.ingest(session, journal.attempt_id, journal.records[cut:])
    assert await whole_energy_j(session, journal) == pytest.approx(1600.0)
    assert await versions(session, run) == [1, 2]
    first = await session.get_one(Attempt, journal.attempt_id)
    await session.refresh(run)
    # The second attempt runs: the first stays lost whatever its journal says.
    assert (first.status, run.status) == ("lost", "running")
    states = await execution.renew_leases(session, [first.id, second.attempt_id])
    assert states[first.id].closed
    assert not states[second.attempt_id].closed


async def test_late_records_without_an_end_are_booked_once(session: Session) -> None:
    run = await make_run(session)
    journal, cut = await lost_in_the_middle(session, run)
    long = [r for r in journal.records[cut:] if r["type"] != "end"]
    for _ in range(ingestion.LATE_TAIL):
        long.append({**long[-1], "seq": long[-1]["seq"] + 1, "type": "log", "stream": "stdout"})
    await execution.ingest(session, journal.attempt_id, long)
    assert await versions(session, run) == [1]
    assert await whole_energy_j(session, journal) == pytest.approx(500.0)
    tail = {**long[-1], "seq": long[-1]["seq"] + 1, "text": "last words"}
    await execution.ingest(session, journal.attempt_id, [tail])
    assert await versions(session, run) == [1, 2]
    assert await whole_energy_j(session, journal) == pytest.approx(1600.0)


async def test_the_true_end_of_a_lost_attempt_counts_if_no_other_attempt_has_begun(
    session: Session,
) -> None:
    run = await make_run(session)
    journal, cut = await lost_in_the_middle(session, run)
    assert await entries(session, run) == 1
    await execution.ingest(session, journal.attempt_id, journal.records[cut:])
    await session.refresh(run)
    attempt = await session.get_one(Attempt, journal.attempt_id)
    assert (attempt.status, run.status) == ("succeeded", "succeeded")
    stage = await session.get_one(Stage, (journal.attempt_id, "0"), populate_existing=True)
    assert stage.status == "succeeded"
    assert await entries(session, run) == 0
    assert await claim(session, run.id) is None


async def test_a_price_tag_is_never_changed(session: Session) -> None:
    run = await make_run(session)
    await end(session, run, "lost", LOST)
    tag = await issuing.get_price_tag(session, run.id, 1)
    before = tag.content_sha256
    await end(session, run, "succeeded")
    session.expunge_all()
    again = await issuing.get_price_tag(session, run.id, 1)
    assert (again.content_sha256, len(again.content["attempts"])) == (before, 1)
    with pytest.raises(PriceTagNotFoundError, match="no version 9"):
        await issuing.get_price_tag(session, run.id, 9)


async def test_an_error_in_the_arithmetic_does_not_keep_a_run_from_ending(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(inputs: object) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(issuing, "build_price_tag", broken)
    run = await make_run(session)
    await end(session, run, "succeeded")
    assert (run.status, await versions(session, run)) == ("succeeded", [])
    lines = (await session.scalars(select(LogLine).where(LogLine.stream == "pricetag"))).all()
    assert ["planted" in line.text for line in lines] == [True]
    monkeypatch.undo()
    assert (await issuing.issue(session, run.id)).version == 1


async def test_a_requeue_waits_and_rejects_runs_that_are_not_queued(session: Session) -> None:
    run = await make_run(session)
    assert await execution.requeue(session, run.id, delay_s=60.0)
    connection = await driver_connection(session)
    row = await (await connection.execute("SELECT scheduled_at FROM procrastinate_jobs")).fetchone()
    assert row is not None
    assert 50 < (row[0] - datetime.now(UTC)).total_seconds() <= 60
    await claimed(session, run.id)
    assert not await execution.requeue(session, run.id)
