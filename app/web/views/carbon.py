"""A site's carbon intensity by hour, the load over it, and what starting later saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.schemas.carbon_hours import CarbonHoursRead, CarbonSource, LaterStart
from app.web.views import plots
from app.web.views.figures import FigureView, figure, unknown
from app.web.views.plots import Path, Plot
from pricetag.tag.figure import Figure, scaled
from pricetag.tag.figures import column_unit, counted, percent

HOUR = timedelta(hours=1)
NOT_RECORDED = "not recorded: the annual figure stands for this hour"
NOT_METERED = "nothing was metered in this hour"


@dataclass(frozen=True, slots=True)
class HourRow:
    """An hour of the table."""

    at: datetime
    intensity: FigureView
    load: FigureView


@dataclass(frozen=True, slots=True)
class LaterRow:
    """What a delay saved, on average."""

    delay: str
    saving: FigureView
    starts: str


@dataclass(frozen=True, slots=True)
class CarbonView:
    """The page of a site.

    Attributes:
        plot: Intensity as a line with gaps.
        load_plot: Energy of each hour, below it.
        later: Savings by delay.
        best: The best delay in a sentence.
    """

    read: CarbonHoursRead
    mean: FigureView
    load_mean: FigureView
    annual: FigureView
    summary: str
    plot: Plot
    load_plot: Plot
    gaps: Sequence[tuple[datetime, str]]
    rows: Sequence[HourRow]
    load_unit: str
    sources: Sequence[tuple[CarbonSource, str]]
    later: Sequence[LaterRow]
    best: str


def carbon(read: CarbonHoursRead) -> CarbonView:
    """The view of a site's hours."""
    intensities = [hour.g_per_kwh for hour in read.hours]
    loads = [hour.it_energy_kwh for hour in read.hours]
    unit = column_unit(loads, "kWh")
    recorded = sum(value is not None for value in intensities)
    labels = [
        (read.start + (read.stop - read.start) * n / 4).strftime("%Y-%m-%d %H:%M") for n in range(5)
    ]
    return CarbonView(
        read=read,
        mean=figure(read.mean.model_dump()),
        load_mean=figure(read.load_mean.model_dump()),
        annual=figure(read.annual.model_dump()),
        summary=_summary(read, recorded),
        plot=_intensity(intensities, read.annual.value or 0.0, labels),
        load_plot=_load(loads, unit, labels),
        gaps=[(gap.first, counted(gap.hours, "hour")) for gap in read.gaps[:50]],
        rows=[
            HourRow(
                hour.hour,
                unknown(NOT_RECORDED)
                if hour.g_per_kwh is None
                else figure(Figure(hour.g_per_kwh, None, None, "g/kWh", "estimated")),
                unknown(NOT_METERED)
                if hour.it_energy_kwh is None
                else figure(Figure(hour.it_energy_kwh, None, None, "kWh", None), shown=unit),
            )
            for hour in read.hours
        ],
        load_unit=unit[0],
        sources=[(source, counted(source.hours, "hour")) for source in read.sources],
        later=[_later(one) for one in read.later if one.saving_ratio is not None],
        best=_best(read),
    )


def _summary(read: CarbonHoursRead, recorded: int) -> str:
    total = len(read.hours)
    if not recorded:
        return f"None of the {total} hours is recorded."
    known = [hour for hour in read.hours if hour.g_per_kwh is not None]
    low = min(known, key=lambda hour: hour.g_per_kwh or 0.0)
    high = max(known, key=lambda hour: hour.g_per_kwh or 0.0)
    return (
        f"{recorded} of {total} hours are recorded: from {low.g_per_kwh:.0f} g/kWh "
        f"({low.hour:%Y-%m-%d %H:%M}) to {high.g_per_kwh:.0f} g/kWh ({high.hour:%Y-%m-%d %H:%M})."
    )


def _intensity(values: Sequence[float | None], annual: float, labels: Sequence[str]) -> Plot:
    """One line for each unbroken row of hours; gaps are marked, and the annual figure is a line."""
    top = plots.top_of(max([annual, *(value for value in values if value is not None)]))
    count = len(values) or 1
    has_hours = any(value is not None for value in values)
    paths: list[Path] = []
    line: list[tuple[float, float]] = []
    gap_from: int | None = None
    for number, value in enumerate([*values, None]):
        is_end = number == len(values)
        if value is not None:
            line += [(number / count, value), ((number + 1) / count, value)]
        if (value is None or is_end) and line:
            paths.append(plots.line("intensity", line, top))
            line = []
        if value is None and not is_end and gap_from is None:
            gap_from = number
        if gap_from is not None and has_hours and (value is not None or is_end):
            ends = [(gap_from / count, 0.0, top), (number / count, 0.0, top)]
            paths.insert(0, plots.band(10, ends, top, faint=False))
            gap_from = None
    paths.append(plots.line("annual", [(0.0, annual), (1.0, annual)], top))
    return Plot([], paths, plots.ticks(top), labels, "g/kWh")


def _load(values: Sequence[float | None], unit: tuple[str, float], labels: Sequence[str]) -> Plot:
    name, size = unit
    columns = [[value or 0.0] for value in values]
    top = plots.top_of(max((value[0] for value in columns), default=0.0) / size) * size
    bars = plots.stacked(columns, [[""]] * len(columns), top)
    return Plot(bars, [], plots.ticks(top / size), labels, name)


def _later(one: LaterStart) -> LaterRow:
    percent = scaled(Figure(one.saving_ratio, one.low, one.high, "1", "estimated"), 100, "%")
    return LaterRow(counted(one.delay_h, "hour"), figure(percent), f"{one.starts:,}")


def _best(read: CarbonHoursRead) -> str:
    known = [one for one in read.later if one.saving_ratio is not None]
    if not known:
        return "Too few hours are recorded to say what starting later would have saved."
    best = max(known, key=lambda one: one.saving_ratio or 0.0)
    if (best.saving_ratio or 0.0) <= 0:
        return f"On these days, no delay from {read.start_hour}:00 UTC would have saved emissions."
    return (
        f"On these days, runs of {counted(read.duration_h, 'hour')} from {read.start_hour}:00 UTC "
        f"would have caused {percent(best.saving_ratio or 0.0)} less emissions if they had started "
        f"{counted(best.delay_h, 'hour')} later."
    )
