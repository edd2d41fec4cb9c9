from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.services.attempts.execution import PoisonedRecordsError
from pricetag.metering.journal import Journal
from tests.support.patience import until
from workers.attempt import shipper as shipper_module
from workers.attempt.shipper import Shipper
from workers.node import leases
from workers.node.leases import LeaseKeeper


@dataclass(frozen=True)
class Order:
    code: str
    message: str


@dataclass
class State:
    cancel_requested: bool = False
    closed: bool = False
    stop: Order | None = None


@dataclass
class FakeSupervisor:
    stops: list[str] = field(default_factory=list)
    messages: list[str | None] = field(default_factory=list)
    fenced: int = 0
    pulses: int = 0

    def pulse(self) -> None:
        self.pulses += 1

    def request_stop(self, reason: str, message: str | None = None) -> None:
        self.stops.append(reason)
        self.messages.append(message)

    def fence(self) -> None:
        self.fenced += 1


async def test_orders_received_with_a_lease_renewal_reach_the_job() -> None:
    cancelled, closed, fine, spent, both = (uuid4() for _ in range(5))
    running = {attempt: FakeSupervisor() for attempt in (cancelled, closed, fine, spent, both)}
    order = Order("budget-exceeded", "budget 'a' is used up")

    async def renew(asked: list[UUID]) -> Mapping[UUID, State]:
        assert set(asked) == set(running)
        return {
            cancelled: State(cancel_requested=True),
            closed: State(closed=True),
            fine: State(),
            spent: State(stop=order),
            both: State(cancel_requested=True, stop=order),
        }

    await LeaseKeeper(running, renew, lease_s=10, grace_s=1).renew_once()
    assert (running[cancelled].stops, running[cancelled].fenced) == (["cancelled"], 0)
    assert (running[closed].stops, running[closed].fenced) == ([], 1)
    assert (running[fine].stops, running[fine].fenced) == ([], 0)
    assert running[spent].stops == ["budget-exceeded"]
    assert running[spent].messages == ["budget 'a' is used up"]
    assert (running[spent].fenced, running[spent].pulses) == (0, 1)
    assert running[both].stops == ["cancelled"]  # somebody asked: that is the reason
    assert [running[one].pulses for one in (cancelled, closed, fine)] == [1, 0, 1]


class Clock:
    """A monotonic clock of the test's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 1000.0
        monkeypatch.setattr(leases, "time", self)

    def monotonic(self) -> float:
        return self.now_s


async def test_jobs_continue_through_an_outage_until_the_lease_nearly_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    supervisor = FakeSupervisor()

    async def renew(asked: list[UUID]) -> Mapping[UUID, State]:
        raise ConnectionError("the database is away")

    keeper = LeaseKeeper({uuid4(): supervisor}, renew, lease_s=900, grace_s=30)
    for away_s, stopped, fenced in ((860, 0, 0), (868, 1, 0), (896, 2, 0), (898, 3, 1)):
        clock.now_s = 1000.0 + away_s
        await keeper.renew_once()
        keeper.watch_once()
        assert (len(supervisor.stops), supervisor.fenced) == (stopped, fenced)
    assert set(supervisor.stops) == {"lease-lost"}


async def test_a_hanging_renewal_does_not_stop_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "INTERVAL_S", 0.02)
    supervisor = FakeSupervisor()

    async def renew(asked: list[UUID]) -> Mapping[UUID, State]:
        await asyncio.sleep(60)
        return {}

    keeper = LeaseKeeper({uuid4(): supervisor}, renew, lease_s=0.2, grace_s=0.1)
    task = asyncio.create_task(keeper.run())
    await until(lambda: supervisor.fenced > 0)
    task.cancel()
    await asyncio.wait([task])


async def test_everything_is_shipped_in_order_despite_database_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipper_module, "BATCH", 7)
    monkeypatch.setattr(shipper_module, "INTERVAL_S", 0.005)
    attempt_id = uuid4()
    journal = Journal.create(tmp_path, attempt_id)
    arrived: list[int] = []
    calls = 0

    async def ingest(shipped_id: UUID, records: list[dict[str, Any]]) -> int:
        nonlocal calls
        assert shipped_id == attempt_id
        calls += 1
        if calls % 3 == 1:
            raise ConnectionError("away")
        arrived.extend(record["seq"] for record in records)
        return int(records[-1]["seq"])

    shipper = Shipper(journal, attempt_id, ingest)
    task = asyncio.create_task(shipper.run())
    for value in range(40):
        journal.append({"type": "log", "t_s": 0.0, "stream": "stdout", "text": str(value)})
        await asyncio.sleep(0.001)
    shipper.finish()
    await asyncio.wait_for(task, 60)
    assert arrived == list(range(40))
    journal.mark_shipped()


async def test_records_in_memory_are_tried_on_the_disk_again_while_the_database_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipper_module, "INTERVAL_S", 0.005)
    journal = Journal.create(tmp_path, uuid4())
    journal.append({"type": "start"})
    with monkeypatch.context() as full:
        full.setattr(os, "write", _no_space)
        journal.append({"type": "end"}, keep=True)
    assert b"end" not in journal.path.read_bytes()

    async def ingest(_: UUID, records: list[dict[str, Any]]) -> int:
        raise ConnectionError("the database is away")

    shipper = Shipper(journal, uuid4(), ingest)
    shipper.finish()
    shipping = asyncio.create_task(shipper.run())
    async with asyncio.timeout(60):
        while b"end" not in journal.path.read_bytes():
            await asyncio.sleep(0.005)
    assert journal.waiting_bytes == 0
    shipping.cancel()
    await asyncio.wait([shipping])
    journal.close()


async def test_records_that_the_database_has_are_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal.create(tmp_path, uuid4())
    shipped: list[int] = []
    monkeypatch.setattr(journal, "note_shipped", shipped.append)
    for number in range(3):
        journal.append({"type": "log", "number": number})

    async def ingest(_: UUID, records: list[dict[str, Any]]) -> int:
        return int(records[-1]["seq"])

    shipper = Shipper(journal, uuid4(), ingest)
    shipper.finish()
    await asyncio.wait_for(shipper.run(), 60)
    assert shipped == [3]
    journal.close()


def _no_space(*_: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("poison", [0, 7, 19])
async def test_a_record_that_cannot_be_stored_is_set_aside_and_the_rest_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, poison: int
) -> None:
    monkeypatch.setattr(shipper_module, "INTERVAL_S", 0.005)
    attempt_id = uuid4()
    journal = Journal.create(tmp_path, attempt_id)
    for number in range(20):
        journal.append({"type": "metric", "t_s": 1.0, "at": "2026-11-29", "value": number})
    stored: dict[int, dict[str, Any]] = {}

    async def ingest(_: UUID, records: list[dict[str, Any]]) -> int:
        if any(record.get("value") == poison for record in records):
            raise PoisonedRecordsError("planted")
        stored.update({record["seq"]: record for record in records})
        return int(records[-1]["seq"])

    shipper = Shipper(journal, attempt_id, ingest)
    shipper.finish()
    await asyncio.wait_for(shipper.run(), 60)
    assert sorted(stored) == list(range(20))
    assert [seq for seq, record in stored.items() if record["type"] == "rejected"] == [poison]
    assert "planted" in stored[poison]["reason"]
    journal.close()
