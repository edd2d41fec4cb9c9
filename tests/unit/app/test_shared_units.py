"""One unit for the same quantity on a page and in a column, where it is legible."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from app.schemas.common import Quantity
from app.web.views import budgets, overview
from app.web.views.figures import LEGIBLE, is_legible, shared_units

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("columns", "count"),
    [
        (([1500.0], [3.0, 20.0], [0.2]), 1),
        (([4.0, None], [], [0.0, None]), 1),
        (([5e9], [2e-6]), 2),
        (([40.0], [41.0], [3e-5]), 2),
    ],
)
def test_columns_share_a_unit_unless_one_could_not_be_read(
    columns: tuple[list[float | None], ...], count: int
) -> None:
    units = shared_units(*columns, unit="kWh")
    filled = [
        unit for column, unit in zip(columns, units, strict=True) if any(value for value in column)
    ]
    assert len(set(filled)) == count
    for column, unit in zip(columns, units, strict=True):
        assert is_legible([value for value in column if value], unit)


def test_the_bounds_of_a_legible_figure_are_a_hundredth_and_six_digits() -> None:
    least, most = LEGIBLE
    assert is_legible([least], ("kWh", 1.0))
    assert not is_legible([least / 1.001], ("kWh", 1.0))
    assert not is_legible([most], ("kWh", 1.0))
    assert is_legible([], ("kWh", 1.0))


def quantity(value: float | None, unit: str) -> Quantity:
    source = None if value is None else "counter"
    reason = "unknown" if value is None else None
    return Quantity(value=value, low=None, high=None, unit=unit, source=source, reason=reason)


def run(energy_kwh: float | None) -> Any:
    return SimpleNamespace(
        run=SimpleNamespace(
            price_tag=SimpleNamespace(
                it_energy_kwh=energy_kwh,
                figures=SimpleNamespace(it_energy_kwh=quantity(energy_kwh, "kWh")),
            ),
            status_reason=None,
        ),
        cost=quantity(None, "EUR"),
    )


def test_each_column_of_the_overview_has_one_unit() -> None:
    failed = overview._failed_rows(cast(Any, [run(0.002), run(3.0), run(40.0), run(None)]))
    assert {row.energy.unit for row in failed if row.energy.value is not None} == {"kWh"}
    devices: Any = [
        SimpleNamespace(
            idle_w=quantity(watts, "W"),
            energy_per_day=quantity(watts * 0.024, "kWh"),
            cost_per_day=quantity(None, ""),
        )
        for watts in (0.9, 60.0, 1400.0)
    ]
    idle = overview._idle_rows(devices)
    assert len({row.power.unit for row in idle}) == 1
    assert len({row.energy.unit for row in idle}) == 1
    power: Any = [
        SimpleNamespace(
            run=SimpleNamespace(progress=None),
            power_w=quantity(watts, "W"),
            expected_end=SimpleNamespace(at=None, low=None, high=None, reason=None),
        )
        for watts in (70.0, 300.0, 5600.0)
    ]
    assert len({row.power.unit for row in overview._running_rows(power)}) == 1


def budget(number: int, unit: str, limit: float) -> Any:
    parts = {"limit": limit, "spent": limit / 2, "running": 0.0, "reserved": 0.0, "left": limit / 2}
    return SimpleNamespace(id=UUID(int=number), unit=unit, **parts)


def test_budgets_of_one_quantity_share_a_unit_and_others_keep_theirs() -> None:
    listed = [
        *(budget(1, "kWh", 20.0), budget(2, "kg", 5.0), budget(3, "kWh", 3000.0)),
        *(budget(4, "kWh", 2e-5), budget(5, "EUR", 900.0)),
    ]
    units = budgets.units_of(listed)
    assert units[0] == units[2]
    assert units[3] != units[0]
    assert units[4] == ("EUR", 1.0)
