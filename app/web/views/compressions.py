"""The ledger of compression as a view model: what variants cost, save, and when they pay back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.charts.break_even import Line, break_even
from app.charts.chart import Chart
from app.charts.theme import MAX_SERIES
from app.schemas.insights import CompressionLedger, CompressionRead, VariantRead
from app.web.views.figures import FigureView, figure, unknown
from app.web.views.insights import axis_unit, without_unreadable
from pricetag.tag.figure import Figure
from pricetag.tag.figure import figure_of as read_figure
from pricetag.tag.figures import Unit, column_unit, counted, short_count

UNTIL = 1_000_000.0
"""Number of inferences at the right end of the chart where nothing says more."""

SCORE_UNKNOWN = "it was not scored"
SIZE_UNKNOWN = "its size was not measured"


@dataclass(frozen=True, slots=True)
class VariantRow:
    """A variant of the table."""

    variant: VariantRead
    making: FigureView
    per_1000: FigureView
    score: FigureView
    change: FigureView
    size: FigureView
    break_even: FigureView
    total: FigureView | None


@dataclass(frozen=True, slots=True)
class CompressionView:
    """A run of the ledger."""

    read: CompressionRead
    score: str
    rows: Sequence[VariantRow]
    is_drawn: bool


@dataclass(frozen=True, slots=True)
class CompressionsView:
    """The page.

    Attributes:
        runs: The runs, newest first.
        chart: Energy against inferences of the chosen run; None where too little is known.
        units: Units of the columns: making, 1,000 inferences, total.
        baselines: Variants that can be the baseline.
        remark: Whether these are all selected runs.
    """

    runs: Sequence[CompressionView]
    chart: Chart | None
    units: tuple[Unit, Unit, Unit]
    baselines: Sequence[tuple[str, str]]
    remark: str


def compressions_view(
    ledger: CompressionLedger, *, run_id: str | None, baseline: str, inferences: int | None
) -> CompressionsView:
    """The view of a ledger.

    Args:
        ledger: What the service returns.
        run_id: Run of the chart; by default the newest.
        baseline: Label of the chosen baseline; empty for the first variant of each run.
        inferences: Expected number of inferences.
    """
    variants = [variant for item in ledger.items for variant in item.variants]
    units = (
        column_unit([v.making_kwh.value for v in variants], "kWh"),
        column_unit([v.per_1000_inferences_kwh.value for v in variants], "kWh"),
        column_unit([v.total_kwh.value for v in variants if v.total_kwh], "kWh"),
    )
    drawn = next((item for item in ledger.items if str(item.run_id) == run_id), None)
    drawn = drawn or next(iter(ledger.items), None)
    labels = dict.fromkeys(variant.label for variant in variants)
    return CompressionsView(
        runs=[_run(item, units, item is drawn) for item in ledger.items],
        chart=None if drawn is None else _chart(drawn, inferences),
        units=units,
        baselines=[("", "First measured"), *((name, name) for name in labels)],
        remark=" ".join(_remarks(ledger)),
    )


def _remarks(ledger: CompressionLedger) -> Iterator[str]:
    if ledger.unreadable:
        yield without_unreadable(ledger.unreadable)
    if not ledger.is_whole:
        yield "Only the newest of the selected runs were searched."


def _run(item: CompressionRead, units: tuple[Unit, Unit, Unit], is_drawn: bool) -> CompressionView:
    score = "score" if item.score is None else item.score.metric
    return CompressionView(item, score, [_row(v, units) for v in item.variants], is_drawn)


def _row(variant: VariantRead, units: tuple[Unit, Unit, Unit]) -> VariantRow:
    making, per_1000, total = units
    paid = read_figure(variant.break_even_inferences.model_dump())
    return VariantRow(
        variant=variant,
        making=figure(variant.making_kwh.model_dump(), shown=making),
        per_1000=figure(variant.per_1000_inferences_kwh.model_dump(), shown=per_1000),
        score=_plain(variant.score, SCORE_UNKNOWN),
        change=_plain(variant.score_change, SCORE_UNKNOWN),
        size=unknown(SIZE_UNKNOWN)
        if variant.size_bytes is None
        else figure(Figure(variant.size_bytes, None, None, "bytes", None)),
        break_even=unknown("it is the baseline") if variant.is_baseline else figure(paid),
        total=None
        if variant.total_kwh is None
        else figure(variant.total_kwh.model_dump(), shown=total),
    )


def _plain(value: float | None, reason: str) -> FigureView:
    return unknown(reason) if value is None else figure(Figure(value, None, None, "1", None))


def _chart(item: CompressionRead, inferences: int | None) -> Chart | None:
    plotted = [
        variant
        for variant in item.variants
        if variant.making_kwh.value is not None
        and variant.per_1000_inferences_kwh.value is not None
    ][:MAX_SERIES]
    if len(plotted) < 2:
        return None
    meets = [v.break_even_inferences.value for v in plotted if v.break_even_inferences.value]
    until = max([2.0 * most for most in meets] or [UNTIL])
    until = max(until, 1.25 * (inferences or 0))
    ends = [_energy(variant, until) for variant in plotted]
    unit, size = axis_unit(ends, "kWh")
    return break_even(
        [
            _line(variant, label, size)
            for variant, label in zip(plotted, _labels(plotted), strict=True)
        ],
        until=until,
        expected=None if inferences is None else float(inferences),
        unit=unit,
        title=f"Energy of making and using each variant of {item.name}",
        summary=summary(plotted),
        projects=frozenset({item.project}),
        sources=f"Run {item.run_id}, version {item.version} of its price tag.",
    )


def _energy(variant: VariantRead, inferences: float) -> float:
    each = (variant.per_1000_inferences_kwh.value or 0.0) / 1000
    return (variant.making_kwh.value or 0.0) + inferences * each


def _labels(variants: Sequence[VariantRead]) -> list[str]:
    """Labels of variants, each once."""
    labels: list[str] = []
    for variant in variants:
        label = variant.label
        labels.append(label if label not in labels else f"{label} ({variant.stage})")
    return labels


def _line(variant: VariantRead, label: str, size: float) -> Line:
    paid = variant.break_even_inferences
    return Line(
        name=label,
        making=(variant.making_kwh.value or 0.0) / size,
        each=(variant.per_1000_inferences_kwh.value or 0.0) / 1000 / size,
        source=variant.per_1000_inferences_kwh.source or "unknown",
        meets=paid.value,
        meets_low=paid.low,
        meets_high=paid.high,
    )


def summary(variants: Sequence[VariantRead]) -> str:
    """When variants pay back, in a sentence."""
    paid = [
        f"{variant.label} at {short_count(float(count))} inferences"
        for variant in variants
        if (count := variant.break_even_inferences.value) is not None
    ]
    never = sum(variant.is_never for variant in variants)
    text = f"Break-even: {'; '.join(paid)}" if paid else "No variant is known to break even"
    return f"{text}; {counted(never, 'variant')} never." if never else f"{text}."
