from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from sqlalchemy import update

from app.db import Database, Session
from app.repositories.readings import power
from models import Attempt
from models.packed.columns import Floats
from models.packed.steps import Segments
from tests.support.packed import pack_all, row_count, traced
from tests.support.power_sql import slow_series

COLUMNS = ("steps", "t_s", "duration_s", "energy_j", "min_w", "max_w")


def column(rows: list[Any], name: str) -> Floats:
    values = [getattr(row, name) for row in rows]
    return np.array([np.nan if value is None else float(value) for value in values])


async def check_exact(session: Session, attempt_id: uuid.UUID, points: int) -> None:
    """The series has the points of the slow one."""
    rows = await slow_series(session, attempt_id, points)
    check_equal(rows, await power.series(session, [attempt_id], points))


def check_equal(rows: list[Any], series: dict[power.Key, Segments]) -> None:
    assert {component for _, component in series} == {row.component for row in rows}
    for (_, component), segments in series.items():
        expected = [row for row in rows if row.component == component]
        for name in COLUMNS:
            values: Floats = getattr(segments, name)
            np.testing.assert_array_equal(values, column(expected, name), f"{component} {name}")
        mean_w = segments.energy_j / np.where(segments.covered_s > 0, segments.covered_s, np.nan)
        np.testing.assert_array_equal(mean_w, column(expected, "mean_w"))


@pytest.mark.parametrize("seed", range(0, 12, 2))
@pytest.mark.parametrize("points", [1, 7, 5000])
async def test_series_of_rows_equals_that_of_sql(session: Session, seed: int, points: int) -> None:
    await check_exact(session, await traced(session, seed, 400), points)


async def end(session: Session, attempt_id: uuid.UUID) -> None:
    ended = update(Attempt).where(Attempt.id == attempt_id).values(ended_at=datetime.now(UTC))
    await session.execute(ended)


@pytest.mark.parametrize("is_ended", [True, False])
@pytest.mark.parametrize("seed", [0, 2])
async def test_series_of_packed_readings_equals_that_of_sql(
    db: Database, seed: int, is_ended: bool
) -> None:
    """Up to the steps of two blocks the points are those of the readings themselves."""
    async with db.session_scope() as session:
        attempt_id = await traced(session, seed, 7000)
        expected = {
            points: await slow_series(session, attempt_id, points) for points in (300, 5000)
        }
        if is_ended:
            await end(session, attempt_id)
    assert await pack_all(db) > 0
    async with db.session_scope() as session:
        assert (await row_count(session) == 0) is is_ended
        for points, rows in expected.items():
            check_equal(rows, await power.series(session, [attempt_id], points))


@pytest.mark.parametrize("is_ended", [True, False])
async def test_levels_add_up_to_the_same(db: Database, is_ended: bool) -> None:
    async with db.session_scope() as session:
        attempt_id = await traced(session, 4, 14_000)
        exact = await slow_series(session, attempt_id, 1)
        if is_ended:
            await end(session, attempt_id)
    await pack_all(db)
    async with db.session_scope() as session:
        for points in (1, 3, 20, 100, 1000, 2000, 5000):
            series = await power.series(session, [attempt_id], points)
            assert len(series) == 2
            for (_, component), segments in series.items():
                (row,) = [row for row in exact if row.component == component]
                assert points / 3 <= len(segments) <= points
                assert list(segments.t_s) == sorted(segments.t_s)
                assert segments.t_s[0] == row.t_s
                assert segments.steps.sum() == row.steps
                assert segments.duration_s.sum() == row.duration_s
                assert np.nansum(segments.energy_j) == row.energy_j
                assert np.nanmin(segments.min_w) == row.min_w
                assert np.nanmax(segments.max_w) == row.max_w


@pytest.mark.parametrize(
    ("steps", "points", "factor"),
    [
        (8192, 100, 1),
        (8193, 5000, 1),
        (8200, 2000, 8),
        (86_400, 2000, 64),
        (86_400, 200, 512),
        (864_000, 2000, 512),
        (8_640_000, 2000, 4096),
        (86_400, 1, 4096),
    ],
)
def test_the_coarsest_level_with_enough_segments_is_chosen(
    steps: int, points: int, factor: int
) -> None:
    assert power.factor_for(steps, points) == factor
