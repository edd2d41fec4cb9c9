"""A worker that cannot even begin a run says so at once, and does not keep it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

from tests.unit.workers.test_launch import Claimed, config
from workers.store import Store
from workers.worker import Worker


@dataclass
class FakeStore:
    """Hands out one run and notes which attempts are closed."""

    claimed: Claimed = field(default_factory=Claimed)
    closed: list[tuple[UUID, str]] = field(default_factory=list)

    async def demand(self, run_id: UUID) -> int:
        return 0

    async def claim(self, run_id: UUID, devices: list[dict[str, Any]]) -> Claimed:
        return self.claimed

    async def book_node_hours(self, rows: Sequence[Any]) -> None:
        raise AssertionError("no node is metered here")

    async def record_baselines(self, measured: Sequence[Any]) -> None:
        raise AssertionError("no node is metered here")

    async def close_lost(self, attempt_id: UUID, message: str) -> None:
        self.closed.append((attempt_id, message))


async def test_an_attempt_without_a_journal_is_given_back(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("a file, where the folder should be")
    store = FakeStore()
    worker = Worker(
        config(tmp_path),
        cast(Store, store),
        [],
        cpu_slots=1,
        database_url=lambda: "",
        examine=dict,
    )
    await worker._execute(uuid4())
    [(attempt_id, message)] = store.closed
    assert attempt_id == store.claimed.attempt_id
    assert "could not create a journal" in message
    assert worker._pool.fitting() == [0]
