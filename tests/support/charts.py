"""One chart of each kind, with names that are hard to show."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from app.charts import (
    break_even,
    burn_down,
    carbon,
    curves,
    energy,
    frontier,
    power,
    ratios,
    waterfall,
)
from app.charts.chart import Chart

NAME = '<script>alert("1")</script> & نموذج 🚀 ' + "long " * 40
PROJECTS = frozenset({"a project"})
SOURCES = "Runs: x v1."


def marks() -> list[frontier.Mark]:
    """Runs: two on the frontier, one that is beaten, one that failed."""
    return [
        frontier.Mark("cheap", "a", 0.5, 0.4, 0.6, 0.8, "succeeded", True),
        frontier.Mark(NAME, "b", 2.0, 1.8, 2.3, 0.9, "succeeded", True),
        frontier.Mark("beaten", "b", 3.0, None, None, 0.85, "succeeded", False),
        frontier.Mark("failed", "a", 1.0, 0.9, 1.1, None, "failed", False),
    ]


def a_frontier() -> Chart:
    axes = frontier.Axes("IT energy", "kWh", "accuracy", log_cost=True, grouped_by="Method")
    return frontier.frontier(
        marks(), axes, title="Frontier", summary="Two.", projects=PROJECTS, sources=SOURCES
    )


def a_waterfall() -> Chart:
    step = waterfall.Step
    return waterfall.waterfall(
        [
            step("GPU", 1.2, 1.1, 1.3, "counter", "1.20 kWh"),
            step("CPU", 0.3, 0.2, 0.4, "modelled", "300 Wh"),
            step("IT energy", 1.5, 1.35, 1.65, "modelled", "1.50 kWh", is_total=True),
            step(NAME, 0.5, 0.3, 0.7, "assumed", "500 Wh"),
            step("GPU", 2.0, None, None, None, "2.00 kWh", is_total=True),
        ],
        measure="Energy",
        unit="kWh",
        title="Bill",
        summary="GPU is most of it.",
        projects=PROJECTS,
        sources=SOURCES,
    )


def some_curves() -> Chart:
    def curve(name: str, cost: float, least: float) -> curves.Curve:
        knots = [
            curves.Knot(k, k * cost, least + 0.01 * k, least, least + 0.02 * k) for k in range(1, 9)
        ]
        return curves.Curve(name, knots)

    return curves.curves(
        [curve("a", 0.3, 0.8), curve(NAME, 0.5, 0.79)],
        [curves.Crossing("a and b", 1.9)],
        measure="IT energy",
        unit="kWh",
        score="accuracy",
        budget=3.0,
        log=False,
        title="Expected validation",
        summary="a is better.",
        projects=PROJECTS,
    )


def a_break_even() -> Chart:
    line = break_even.Line
    return break_even.break_even(
        [
            line("as submitted", 0.0, 1e-5, "counter"),
            line("pruned", 1.0, 5e-6, "counter", 200_000.0, 150_000.0, 250_000.0),
        ],
        until=400_000.0,
        expected=300_000.0,
        unit="kWh",
        title="Break-even",
        summary="Pruning pays back.",
        projects=PROJECTS,
    )


def a_power_trace() -> Chart:
    trace: list[tuple[float, float | None]] = [(float(n), 100.0 + n % 50) for n in range(9000)]
    trace[4000] = (4000.0, 400.0)
    trace[5000] = (5000.0, None)
    return power.power(
        [
            power.Trace("gpu 0", trace, "counter"),
            power.Trace("cpu", [(float(n), 50.0) for n in range(9000)], "modelled"),
        ],
        [power.Band("teacher", 0.0, 3000.0), power.Band(NAME, 3000.0, 9000.0)],
        title="Power",
        summary="Power rose.",
        projects=PROJECTS,
    )


def some_ratios() -> Chart:
    ratio = ratios.Ratio
    return ratios.ratios(
        [
            ratio("IT energy", "B", 0.8, 0.7, 0.9),
            ratio("IT energy", NAME, 1.2, None, None),
            ratio("Time", "B", 1.0, 0.9, 1.1),
        ],
        reference="A",
        title="Comparison",
        summary="B needs less.",
        projects=PROJECTS,
    )


NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def an_account() -> Chart:
    parts = [
        energy.Part(NOON + n * HOUR, NOON + (n + 1) * HOUR, group, 1.0 + n, 0.9, 3.0)
        for n in range(2)
        for group in ("text", NAME)
    ]
    return energy.stacked(
        parts,
        ["text", NAME],
        measure="IT energy",
        unit="kWh",
        title="Energy",
        summary="Two hours.",
        projects=PROJECTS,
    )


def a_burn_down() -> Chart:
    use = burn_down.Use
    return burn_down.burn_down(
        [use(NOON, 0.0), use(NOON + HOUR, 2.0)],
        [use(NOON + HOUR, 2.0, 2.0, 2.0), use(NOON + 3 * HOUR, 4.0, 3.0, 6.0)],
        limit=5.0,
        now=NOON + HOUR,
        measure="Facility energy",
        unit="kWh",
        title="Burn-down",
        summary="Two of five.",
        projects=PROJECTS,
    )


def some_hours() -> Chart:
    hours = [(NOON + n * HOUR, None if n in (1, 2) else 100.0 + n) for n in range(5)]
    return carbon.intensity(
        hours, annual=381.0, title="Intensity", summary="Three of five.", sources=NAME
    )


ALL: dict[str, Callable[[], Chart]] = {
    "frontier": a_frontier,
    "waterfall": a_waterfall,
    "expected-validation": some_curves,
    "break-even": a_break_even,
    "power": a_power_trace,
    "comparison": some_ratios,
    "energy": an_account,
    "burn-down": a_burn_down,
    "carbon-intensity": some_hours,
}
"""A function that makes the chart, by kind."""
