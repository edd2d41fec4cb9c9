"""A site's carbon intensity by hour, the load over it, and what starting later saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.charts import carbon as charts
from app.charts import energy as energy_charts
from app.charts.chart import LAB, Chart
from app.schemas.carbon_forecasts import ForecastsRead
from app.schemas.carbon_hours import CarbonHoursRead, CarbonSource, LaterStart
from app.web.views.figures import FigureView, figure
from pricetag.tag.figure import Figure, scaled
from pricetag.tag.figures import column_unit, counted, percent
from pricetag.tag.green import plan_lines

HOUR = timedelta(hours=1)
LOAD = "IT energy"
AHEAD_H = 24
"""Longest wait for the greenest start that the page states."""


@dataclass(frozen=True, slots=True)
class LaterRow:
    """Mean saving of a delay."""

    delay: str
    saving: FigureView
    starts: str


@dataclass(frozen=True, slots=True)
class CarbonView:
    """The page of a site.

    Attributes:
        intensity: Recorded hours, with gaps.
        load: Energy of each hour; None where nothing was metered.
        later: Savings by delay.
        best: The best delay in a sentence.
        ahead: The greenest start by the latest forecast, in sentences; none without one.
        ahead_source: Source of that forecast, or why there is no such start.
    """

    read: CarbonHoursRead
    mean: FigureView
    load_mean: FigureView
    annual: FigureView
    intensity: Chart
    load: Chart | None
    gaps: Sequence[tuple[datetime, str]]
    sources: Sequence[tuple[CarbonSource, str]]
    later: Sequence[LaterRow]
    best: str
    ahead: Sequence[str]
    ahead_source: str


def carbon(read: CarbonHoursRead, ahead: ForecastsRead) -> CarbonView:
    """The view of a site's hours."""
    recorded = sum(hour.g_per_kwh is not None for hour in read.hours)
    return CarbonView(
        read=read,
        mean=figure(read.mean.model_dump()),
        load_mean=figure(read.load_mean.model_dump()),
        annual=figure(read.annual.model_dump()),
        intensity=charts.intensity(
            [(hour.hour, hour.g_per_kwh) for hour in read.hours],
            annual=read.annual.value,
            title="Intensity by hour",
            summary=_summary(read, recorded),
            sources="; ".join(source.source for source in read.sources),
        ),
        load=_load(read),
        gaps=[(gap.first, counted(gap.hours, "hour")) for gap in read.gaps[:50]],
        sources=[(source, counted(source.hours, "hour")) for source in read.sources],
        later=[_later(start) for start in read.later if start.saving_ratio is not None],
        best=_best(read),
        ahead=list(plan_lines(ahead.greenest.model_dump(mode="json"))) if ahead.greenest else [],
        ahead_source=ahead.average.source
        if ahead.greenest and ahead.average
        else ahead.reason or "",
    )


def _summary(read: CarbonHoursRead, recorded: int) -> str:
    total = len(read.hours)
    if not recorded:
        return f"None of the {total} hours is recorded."
    recorded_hours = [hour for hour in read.hours if hour.g_per_kwh is not None]
    low = min(recorded_hours, key=lambda hour: hour.g_per_kwh or 0.0)
    high = max(recorded_hours, key=lambda hour: hour.g_per_kwh or 0.0)
    return (
        f"{recorded} of {total} hours are recorded: from {low.g_per_kwh:.0f} g/kWh "
        f"({low.hour:%Y-%m-%d %H:%M}) to {high.g_per_kwh:.0f} g/kWh ({high.hour:%Y-%m-%d %H:%M})."
    )


def _load(read: CarbonHoursRead) -> Chart | None:
    loads = [
        (hour.hour, hour.it_energy_kwh) for hour in read.hours if hour.it_energy_kwh is not None
    ]
    if not loads:
        return None
    name, size = column_unit((value for _, value in loads), "kWh")
    most = max(loads, key=lambda each: each[1])
    return energy_charts.stacked(
        [energy_charts.Part(at, at + HOUR, LOAD, value / size) for at, value in loads],
        [LOAD],
        measure=LOAD,
        unit=name,
        title="Load by hour",
        summary=f"The site's nodes used the most energy in the hour of {most[0]:%Y-%m-%d %H:%M}.",
        projects=LAB,
        kind="load",
    )


def _later(start: LaterStart) -> LaterRow:
    percent = scaled(Figure(start.saving_ratio, start.low, start.high, "1", "estimated"), 100, "%")
    return LaterRow(counted(start.delay_h, "hour"), figure(percent), f"{start.starts:,}")


def _best(read: CarbonHoursRead) -> str:
    known_starts = [start for start in read.later if start.saving_ratio is not None]
    if not known_starts:
        return "Too few hours are recorded to compute the savings of a later start."
    best = max(known_starts, key=lambda start: start.saving_ratio or 0.0)
    if (best.saving_ratio or 0.0) <= 0:
        return f"On these days, no delay from {read.start_hour}:00 UTC would have saved emissions."
    return (
        f"On these days, runs of {counted(read.duration_h, 'hour')} from {read.start_hour}:00 UTC "
        f"would have caused {percent(best.saving_ratio or 0.0)} less emissions if they had started "
        f"{counted(best.delay_h, 'hour')} later."
    )
