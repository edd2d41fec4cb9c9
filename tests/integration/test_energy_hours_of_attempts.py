"""The charge of an attempt by hour, as booked from its journal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from app.db import Session
from app.services.attempts import execution, settlement
from models import Attempt, EnergyHour, Measurement
from tests.support.executions import GPU, JournalMaker, claimed, make_run

OPENED = datetime(2026, 3, 1, 11, 59, 50, tzinfo=UTC)
ELEVEN, NOON = "2026-03-01T11:00:00+00:00", "2026-03-01T12:00:00+00:00"
SHARED: list[dict[str, Any]] = [
    {
        "id": GPU,
        "kind": "gpu",
        "name": "NVIDIA H200",
        "method": "counter",
        "gain_std_ratio": 0.05,
        "reserved_ratio": 0.5,
        "baseline_w": 40.0,
    }
]


def shared_journal(attempt_id: UUID) -> list[dict[str, Any]]:
    """Twenty seconds at 100 W from ten before noon on; a quarter of the activity is the job's."""
    journal = JournalMaker(attempt_id)

    def add(type_: str, t_s: float, **more: Any) -> None:
        at = (OPENED + timedelta(seconds=t_s)).isoformat()
        journal.add(type_, t_s, **more)["at"] = at

    stage = {"parent_key": None, "recipe_index": 0, "kind": "train", "name": "train"}
    add("start", 0.0, attempt_id=str(attempt_id), devices=[], components=SHARED)
    for second in range(21):
        t_s = float(second)
        if second == 5:
            add("stage_start", t_s, key="0", index=0, **stage)
        add(
            "reading",
            t_s,
            component=GPU,
            counter_j=1e6 + 100 * t_s,
            integrated_j=100 * t_s,
            power_w=100.0,
            own_busy_s=t_s,
            all_busy_s=4 * t_s,
        )
        if second == 15:
            add("stage_end", t_s, key="0", status="succeeded")
    add("end", 20.0, status="succeeded", reason=None)
    return journal.records


CHARGED_W = 40 * 0.5 + 60 * 0.25


async def hours_of(session: Session, attempt_id: UUID) -> list[EnergyHour]:
    query = select(EnergyHour).where(EnergyHour.attempt_id == attempt_id).order_by(EnergyHour.hour)
    return list((await session.execute(query)).scalars())


async def measured(session: Session, attempt_id: UUID, stage: str) -> Measurement:
    return await session.get_one(Measurement, (attempt_id, stage, GPU))


async def book_shared(session: Session, batch: int = 1000) -> Attempt:
    run = await make_run(session)
    claimed_run = await claimed(session, run.id)
    attempt = await session.get_one(Attempt, claimed_run.attempt_id)
    attempt.site = "hall"
    records = shared_journal(claimed_run.attempt_id)
    for start in range(0, len(records), batch):
        await execution.ingest(session, claimed_run.attempt_id, records[start : start + batch])
    return attempt


async def test_share_and_baseline_of_the_component_decide_the_charge(session: Session) -> None:
    attempt = await book_shared(session)
    whole = await measured(session, attempt.id, "")
    assert whole.energy_j == pytest.approx(20 * CHARGED_W)
    assert whole.device_energy_j == pytest.approx(2_000.0)
    assert whole.baseline_j == pytest.approx(20 * 20.0)


async def test_hours_are_those_of_the_meters_clock(session: Session) -> None:
    attempt = await book_shared(session)
    assert attempt.meter_opened_at == OPENED
    whole, stage = [await measured(session, attempt.id, key) for key in ("", "0")]
    assert whole.energy_by_hour_j == {
        ELEVEN: pytest.approx(10 * CHARGED_W),
        NOON: pytest.approx(10 * CHARGED_W),
    }
    assert stage.energy_by_hour_j == {
        ELEVEN: pytest.approx(5 * CHARGED_W),
        NOON: pytest.approx(5 * CHARGED_W),
    }
    rows = await hours_of(session, attempt.id)
    assert [row.hour.isoformat() for row in rows] == [ELEVEN, NOON]
    assert [row.energy_j for row in rows] == list(whole.energy_by_hour_j.values())
    assert [row.covered_s for row in rows] == [10.0, 10.0]
    [first, _] = rows
    assert (first.node_name, first.site, first.component, first.name) == (
        *("node", "hall"),
        *(GPU, "NVIDIA H200"),
    )
    assert (first.kind, first.method, first.gain_std_ratio) == ("gpu", "counter", 0.05)
    assert first.flags == []


@pytest.mark.parametrize("batch", [1, 4, 1000])
async def test_the_charge_of_a_running_attempt_is_available_before_its_end(
    session: Session, batch: int
) -> None:
    run = await make_run(session)
    claimed_run = await claimed(session, run.id)
    records = shared_journal(claimed_run.attempt_id)[:-1]
    for start in range(0, len(records), batch):
        sent = records[: start + batch][-2 * batch :]  # half of it was sent before
        await execution.ingest(session, claimed_run.attempt_id, sent)
    rows = await hours_of(session, claimed_run.attempt_id)
    assert [row.hour.isoformat() for row in rows] == [ELEVEN, NOON]
    assert [row.energy_j for row in rows] == pytest.approx([10 * CHARGED_W] * 2)
    assert [row.covered_s for row in rows] == pytest.approx([10.0] * 2)
    await execution.ingest(
        session, claimed_run.attempt_id, shared_journal(claimed_run.attempt_id)[-1:]
    )
    session.expire_all()
    whole = await measured(session, claimed_run.attempt_id, "")
    assert whole.energy_by_hour_j is not None
    ended = await hours_of(session, claimed_run.attempt_id)
    assert [row.energy_j for row in ended] == list(whole.energy_by_hour_j.values())


async def test_booking_again_changes_nothing(session: Session) -> None:
    attempt = await book_shared(session)
    before = [(row.hour, row.energy_j) for row in await hours_of(session, attempt.id)]
    await settlement.book(session, attempt)
    assert [(row.hour, row.energy_j) for row in await hours_of(session, attempt.id)] == before


@pytest.mark.parametrize("batch", [1, 2, 7])
async def test_how_a_journal_is_cut_into_batches_changes_no_figure(
    session: Session, batch: int
) -> None:
    one, other = await book_shared(session), await book_shared(session, batch)
    for key in ("", "0"):
        first, second = [await measured(session, attempt.id, key) for attempt in (one, other)]
        assert first.energy_j == second.energy_j
        assert first.energy_by_hour_j == second.energy_by_hour_j
        assert (first.device_energy_j, first.baseline_j) == (
            second.device_energy_j,
            second.baseline_j,
        )


async def test_an_attempt_whose_meter_never_opened_has_no_hours(session: Session) -> None:
    run = await make_run(session)
    claimed_run = await claimed(session, run.id)
    journal = JournalMaker(claimed_run.attempt_id)
    journal.add("end", 1.0, status="failed", reason=None)
    await execution.ingest(session, claimed_run.attempt_id, journal.records)
    assert await hours_of(session, claimed_run.attempt_id) == []


async def test_an_attempt_without_energy_has_no_hours_to_apply_factors_to(session: Session) -> None:
    run = await make_run(session)
    claimed_run = await claimed(session, run.id)
    journal = JournalMaker(claimed_run.attempt_id)
    journal.start()
    journal.add("end", 5.0, status="failed", reason=None)
    await execution.ingest(session, claimed_run.attempt_id, journal.records)
    whole = await measured(session, claimed_run.attempt_id, "")
    assert (whole.energy_j, whole.energy_by_hour_j) == (None, None)
    assert await hours_of(session, claimed_run.attempt_id) == []
