"""Charts of a run: what stages and components add up to, and power over time."""

from __future__ import annotations

from collections.abc import Sequence

from app.charts.chart import Chart
from app.charts.power import Band, Trace, power
from app.charts.waterfall import Step, waterfall
from app.schemas.runs import RunRead
from app.schemas.series import PowerSeries, RunPower
from app.web.views.run_bill import OUTSIDE
from pricetag.tag.figure import Shown
from pricetag.tag.figures import Unit, column_unit, percent, with_unit
from pricetag.tag.names import shown_name
from pricetag.tag.parts import Part, parts_by_attempt
from pricetag.tag.view import TagView

MOST_BARS = 30
"""Bars of a chart; the table beside it has every stage."""


def waterfalls(tag: TagView, project: str) -> list[Chart]:
    """The IT energy by stage and by component, each where all parts are known."""
    total = tag.document.energy.it_energy_kwh
    if not total.value:
        return []
    unit = column_unit([total.value], "kWh")
    stages = _stages(tag)
    components = [(item.name, item.it_energy_kwh) for item in tag.document.energy.components]
    named = (("Energy by stage", stages), ("Energy by component", components))
    return [
        _waterfall(title, parts, total, unit, tag, project)
        for title, parts in named
        if 0 < len(parts) <= MOST_BARS and all(part.value is not None for _, part in parts)
    ]


def _stages(tag: TagView) -> list[tuple[str, Shown]]:
    listed: list[tuple[str, Shown]] = []
    for attempt, parts in parts_by_attempt(tag):
        prefix = f"{attempt.number}: " if tag.has_several_attempts else ""
        listed += [(prefix + _name(part), part.it_energy_kwh) for part in parts if not part.depth]
    return listed


def _name(part: Part) -> str:
    return part.name or OUTSIDE


def _waterfall(
    title: str,
    parts: Sequence[tuple[str, Shown]],
    total: Shown,
    unit: Unit,
    tag: TagView,
    project: str,
) -> Chart:
    steps = [_step(name, part, unit) for name, part in parts]
    largest = max(steps, key=lambda step: step.amount)
    share = percent(largest.amount * unit[1] / (total.value or 1.0))
    return waterfall(
        [*steps, _step("IT energy", total, unit, is_total=True)],
        measure="IT energy",
        unit=unit[0],
        title=title,
        summary=f"{largest.label} used the most: {largest.text}, {share} of the IT energy.",
        projects=frozenset({project}),
        sources=f"{tag.name}, price tag version {tag.document.version}",
    )


def _step(label: str, part: Shown, unit: Unit, *, is_total: bool = False) -> Step:
    size = unit[1]
    value = part.value or 0.0
    return Step(
        label=label,
        amount=value / size,
        low=None if part.low is None else part.low / size,
        high=None if part.high is None else part.high / size,
        source=part.source,
        text=with_unit(value, part.unit, unit),
        is_total=is_total,
    )


def power_chart(measured: RunPower, run: RunRead) -> Chart | None:
    """Power over time by component, with the stages of all attempts; None without any reading.

    Args:
        measured: Power of the attempts to show.
        run: The run.
    """
    if not measured.attempts:
        return None
    first = measured.attempts[0].started_at
    starts_s = {
        each.attempt: (each.started_at - first).total_seconds() for each in measured.attempts
    }
    points: dict[str, list[tuple[float, float | None]]] = {}
    series: dict[str, PowerSeries] = {}
    for attempt in measured.attempts:
        for each in attempt.series:
            series.setdefault(each.component, each)
            line = points.setdefault(each.component, [])
            line += _points(each, starts_s[attempt.attempt])
    if not points:
        return None
    traces = [
        Trace(_component(series[component]), line, series[component].method or "assumed")
        for component, line in points.items()
    ]
    return power(
        traces,
        _bands(run, starts_s),
        title="Power by component",
        summary=_peak([each for attempt in measured.attempts for each in attempt.series]),
        projects=frozenset({run.project}),
        sources=run.name,
    )


def _peak(series: Sequence[PowerSeries]) -> str:
    peaks = [
        (watts, _component(each)) for each in series for watts in each.max_w if watts is not None
    ]
    if not peaks:
        return "No component reported its power."
    watts, name = max(peaks)
    return f"{name} reached {with_unit(watts, 'W')}, the highest power of a component."


def _points(series: PowerSeries, start_s: float) -> list[tuple[float, float | None]]:
    """The means of its intervals; a gap follows the last one."""
    times = [start_s + t_s for t_s in series.t_s]
    end_s = times[-1] + series.duration_s[-1]
    return [*zip(times, series.mean_w, strict=True), (end_s, None)]


def _component(series: PowerSeries) -> str:
    if series.kind == "gpu":
        return f"GPU {series.component.rpartition(':')[2].removeprefix('GPU-')[:6]}"
    return {"cpu": "CPU", "ram": "RAM", "host": "Host"}.get(series.kind or "", series.component)


def _bands(run: RunRead, starts_s: dict[int, float]) -> list[Band]:
    bands = []
    for attempt in run.attempts:
        if attempt.number not in starts_s:
            continue
        start_s = starts_s[attempt.number]
        for stage in attempt.stages[:MOST_BARS]:
            if stage.parent_key is None and stage.end_s is not None:
                bands.append(
                    Band(shown_name(stage), start_s + stage.start_s, start_s + stage.end_s)
                )
    return bands
