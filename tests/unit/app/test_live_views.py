"""Views of the live pages: the order of the wall, figures of the month, hours of a node."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.schemas.common import Quantity
from app.schemas.energy import EnergyAccount
from app.schemas.overview import DevicePower, PeriodUse, PowerRead, RunsUse
from app.schemas.stream import DeviceState
from app.web.views import nodes, overview, power
from app.web.views.figures import NO_INTERVAL

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


def quantity(value: float | None, unit: str = "kWh", **changes: Any) -> Quantity:
    is_known = value is not None
    values = {"low": None, "high": None, "source": "counter" if is_known else None}
    return Quantity.model_validate(
        {
            "value": value,
            "unit": unit,
            "reason": None if is_known else "no meter",
            **values,
            **changes,
        }
    )


def device(number: int, watts: int | None, share: float = 0.0, node: str = "n1") -> DevicePower:
    state = DeviceState(
        id=number,
        node=node,
        component=f"gpu:{number}",
        kind="gpu",
        name=f"GPU {number}",
        limit_w=700,
        reporting=watts is not None,
    )
    return DevicePower(
        device=state, power_w=quantity(watts, "W"), share_ratio=share, runs=[], hidden_runs=0
    )


POWER = PowerRead(
    at=BEGIN,
    power_w=quantity(700.0, "W"),
    devices=[device(1, 300, 1.0), device(2, None), device(3, 90, node="n2"), device(4, 310, 0.5)],
)


def shown(**options: str) -> list[list[str]]:
    asked = {"order": "node", "use": "", "text": ""} | options
    wall = power.wall(POWER, **asked)
    return [[tile.component.removeprefix("gpu:") for tile in group.tiles] for group in wall.groups]


def test_the_wall_is_in_the_order_that_was_asked_for() -> None:
    assert shown() == [["1", "2", "4"], ["3"]]
    assert shown(order="watts") == [["4", "1", "3", "2"]]
    assert shown(order="idle") == [["3", "4", "1", "2"]]


def test_the_wall_shows_what_the_filters_select() -> None:
    assert shown(use="used") == [["1", "4"]]
    assert shown(use="idle") == [["3"]]
    assert shown(use="silent") == [["2"]]
    assert shown(text="N2") == [["3"]]
    assert shown(text="nothing") == []


def test_a_silent_device_has_no_figure_and_a_shared_one_says_its_share() -> None:
    tiles = {
        tile.component: tile
        for group in power.wall(POWER, order="node", use="", text="").groups
        for tile in group.tiles
    }
    assert (tiles["gpu:2"].power.text, tiles["gpu:2"].power.reason) == ("n/a", "no meter")
    assert tiles["gpu:4"].share == "50.0% charged"
    assert tiles["gpu:3"].share == "unallocated"


def period(name: Any, cost: float | None, expected: Quantity | None) -> PeriodUse:
    runs = [
        RunsUse(metric="facility_energy_kwh", used=quantity(2.0), expected=None, unknown_runs=0),
        RunsUse(metric="co2e_kg", used=quantity(1.0, "kg"), expected=None, unknown_runs=0),
        RunsUse(metric="cost", used=quantity(cost, "EUR"), expected=expected, unknown_runs=0),
    ]
    return PeriodUse(period=name, start=BEGIN, end=BEGIN, energy=None, runs=runs)


def test_what_the_month_cost_comes_first_and_its_energy_if_no_cost_is_known() -> None:
    expected = quantity(20.0, "EUR", low=15.0, high=30.0)
    rows = overview.use_rows([period("today", 1.0, None), period("month", 12.0, expected)])
    headline = overview.headline(rows)
    assert (headline.label, headline.month.text, headline.month.unit) == (
        "Cost of runs in EUR",
        "12.00",
        "EUR",
    )
    assert headline.note == f"Sum of price tags, {NO_INTERVAL}"
    assert headline.expected is not None
    assert (headline.expected.text, headline.expected.interval) == ("20.00", "15.00 to 30.00")
    unknown = overview.use_rows([period("today", None, None), period("month", None, None)])
    assert overview.headline(unknown).label == "Facility energy of runs"
    assert [row.note for row in unknown if row.month.value is None] == ["", "", ""]
    assert (unknown[0].month.text, unknown[0].month.reason) == ("n/a", overview.UNMETERED)


def figures(total: float | None, charged: float) -> dict[str, Any]:
    rest = None if total is None else total - charged
    values = {"total": total, "charged": charged, "running": 0.0, "unallocated": rest}
    wire = {f"{name}_kwh": quantity(value).model_dump() for name, value in values.items()}
    return {**wire, "undecided_kwh": quantity(0.0).model_dump(), "overallocated_kwh": 0.0} | {
        "flags": []
    }


@pytest.fixture
def account() -> EnergyAccount:
    """25 hours, of which the first is half used, the second idle, the third unknown."""
    hours = [(1.0, 0.5), (1.0, 0.0), (None, 0.0)]
    items = [
        figures(total, charged) | {"hour": BEGIN + timedelta(hours=n)}
        for n, (total, charged) in enumerate(hours)
    ]
    return EnergyAccount.model_validate(
        {
            "from": BEGIN,
            "to": BEGIN + timedelta(hours=25),
            "by": "hour",
            "node": "n1",
            "total": figures(2.0, 0.5),
            "items": items,
        }
    )


def test_the_strip_distinguishes_used_idle_and_unmetered_hours(account: EnergyAccount) -> None:
    strip = nodes.strip(account, ("kWh", 1.0))
    assert [hour.state for hour in strip.hours] == ["used", "idle"] + ["unmetered"] * 23
    assert strip.hours[0].used == nodes.HEIGHT / 2
    assert strip.coverage == "8.0%"
    first, second = strip.days
    assert (first.total.value, first.charged.value, first.unmetered) == (2.0, 0.5, 22)
    assert (second.total.text, second.unmetered) == ("n/a", 1)


def test_the_csv_is_unrounded_and_leaves_unknown_cells_empty(account: EnergyAccount) -> None:
    lines = nodes.as_csv(account).splitlines()
    assert lines[0].startswith("hour,total_kwh")
    assert lines[1] == "2026-03-01T00:00:00+00:00,1.0,,,0.5,0.5,counter,"
    assert lines[3] == "2026-03-01T02:00:00+00:00,,,,0.0,,,no meter"
