from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import pytest

from app.db import Session
from app.repositories import power, readings
from models.packed.columns import Floats
from models.packed.steps import Segments
from tests.support.executions import claimed, make_run
from tests.support.packed import trace
from tests.support.power_sql import slow_series

GPU, ZONE = "gpu:1", "rapl:0"
COLUMNS = ("steps", "t_s", "duration_s", "energy_j", "min_w", "max_w")


async def traced(session: Session, seed: int, count: int) -> uuid.UUID:
    """An attempt with the readings of two components."""
    run = await make_run(session)
    attempt_id = (await claimed(session, run.id)).attempt_id
    for place, component in enumerate((GPU, ZONE)):
        rows = trace(seed + place, count, first_seq=1 + place)
        await readings.add_readings(
            session, attempt_id, [{"component": component, **row} for row in rows]
        )
    return attempt_id


def column(rows: list[Any], name: str) -> Floats:
    values = [getattr(row, name) for row in rows]
    return np.array([np.nan if value is None else float(value) for value in values])


async def check_exact(session: Session, attempt_id: uuid.UUID, points: int) -> None:
    """The series has the points of the slow one."""
    rows = await slow_series(session, attempt_id, points)
    series = await power.series(session, [attempt_id], points)
    assert {component for _, component in series} == {row.component for row in rows}
    for (_, component), segments in series.items():
        expected = [row for row in rows if row.component == component]
        for name in COLUMNS:
            got: Floats = getattr(segments, name)
            np.testing.assert_array_equal(got, column(expected, name), f"{component} {name}")
        mean_w = segments.energy_j / np.where(segments.covered_s > 0, segments.covered_s, np.nan)
        np.testing.assert_array_equal(mean_w, column(expected, "mean_w"))


def check_sums(series: Segments, exact: Segments) -> None:
    for name in ("steps", "duration_s", "energy_j", "covered_s"):
        assert np.nansum(getattr(series, name)) == np.nansum(getattr(exact, name)), name
    assert np.nanmin(series.min_w) == np.nanmin(exact.min_w)
    assert np.nanmax(series.max_w) == np.nanmax(exact.max_w)


@pytest.mark.parametrize("seed", range(0, 12, 2))
@pytest.mark.parametrize("points", [1, 7, 5000])
async def test_series_of_rows_equals_that_of_sql(session: Session, seed: int, points: int) -> None:
    await check_exact(session, await traced(session, seed, 400), points)
