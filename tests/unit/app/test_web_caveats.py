"""What a figure is without: stated beside known figures, and never taken as 0."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.schemas.budgets import BudgetRead
from app.schemas.common import Quantity
from app.schemas.energy import EnergyItem
from app.schemas.factor_preview import Effect
from app.services.billing.live_use import LiveUse
from app.services.overview import work
from app.services.repricing import factor_preview
from app.web.rendering import environment
from app.web.views import budgets, energy, nodes, overview
from app.web.views.admin import factors
from app.web.views.compare import compare_view
from app.web.views.figures import FigureView, figure, money
from app.web.views.run_charts import power_chart
from pricetag.tag.figure import Figure

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
CAVEAT = "at least: the use of 2 runs is unknown"


def quantity(value: float | None, unit: str = "kWh", source: str = "counter") -> Quantity:
    return Quantity.model_validate(
        {
            "value": value,
            "low": value,
            "high": value,
            "unit": unit,
            "source": None if value is None else source,
            "reason": "no meter" if value is None else None,
        }
    )


@pytest.mark.parametrize("shown", [figure, money])
def test_a_known_figure_shows_what_it_is_without(shown: Any) -> None:
    view: FigureView = shown(Figure(2.0, None, None, "EUR", "counter", CAVEAT))
    assert view.reason == CAVEAT
    macros: Any = environment().get_template("macros.html").make_module({"asset": str})
    written = macros.figure(view)
    assert f'<span class="hint caveat">{CAVEAT}</span>' in written
    assert "2.00" in written
    assert "caveat" not in macros.figure(shown(Figure(2.0, None, None, "EUR", "counter")))


def test_times_and_operations_are_not_said_to_come_from_an_energy_counter() -> None:
    macros: Any = environment().get_template("macros.html").make_module({"asset": str})
    time, counted, energy = (
        macros.figure(figure(Figure(2.0, None, None, unit, "counter")))
        for unit in ("s", "FLOP", "kWh")
    )
    assert ">clock</span>" in time
    assert ">operators counted</span>" in counted
    assert "source-counter" in counted
    assert ">counter</span>" in energy


def test_sums_of_hours_say_how_many_are_unknown() -> None:
    items = [SimpleNamespace(charged_kwh=quantity(value)) for value in (1.0, None, 2.0)]
    view = nodes._sum(cast("list[EnergyItem]", items), "charged", ("kWh", 1.0))
    assert (view.value, view.reason) == (3.0, "at least: it is unknown in 1 hour")


def budget(unknown: int) -> BudgetRead:
    fields: dict[str, Any] = {
        "unknown_runs": unknown,
        "unit": "EUR",
        "metric": "cost",
        "by_source": {},
    }
    amounts: dict[str, Any] = {
        "spent": 1.0,
        "running": 1.0,
        "reserved": 0.0,
        "left": 1.0,
        "limit": 3.0,
    }
    more: dict[str, Any] = {
        "used_ratio": 2 / 3,
        "scope": "lab",
        "period": "month",
        "alerts": [],
        "thresholds": [],
    }
    switches: dict[str, Any] = {"refuses": False, "stops": False}
    return BudgetRead.model_construct(**(fields | amounts | more | switches))


def test_budgets_say_how_many_runs_they_are_without() -> None:
    assert budgets.budget(budget(2)).amounts["spent"].reason == CAVEAT
    assert budgets.budget(budget(0)).amounts["spent"].reason is None
    crossing = SimpleNamespace(at=None, low=None, high=None, reason=None)
    expected = SimpleNamespace(unknown_runs=2)
    outlook: Any = SimpleNamespace(budget=budget(2), crossing=crossing, expected=expected)
    row = overview._budget(outlook, ("kWh", 1.0))
    assert row.used.reason == CAVEAT
    assert row.is_unknown


def ended(currency: str | None, cost: float, attempts: int, unknown: int) -> Any:
    return SimpleNamespace(
        currency=currency,
        cost=cost,
        attempts=attempts,
        unknown_cost=unknown,
        cost_sources=["counter"] if currency else [None],
    )


def test_unknown_costs_are_missing_in_every_currency_and_alone_not_zero() -> None:
    rows = [ended("USD", 2.0, 1, 0), ended(None, 0.0, 3, 3), ended("EUR", 1.0, 2, 0)]
    euros, dollars = work._costs(rows, [], "CHF")
    assert (euros.unit, euros.value, euros.unknown_attempts) == ("EUR", 1.0, 3)
    assert (dollars.unit, dollars.value, dollars.unknown_attempts) == ("USD", 2.0, 3)
    assert euros.reason == "at least: the value of 3 ended attempts is unknown"
    (alone,) = work._costs([ended(None, 0.0, 1, 1)], [], "CHF")
    assert (alone.unit, alone.value, alone.source) == ("CHF", None, None)
    assert alone.reason == "the value of 1 ended attempt is unknown"
    assert work._costs([], [], "CHF") == []


def test_running_attempts_are_in_the_sums_with_their_own_currency_and_unknowns() -> None:
    running = [LiveUse(cost=Decimal("0.5"), currency="EUR"), LiveUse()]
    euros, dollars = work._costs([ended("USD", 2.0, 1, 0)], running, "CHF")
    assert (euros.value, euros.running, euros.source) == (0.5, 0.5, "estimated")
    assert (dollars.value, dollars.running, dollars.unknown_attempts) == (2.0, None, 1)
    assert euros.reason == "at least: the value of 1 running attempt is unknown"
    (alone,) = work._costs([], [LiveUse()], "CHF")
    assert (alone.unit, alone.value, alone.running) == ("CHF", None, None)
    assert alone.reason == "the value of 1 running attempt is unknown"
    (both,) = work._costs([ended(None, 0.0, 2, 2)], [LiveUse()], "CHF")
    assert both.reason == ("the value of 2 ended attempts and 1 running attempt is unknown")


def test_failed_work_of_unknown_attempts_is_at_least_this_and_has_no_share() -> None:
    failed: dict[str, Any] = {"it_energy_kwh": 1.0, "source": "assumed"}
    failed |= {"unknown_attempts": 2, "share_ratio": None}
    assert energy.lost(failed).reason == "at least: the energy of 2 ended attempts is unknown"
    assert energy.lost(failed).source == "assumed"
    assert energy.lost_share(failed) == "n/a"
    assert energy.lost(failed | {"unknown_attempts": 0}).reason is None


def account(stop: datetime, flags: list[str]) -> dict[str, Any]:
    total: dict[str, Any] = {name: quantity(1.0).model_dump() for name in energy.TOTALS}
    total |= {"flags": flags, "overallocated_kwh": 0.0}
    return {
        "to": stop.isoformat(),
        "by": "node",
        "total": total,
        "items": [total | {"node": "n"}],
        "before": {"from": NOW.isoformat(), "to": NOW.isoformat()},
        "change": None,
        "failed": {"it_energy_kwh": 0.0, "source": "counter", "items": []}
        | {"unknown_attempts": 0, "share_ratio": None},
    }


def test_energy_of_this_hour_and_of_running_runs_is_provisional() -> None:
    def provisional(stop: datetime, flags: list[str]) -> set[str]:
        view = energy.account(account(stop, flags), NOW)
        tiles = {tile.title for tile in view.tiles if tile.figure.is_provisional}
        (item,) = view.items
        shown = {energy.TOTALS[name] for name, one in item.figures.items() if one.is_provisional}
        assert tiles == shown
        return tiles

    always = {"Running runs", "Undecided"}
    earlier, reaches = NOW - timedelta(minutes=30), NOW + timedelta(minutes=30)
    assert provisional(earlier, []) == always
    assert provisional(earlier, ["runs_open"]) == always | {"Charged to runs", "Unallocated"}
    assert provisional(reaches, []) == set(energy.TOTALS.values())


@pytest.mark.parametrize(
    ("before", "after", "ratio", "change"),
    [
        (quantity(10.0, "USD"), quantity(9.0, "EUR"), None, "another currency"),
        (quantity(10.0, "USD"), quantity(10.0, "EUR"), None, "another currency"),
        (quantity(0.0, "EUR"), quantity(9.0, "EUR"), None, "from zero"),
        (quantity(9.0, "EUR"), quantity(None, "EUR"), None, "becomes unknown"),
        (quantity(None, ""), quantity(9.0, "EUR"), None, "becomes known"),
        (quantity(None, ""), quantity(None, "EUR"), None, "no change"),
        (quantity(10.0, "EUR"), quantity(9.0, "EUR"), -0.1, "-10.00%"),
    ],
)
def test_a_change_between_currencies_or_from_zero_has_no_percentage(
    before: Quantity, after: Quantity, ratio: float | None, change: str
) -> None:
    effect: Effect = factor_preview._effect(before, after)
    assert effect.change_ratio == pytest.approx(ratio)
    assert factors._both(effect, None).change == change


def side(mean: float | None, unit: str | None) -> dict[str, Any]:
    if mean is None or unit is None:
        figure = Figure.unknown("the runs of the group have different units", "1")
    else:
        figure = Figure(mean, mean, mean, unit, "integrated")
    return {
        "mean": mean,
        "unit": unit,
        "mean_figure": figure.as_dict(),
        "count": 1,
        "std": None,
        "runs": [{"run_id": "r", "name": "run", "version": 1}],
    }


def test_groups_in_other_currencies_have_their_own_unit_in_every_cell() -> None:
    ratio = Figure.unknown("different units: EUR, USD", "1").as_dict()
    rest = {"ratio": ratio, "quality": [], "differences": [], "reasons": [], "notes": []}

    def compared(own: Any, other: Any, third: Any) -> dict[str, Any]:
        more = rest | {"verdict": "v", "b": own}
        return {"b": more | {"a": other}, "c": more | {"a": third}}

    kwh = [side(value, "kWh") for value in (0.001, 0.002, 0.003)]
    prices = [side(1.0, "EUR"), side(1.2, "USD"), side(None, None)]
    names = ("it_energy_kwh", "facility_energy_kwh", "co2e_kg", "cost", "duration_s")
    all_of: Any = {n: compared(*(prices if n == "cost" else kwh)) for n in names}
    view = compare_view(
        all_of, [], reference="a", projects=frozenset({"text"}), only_differing=False
    )
    rows = {row.label: row for row in view.rows}
    means = [cell.mean for cell in rows["Cost"].cells]
    assert [(mean.text, mean.unit) for mean in means] == [
        ("1.00", "EUR"),
        ("1.20", "USD"),
        ("n/a", ""),
    ]
    assert means[2].reason == "the runs of the group have different units"
    assert rows["Cost"].unit == ""
    assert rows["IT energy"].unit == "Wh"


def test_the_highest_power_is_that_of_any_attempt() -> None:
    def attempt(number: int, watts: float) -> Any:
        series = SimpleNamespace(
            component="gpu:GPU-abc",
            kind="gpu",
            method="counter",
            t_s=[0.0],
            duration_s=[1.0],
            mean_w=[watts],
            max_w=[watts],
        )
        started = NOW + timedelta(minutes=number)
        return SimpleNamespace(attempt=number, started_at=started, series=[series])

    measured: Any = SimpleNamespace(attempts=[attempt(1, 100.0), attempt(2, 640.0)])
    run: Any = SimpleNamespace(attempts=[], project="text", name="run")
    chart = power_chart(measured, run)
    assert chart is not None
    assert "reached 640 W" in chart.summary
