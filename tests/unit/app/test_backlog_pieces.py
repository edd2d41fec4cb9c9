"""Pieces of a backlog are as large as the machine does in about a second."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from app.db import Database
from app.repositories.energy import folding
from app.repositories.energy.folding import Waiting
from app.services.energy import backlog as backlogs
from app.services.energy.backlog import LARGEST, SMALLEST, Backlog
from app.services.energy.rollups import BATCH


class Machine:
    """A database that folds ``rate`` hours a second, on its own clock."""

    def __init__(self, left: int, rate: float, timeout_s: float = 60.0) -> None:
        self.left, self.rate, self.timeout_s, self.now_s = left, rate, timeout_s, 0.0
        self.limits: list[int] = []

    def clock(self) -> float:
        return self.now_s

    @asynccontextmanager
    async def session_scope(self) -> AsyncIterator[None]:
        yield None

    async def fold_pending(self, session: object, *, limit: int) -> int:
        self.limits.append(limit)
        folded = min(limit, self.left)
        took_s = folded / self.rate
        self.now_s += min(took_s, self.timeout_s)
        if took_s > self.timeout_s:
            raise TimeoutError
        self.left -= folded
        return folded

    async def waiting(self, session: object) -> Waiting:
        return Waiting(self.left, None)


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Any:
    def backlog_on(machine: Machine) -> Backlog:
        monkeypatch.setattr(backlogs, "fold_pending", machine.fold_pending)
        monkeypatch.setattr(folding, "waiting", machine.waiting)
        return Backlog(cast(Database, machine), lambda progress: None, machine.clock)

    return backlog_on


async def test_a_fast_machine_folds_large_pieces(on: Any) -> None:
    machine = Machine(left=200_000, rate=50_000.0)
    assert await on(machine).fold()
    assert machine.left == 0
    assert machine.limits[0] == BATCH
    assert max(machine.limits) == LARGEST


async def test_a_slow_machine_folds_small_ones(on: Any) -> None:
    machine = Machine(left=3_000, rate=80.0)
    assert await on(machine).fold()
    assert machine.left == 0
    assert min(machine.limits) > SMALLEST
    assert machine.limits[-1] / machine.rate <= backlogs.LENGTHY_S


async def test_after_a_statement_that_took_too_long_the_next_has_less_to_do(on: Any) -> None:
    machine = Machine(left=1_000, rate=5.0)
    backlog = on(machine)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await backlog.fold()
    assert await backlog.fold()
    assert machine.left == 0
    assert machine.limits[:3] == [BATCH, BATCH // 2, BATCH // 4]


async def test_a_few_hours_leave_the_size_as_it_is(on: Any) -> None:
    machine = Machine(left=5, rate=50_000.0)
    backlog = on(machine)
    for _ in range(4):
        machine.left = 5
        assert await backlog.fold()
    assert set(machine.limits) == {BATCH}
