"""The chart of a budget is the same chart as long as nothing is used or posted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from app.charts.chart import Chart
from app.schemas.budgets import BudgetRead
from app.schemas.burn_down import BurnDownRead
from app.web.views import burn_down

START = datetime(2026, 3, 1, tzinfo=UTC)
NOW = datetime(2026, 3, 15, 13, 1, 2, 345, tzinfo=UTC)
AMOUNTS: dict[str, Any] = {"limit": 10.0, "spent": 2.0, "running": 0.0, "reserved": 3.0}
EXPECTED = {"value": 5.0, "low": 4.0, "high": 6.0, "open_runs": 1, "unknown_runs": 0}


def budget() -> BudgetRead:
    of_whom: dict[str, Any] = dict.fromkeys(
        ("project", "experiment", "user", "user_id", "closed_at")
    )
    return BudgetRead.model_construct(
        id=UUID(int=1),
        name="b",
        scope="lab",
        metric="facility_energy_kwh",
        unit="kWh",
        left=5.0,
        used_ratio=0.2,
        period="month",
        thresholds=[],
        alerts=[],
        refuses=True,
        stops=True,
        by_source={"counter": 2.0},
        unknown_runs=0,
        **AMOUNTS,
        **of_whom,
    )


def chart(now: datetime, *, spent: float = 2.0, is_open: bool = True) -> Chart:
    days = [START + timedelta(days=day) for day in range((now - START).days + 1)]
    amounts = [*(spent * number / len(days) for number in range(len(days))), spent]
    fan = [now + timedelta(hours=hours) for hours in (0, 1, 5)] if is_open else []
    read = BurnDownRead.model_validate(
        {
            "budget_id": UUID(int=1),
            "name": "b",
            "unit": "kWh",
            "at": now,
            "period_start": START,
            "period_end": START + timedelta(days=31),
            **AMOUNTS,
            "spent": spent,
            "left": 5.0,
            "points": [
                {"at": at, "spent": amount, "left": 10 - amount}
                for at, amount in zip([*days, now], amounts, strict=True)
            ],
            "projection": [{"at": at, "value": 3.0, "low": 2.0, "high": 4.0} for at in fan],
            "expected": EXPECTED,
            "crossing": {"at": None, "low": None, "high": None, "reason": "never"},
            "open_runs": [],
            "hidden_runs": 0,
            "by": "project",
            "parts": [],
            "by_source": {"counter": spent},
            "unknown_runs": 0,
        }
    )
    return burn_down.burn_down(budget(), read).chart


@pytest.mark.parametrize("is_open", [False, True])
def test_a_later_visit_has_the_same_chart_while_nothing_happens(is_open: bool) -> None:
    first = chart(NOW, is_open=is_open)
    for minutes in (0.01, 1, 20, 28):
        later = chart(NOW + timedelta(minutes=minutes), is_open=is_open)
        assert later.sha256 == first.sha256


def test_another_use_or_a_visible_time_later_is_another_chart() -> None:
    assert chart(NOW, spent=2.1).sha256 != chart(NOW).sha256
    assert chart(NOW, is_open=False).sha256 != chart(NOW).sha256
    assert chart(NOW + timedelta(hours=2)).sha256 != chart(NOW).sha256


def test_the_drawn_time_is_less_than_a_pixel_early_and_after_all_past_points() -> None:
    rows = chart(NOW).rows
    times = [str(row["at"]) for row in rows if row["kind"] == "spent"]
    assert times == sorted(times)
    drawn = datetime.fromisoformat(times[-1])
    drawn = drawn if drawn.tzinfo else drawn.replace(tzinfo=UTC)
    assert timedelta(0) <= NOW - drawn < (NOW - START) / 400


def test_a_budget_that_has_just_begun_is_drawn_at_its_time() -> None:
    just = START + timedelta(seconds=30)
    rows = chart(just, is_open=False).rows
    assert len(rows) == 2
    assert rows[-1]["at"] != rows[0]["at"]
