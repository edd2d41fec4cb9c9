"""Charts of a run's bill: what stages and components add up to."""

from __future__ import annotations

from collections.abc import Sequence

from app.charts.chart import Chart
from app.charts.waterfall import Step, waterfall
from app.web.views.run_bill import OUTSIDE
from pricetag.tag.figure import Shown
from pricetag.tag.figures import Unit, column_unit, percent, with_unit
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
