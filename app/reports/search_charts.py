"""Charts of a report on a paper: curves of searches, and the frontier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.charts.chart import LAB, Chart
from app.charts.curves import Crossing, Curve, Knot, curves
from app.charts.frontier import Axes, Mark, frontier
from app.charts.theme import MAX_SERIES
from pricetag.tag.figures import column_unit, counted, number

MEASURE = "IT energy"
MOST_WHISKERS = 60
"""Number of runs beyond which only those of the frontier have intervals."""

Stored = Mapping[str, Any]


def search_charts(paper: Stored) -> list[Chart]:
    """The charts of a paper's own data; none where too little is known."""
    charts = (_curves(paper), _frontier(paper))
    return [chart for chart in charts if chart is not None]


def _curves(paper: Stored) -> Chart | None:
    """Expected best score of each method against its energy."""
    drawn = [
        (method, float(method["mean_costs"]["it_energy_kwh"]["value"]))
        for method in paper["curves"]["methods"]
        if method["points"] and method["mean_costs"]["it_energy_kwh"]["value"]
    ][:MAX_SERIES]
    if not drawn:
        return None
    unit, size = column_unit([mean * len(method["points"]) for method, mean in drawn], "kWh")
    names = {method["name"] for method, _ in drawn}
    lines = [
        Curve(
            method["name"],
            [Knot(each["k"], each["k"] * mean / size, *_spread(each)) for each in method["points"]],
        )
        for method, mean in drawn
    ]
    score = _score(paper)
    results = (
        f"{line.name} {number(line.knots[-1].expected)} after "
        f"{counted(line.knots[-1].trials, 'trial')}"
        for line in lines
    )
    return curves(
        lines,
        [
            Crossing(f"{each['first']}, {each['second']}", each["cost"] / size)
            for each in paper["curves"]["crossings"]
            if {each["first"], each["second"]} <= names
        ],
        measure=MEASURE,
        unit=unit,
        score=score,
        budget=None,
        log=False,
        title=f"Expected best {score} against {MEASURE}",
        summary=f"Expected best score with all trials: {'; '.join(results)}.",
        projects=LAB,
    )


def _spread(best: Stored) -> tuple[float, float, float]:
    return float(best["expected"]), float(best["low"]), float(best["high"])


def _frontier(paper: Stored) -> Chart | None:
    """Each run's score against its energy, with the runs that no other run beats."""
    points = [point for point in paper["frontier"]["points"] if point["cost"]["value"] is not None]
    steps = paper["frontier"]["steps"]
    if not steps:
        return None
    unit, size = column_unit([point["cost"]["value"] for point in points], "kWh")

    def scaled(end: float | None) -> float | None:
        return None if end is None else end / size

    is_crowded = len(points) > MOST_WHISKERS
    marks = [
        Mark(
            name=point["name"],
            group=point["method"],
            cost=point["cost"]["value"] / size,
            low=None if is_crowded and not point["is_best"] else scaled(point["cost"]["low"]),
            high=None if is_crowded and not point["is_best"] else scaled(point["cost"]["high"]),
            quality=point["quality"],
            status=point["status"],
            is_best=point["is_best"],
        )
        for point in points
    ]
    score = _score(paper)
    return frontier(
        marks,
        Axes(cost=MEASURE, unit=unit, quality=score, grouped_by="Method"),
        title=f"{score[0].upper() + score[1:]} against {MEASURE}",
        summary=f"{counted(len(steps), 'run')} of {len(marks)} that no other run beats"
        f"{', with their intervals' if is_crowded else ''}.",
        projects=LAB,
    )


def _score(paper: Stored) -> str:
    kind = paper["score"]
    return "score" if kind is None else str(kind["metric"])
