"""A worker that cannot even begin a run reports this at once, and does not keep the run."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from app.services.attempts.execution import Demand
from app.services.queueing.waiting import Offer
from pricetag.metering.journal import Journal, find_orphans
from tests.unit.workers.test_launch import Claimed, config
from workers.attempt.shipper import Shipper
from workers.store import Store
from workers.worker import Worker


@dataclass
class FakeStore:
    """Hands out one run and notes which attempts are closed."""

    claimed: Claimed = field(default_factory=Claimed)
    closed: list[tuple[UUID, str]] = field(default_factory=list)
    demanded: Demand = field(default_factory=lambda: Demand(0))
    requeued: list[UUID] = field(default_factory=list)
    offers: list[Offer | None] = field(default_factory=list)

    async def show_power(self, message: str) -> None:
        """Nobody watches."""

    async def demand(self, run_id: UUID) -> Demand:
        return self.demanded

    async def requeue(self, run_id: UUID) -> bool:
        self.requeued.append(run_id)
        return True

    async def register(self, devices: Any, capabilities: Any, offer: Offer | None) -> bool:
        self.offers.append(offer)
        return False

    async def claim(self, run_id: UUID, devices: list[dict[str, Any]]) -> Claimed:
        return self.claimed

    async def book_node_hours(self, rows: Sequence[Any]) -> None:
        raise AssertionError("no node is metered here")

    async def record_baselines(self, measured: Sequence[Any]) -> None:
        raise AssertionError("no node is metered here")

    async def ingested(self, attempt_ids: Sequence[UUID]) -> dict[UUID, int]:
        return {}

    async def close_lost(self, attempt_id: UUID, message: str) -> None:
        self.closed.append((attempt_id, message))


def a_worker(folder: Path, store: FakeStore, **changes: Any) -> Worker:
    return Worker(
        replace(config(folder), **changes),
        cast(Store, store),
        [],
        cpu_slots=1,
        database_url=lambda: "",
        examine=dict,
    )


async def test_an_attempt_whose_journal_cannot_be_created_is_closed(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("a file, where the folder should be")
    store = FakeStore()
    worker = a_worker(tmp_path, store)
    await worker._execute(uuid4())
    [(attempt_id, message)] = store.closed
    assert attempt_id == store.claimed.attempt_id
    assert "could not create a journal" in message
    assert worker._pool.fitting() == [0]


async def test_a_program_is_not_claimed_where_commands_are_not_allowed(tmp_path: Path) -> None:
    store = FakeStore(demanded=Demand(0, runs_program=True))
    run_id = uuid4()
    await a_worker(tmp_path, store, allow_commands=False)._execute(run_id)
    assert (store.requeued, store.closed) == ([run_id], [])
    (tmp_path / "journal").write_text("a file: the claim is seen by its end")
    await a_worker(tmp_path, store, allow_commands=True)._execute(run_id)
    assert (store.requeued, len(store.closed)) == ([run_id], 1)


def test_a_worker_listens_for_programs_only_where_it_allows_them(tmp_path: Path) -> None:
    closed = a_worker(tmp_path, FakeStore(), pool="lab", allow_commands=False)
    assert closed._queues([0, 1]) == ["lab/0gpu", "lab/1gpu"]
    allowing = a_worker(tmp_path, FakeStore(), pool="lab", allow_commands=True)
    assert allowing._queues([0]) == ["lab/0gpu", "lab+commands/0gpu"]


async def test_a_worker_announces_the_jobs_it_accepts_until_it_stops(tmp_path: Path) -> None:
    store = FakeStore()
    worker = a_worker(tmp_path, store, pool="lab", allow_commands=True)
    await worker._register()
    await worker._withdraw()
    await worker._register()  # housekeeping may come after it
    assert store.offers == [Offer("lab", 0, 1, allows_commands=True), None, None]


async def test_the_database_is_asked_about_journals_that_nobody_else_can_write(
    tmp_path: Path,
) -> None:
    journal = Journal.create(tmp_path / "journal", uuid4())
    journal.append({"type": "start", "t_s": 0.0})
    journal.close()
    asked: list[Sequence[UUID]] = []

    class Asked(FakeStore):
        async def ingested(self, attempt_ids: Sequence[UUID]) -> dict[UUID, int]:
            asked.append(attempt_ids)
            assert find_orphans(tmp_path / "journal") == []  # locked
            raise ConnectionError("the database is away")

    worker = a_worker(tmp_path, Asked())
    with pytest.raises(ConnectionError):
        await worker._recover()
    assert asked == [[UUID(journal.attempt_id)]]
    [path] = find_orphans(tmp_path / "journal")  # released for the next round
    assert b"end" not in path.read_bytes()


async def test_a_worker_that_ends_tries_the_disk_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal.create(tmp_path / "journal", uuid4())
    with monkeypatch.context() as full:
        full.setattr(os, "write", _no_space)
        journal.append({"type": "end", "t_s": 0.0}, keep=True)
    assert journal.waiting_bytes > 0

    class NothingRuns(FakeStore):
        async def renew(self, attempt_ids: list[UUID]) -> dict[UUID, Any]:
            return {}

    worker = a_worker(tmp_path, NothingRuns(), stop_grace_s=0.01)

    class Stuck:
        async def run(self) -> None:
            await asyncio.sleep(600)

    shipping = worker._ship(journal, cast(Shipper, Stuck()))
    worker.stop()
    await asyncio.wait_for(worker.run(), 60)
    assert b"end" in journal.path.read_bytes()
    assert journal.waiting_bytes == 0
    shipping.cancel()
    await asyncio.wait([shipping])
    journal.close()


def _no_space(*_: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")
