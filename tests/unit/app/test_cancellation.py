"""A task that is asked to end does end, whatever it is waiting for."""

from __future__ import annotations

import ast
import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from app.cancellation import end_tasks, heed_cancellation
from pricetag.metering.journal import Journal
from tests.unit.workers.test_worker import FakeStore, a_worker
from workers.attempt.shipper import Shipper
from workers.node.leases import LeaseKeeper

ROOT = Path(__file__).resolve().parents[3]
STEPS = range(7)
Begin = Callable[[asyncio.Event, Path], Awaitable[Any]]
"""What runs until it is canceled, and waits for the event in between."""


async def lease_keeper(answered: asyncio.Event, folder: Path) -> None:
    async def renew(attempts: list[UUID]) -> Mapping[UUID, Any]:
        await answered.wait()
        return {}

    await LeaseKeeper({}, renew, lease_s=900, grace_s=30).run()


async def shipper(answered: asyncio.Event, folder: Path) -> None:
    journal = Journal.create(folder, "00000000-0000-0000-0000-000000000001")
    journal.append({"type": "log"})

    async def ingest(attempt_id: UUID, records: list[dict[str, Any]]) -> int:
        await answered.wait()
        return 1

    try:
        await Shipper(journal, UUID(int=1), ingest).run()
    finally:
        journal.close()


async def idle_shipper(answered: asyncio.Event, folder: Path) -> None:
    """Waits for the next interval, and is woken."""
    journal = Journal.create(folder, "00000000-0000-0000-0000-000000000001")
    idle = Shipper(journal, UUID(int=1), lambda *_: asyncio.sleep(0, 0))

    async def wake() -> None:
        await answered.wait()
        idle._wake.set()

    helper = asyncio.create_task(wake())
    try:
        await idle.run()
    finally:
        helper.cancel()
        journal.close()


async def careless(answered: asyncio.Event, folder: Path) -> None:
    """As a library may do it: the cancellation is lost in ``wait_for``."""
    while True:
        await asyncio.wait_for(answered.wait(), 10)
        heed_cancellation()
        await asyncio.sleep(1)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("begin", [lease_keeper, shipper, idle_shipper, careless])
async def test_a_cancellation_in_the_same_step_as_a_result_takes_effect(
    begin: Begin, steps: int, tmp_path: Path
) -> None:
    answered = asyncio.Event()
    task = asyncio.ensure_future(begin(answered, tmp_path))
    await asyncio.sleep(0.05)
    answered.set()
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    ended, _ = await asyncio.wait([task], timeout=60)
    assert ended, "the cancellation was lost"


@pytest.mark.parametrize("steps", STEPS)
async def test_a_pause_of_the_worker_ends_when_it_is_canceled(steps: int, tmp_path: Path) -> None:
    worker = a_worker(tmp_path, FakeStore())

    async def pause() -> None:
        await worker._pause(60)
        await asyncio.sleep(60)  # what comes next: a cancellation that was lost ends up here

    task = asyncio.create_task(pause())
    await asyncio.sleep(0.05)
    worker.stop()
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task], timeout=60)
    assert task.done()


async def test_a_task_that_loses_a_cancellation_is_canceled_again() -> None:
    losses = 0

    async def deaf() -> None:
        nonlocal losses
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                losses += 1
                if losses == 3:
                    raise

    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    await end_tasks([task], again_s=0.05)
    assert task.cancelled()
    assert losses == 3


async def test_a_task_that_never_ends_is_abandoned(caplog: pytest.LogCaptureFixture) -> None:
    is_over = False

    async def never() -> None:
        while not is_over:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)

    task = asyncio.create_task(never(), name="never")
    await asyncio.sleep(0)
    await end_tasks([task], again_s=0.02, patience_s=0.1)
    assert "never" in caplog.text
    is_over = True
    await task


def test_no_module_waits_in_a_way_that_loses_cancellations() -> None:
    """``asyncio.wait_for`` does until Python 3.12."""
    users = []
    for room in ("app", "workers", "pricetag"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if (
                    isinstance(node, ast.Attribute)
                    and node.attr == "wait_for"
                    and isinstance(node.value, ast.Name)
                    and node.value.id == "asyncio"
                ):
                    users.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert users == []
