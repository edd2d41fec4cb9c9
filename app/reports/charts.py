"""Charts of a report, from its stored context: how energy adds up, and when variants pay back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.charts.break_even import Line, break_even
from app.charts.chart import LAB, Chart
from app.charts.theme import MAX_SERIES
from app.charts.waterfall import Step, waterfall
from app.reports.search_charts import search_charts
from pricetag.tag.figures import column_unit, counted, percent, with_unit

MOST_BARS = 10
"""Maximum number of runs or stages with their own bar; the rest is one."""

Stored = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawn chart of a report.

    Attributes:
        title: Heading.
        summary: What it shows, in a sentence.
        content: The picture: SVG, or a PDF for LaTeX.
        width: Its width in pixels.
        height: Its height.
    """

    title: str
    summary: str
    content: bytes
    width: int
    height: int


def charts_of(context: Stored) -> list[Chart]:
    """The charts of a report; none where too little is known.

    Args:
        context: Content of the report, whatever version made it.
    """
    runs, lines = context.get("runs") or [], context.get("lines") or []
    charts = [_bill(context.get("totals") or {}, runs, lines)]
    charts += [_payback(run, lines) for run in runs[:MAX_SERIES]]
    if (paper := context.get("paper")) is not None:
        charts += search_charts(paper)
    return [chart for chart in charts if chart is not None]


def _bill(totals: Stored, runs: Sequence[Stored], lines: Sequence[Stored]) -> Chart | None:
    """How stages, or runs, add up to the IT energy, and that to the energy of the facility."""
    energy, facility = totals.get("it_energy_kwh"), totals.get("facility_energy_kwh")
    if energy is None or not energy["value"]:
        return None
    several = len(runs) > 1
    parts = _parts_of_runs(runs) if several else _parts_of_stages(lines)
    if not parts or any(part[1] is None for part in parts):
        return None
    total = float(energy["value"])
    shown = sorted(parts, key=lambda part: -float(part[1] or 0))[:MOST_BARS]
    remainder = total - sum(float(part[1] or 0) for part in shown)
    unit, size = column_unit([float(part[1] or 0) for part in shown], "kWh")
    steps = [_step(*part, unit, size) for part in shown]
    if remainder < -1e-6 * total:  # stages inside stages, which earlier versions listed as well
        return None
    if remainder > 1e-6 * total:
        name = "other runs" if several else "other stages, and between"
        steps.append(_step(name, remainder, None, None, energy["source"], unit, size))
    steps.append(_total("IT energy", energy, unit, size))
    if facility is not None and facility["value"] is not None:
        more = float(facility["value"]) - total
        steps.append(_step("cooling and losses", more, None, None, facility["source"], unit, size))
        steps.append(_total("Facility energy", facility, unit, size))
    noun = "run" if several else "stage"
    largest, amount = shown[0][0], float(shown[0][1] or 0)
    return waterfall(
        steps,
        measure="Energy",
        unit=unit,
        title="How the energy adds up",
        summary=f"{counted(len(parts), noun)}; the largest, {largest}, has "
        f"{percent(amount / total)} of the IT energy of {with_unit(total, 'kWh')}.",
        projects=LAB,
    )


Part = tuple[str, float | None, float | None, float | None, str | None]
"""Name, energy in kWh with its ends, and evidence."""


def _parts_of_runs(runs: Sequence[Stored]) -> list[Part]:
    parts = []
    for run in runs:
        energy = run["it_energy_kwh"]
        parts.append(
            (run["model"], energy["value"], energy["low"], energy["high"], energy["source"])
        )
    return parts


def _parts_of_stages(lines: Sequence[Stored]) -> list[Part]:
    """Stages of the run, each with all its attempts; nested ones are part of theirs."""
    sums: dict[str, list[float]] = {}
    sources: dict[str, str | None] = {}
    for line in lines:
        stage, value = line.get("stage"), line.get("it_energy_kwh")
        if stage is None or line.get("stage_status") == "reused":
            continue
        if line.get("stage_kind") == "inference":
            continue
        if value is None:
            return []
        low, high = (line.get(f"it_energy_{end}_kwh") for end in ("low", "high"))
        ends = sums.setdefault(str(stage), [0.0, 0.0, 0.0])
        for place, end in enumerate((value, low, high)):
            ends[place] += value if end is None else end
        sources[str(stage)] = line.get("it_energy_source")
    return [(stage, *ends, sources[stage]) for stage, ends in sums.items()]  # type: ignore[misc]


def _step(
    name: str,
    value: float | None,
    low: float | None,
    high: float | None,
    source: str | None,
    unit: str,
    size: float,
) -> Step:
    amount = float(value or 0)
    return Step(
        label=name,
        amount=amount / size,
        low=None if low is None else low / size,
        high=None if high is None else high / size,
        source=source,
        text=with_unit(amount, "kWh", (unit, size)),
    )


def _total(name: str, figure: Stored, unit: str, size: float) -> Step:
    step = _step(name, figure["value"], figure["low"], figure["high"], figure["source"], unit, size)
    return Step(step.label, step.amount, step.low, step.high, step.source, step.text, is_total=True)


def _payback(run: Stored, lines: Sequence[Stored]) -> Chart | None:
    """Energy of making and using the variants of a run's model."""
    measured = [
        line
        for line in lines
        if line.get("run_id") == run.get("run_id")
        and line.get("variant")
        and line.get("energy_per_1000_inferences_kwh") is not None
    ]
    # Nothing made the first one; of another one that is not known, there is no line.
    variants = [
        line
        for line in measured
        if line is measured[0] or line.get("energy_to_make_kwh") is not None
    ][:MAX_SERIES]
    paid = [line for line in variants if line.get("break_even_inferences") is not None]
    if len(variants) < 2 or not paid:
        return None
    until = 2.0 * max(float(line["break_even_inferences"]) for line in paid)
    ends = [_used(line, until) for line in variants]
    unit, size = column_unit(ends, "kWh")
    return break_even(
        [
            Line(
                name=str(line["variant"]),
                making=float(line.get("energy_to_make_kwh") or 0.0) / size,
                each=float(line["energy_per_1000_inferences_kwh"]) / 1000 / size,
                source="unknown",
                meets=line.get("break_even_inferences"),
                meets_low=line.get("break_even_low_inferences"),
                meets_high=line.get("break_even_high_inferences"),
            )
            for line in variants
        ],
        until=until,
        expected=None,
        unit=unit,
        title=f"Break-even of the variants of {run['model']}",
        summary="; ".join(
            f"{line['variant']} breaks even after "
            f"{round(float(line['break_even_inferences'])):,} inferences"
            for line in paid
        )
        + ".",
        projects=LAB,
    )


def _used(line: Stored, inferences: float) -> float:
    each = float(line["energy_per_1000_inferences_kwh"]) / 1000
    return float(line.get("energy_to_make_kwh") or 0.0) + inferences * each
