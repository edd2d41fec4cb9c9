"""A node's own totals by the hour: sent any number of times, booked once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import select

from app.db import Database, Session
from app.services.energy.node_hours import NodeHour, book_node_hours
from models import EnergyHour

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
GPU_HOUR = NodeHour(
    component="gpu:GPU-1",
    name="NVIDIA H200",
    kind="gpu",
    method="counter",
    gain_std_ratio=0.05,
    hour=NOON,
    energy_j=1_000.0,
    covered_s=10.0,
    flags=("lost",),
    site="hall",
)


async def totals(session: Session) -> list[EnergyHour]:
    query = select(EnergyHour).where(EnergyHour.attempt_id.is_(None)).order_by(EnergyHour.component)
    return list((await session.execute(query)).scalars())


async def test_a_total_is_stored_once_however_often_it_is_sent(db: Database) -> None:
    async with db.session_scope() as session:
        for energy_j, covered_s in ((1_000.0, 10.0), (1_000.0, 10.0), (2_500.0, 25.0), (7.0, 1.0)):
            sent = replace(GPU_HOUR, energy_j=energy_j, covered_s=covered_s)
            await book_node_hours(session, "node", [sent])
        [row] = await totals(session)
        assert (row.energy_j, row.covered_s, row.site) == (2_500.0, 25.0, "hall")


async def test_flags_of_an_hour_accumulate(db: Database) -> None:
    async with db.session_scope() as session:
        await book_node_hours(session, "node", [GPU_HOUR])
        await book_node_hours(session, "node", [replace(GPU_HOUR, flags=("gap", "lost"))])
        await book_node_hours(session, "node", [replace(GPU_HOUR, flags=())])
        [row] = await totals(session)
        assert row.flags == ["gap", "lost"]


async def test_equal_devices_of_two_nodes_are_two(db: Database) -> None:
    async with db.session_scope() as session:
        await book_node_hours(session, "a", [GPU_HOUR, replace(GPU_HOUR, component="cpu")])
        await book_node_hours(session, "b", [GPU_HOUR])
        await book_node_hours(session, "b", [])
        rows = await totals(session)
        assert [(row.node_name, row.component) for row in rows] == [
            ("a", "cpu"),
            ("a", "gpu:GPU-1"),
            ("b", "gpu:GPU-1"),
        ]


async def test_an_hour_of_another_zone_is_the_same_hour(db: Database) -> None:
    local = NOON.astimezone(timezone(timedelta(hours=2)))
    async with db.session_scope() as session:
        await book_node_hours(session, "node", [GPU_HOUR])
        await book_node_hours(session, "node", [replace(GPU_HOUR, hour=local)])
        assert [row.hour for row in await totals(session)] == [NOON]


async def test_totals_have_the_gain_error_of_their_meter(db: Database) -> None:
    calibrated = replace(GPU_HOUR, gain_std_ratio=0.01)
    async with db.session_scope() as session:
        await book_node_hours(session, "node", [calibrated])
        assert [row.gain_std_ratio for row in await totals(session)] == [0.01]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hour": NOON + timedelta(minutes=1)}, "not a full UTC hour"),
        ({"hour": NOON.replace(tzinfo=None)}, "not a full UTC hour"),
        ({"energy_j": -1.0}, "energy_j must be 0 or more, not -1.0"),
        ({"energy_j": float("nan")}, "energy_j"),
        ({"gain_std_ratio": -0.05}, "gain_std_ratio"),
        ({"covered_s": float("inf")}, "covered_s"),
    ],
)
def test_invalid_figures_are_rejected(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(GPU_HOUR, **changes)


async def test_one_hour_twice_in_one_call_is_rejected(db: Database) -> None:
    async with db.session_scope() as session:
        with pytest.raises(ValueError, match="two rows for the same"):
            await book_node_hours(session, "node", [GPU_HOUR, GPU_HOUR])
