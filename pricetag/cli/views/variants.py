"""Compression on the terminal: the size and the cost of use of each measured variant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pricetag.cli.views.tables import Figures, FittedTable
from pricetag.tag import variants as measured
from pricetag.tag.figure import Shown
from pricetag.tag.figures import column_unit, not_available, number, short_count
from pricetag.tag.latency import conditions
from pricetag.tag.variants import Names, Variant, metric_unit
from pricetag.tag.view import TagView

if TYPE_CHECKING:
    from rich.console import RenderableType

NOT_AVAILABLE = "n/a"


def variants_view(document: Mapping[str, Any]) -> RenderableType | None:
    """The variants that a run measured, side by side; None if it measured none.

    Fit for 80 columns; on a narrower terminal the columns are in tables below each other.

    Args:
        document: A price tag as returned by the API.
    """
    from rich.console import Group
    from rich.text import Text

    view = TagView.read(document)
    tag = view.document
    measured_variants = measured.variants(tag)
    if not measured_variants:
        return None
    score = measured.main_score(measured_variants)
    paid = [
        measured.break_even_inferences(tag, measured_variants[0], variant)
        for variant in measured_variants
    ]
    columns = (
        _counts("Para-\nmeters", measured_variants, measured.PARAMETERS),
        _counts("Non-\nzero", measured_variants, measured.NON_ZERO),
        _in_one_unit("Size", measured_variants, measured.SIZE),
        _in_one_unit("Latency\np50", measured_variants, measured.LATENCY_P50),
        _in_one_unit("Rate", measured_variants, measured.THROUGHPUT),
        _energy(measured_variants),
        Figures("Break-\neven", [_break_even(f, i == 0) for i, f in enumerate(paid)]),
        *([_scores(measured_variants, score)] if score else []),
    )
    shown = [column for column in columns if set(column.cells) - {NOT_AVAILABLE}]
    table = FittedTable("Variant", [variant.label for variant in measured_variants], shown)
    remarks = [*_remarks(measured_variants, paid, score), *conditions(view, measured_variants)]
    return Group(table, *(Text(line, style="dim") for line in remarks))


def _counts(head: str, measured_variants: Sequence[Variant], names: Names) -> Figures:
    return Figures(head, [_text(short_count, v) for v in _values(measured_variants, names)])


def _in_one_unit(head: str, measured_variants: Sequence[Variant], names: Names) -> Figures:
    metrics = (variant.metric(names) for variant in measured_variants)
    stored = next((metric_unit(metric) for metric in metrics if metric is not None), "")
    return _column(head, _values(measured_variants, names), stored)


def _energy(measured_variants: Sequence[Variant]) -> Figures:
    values = [measured.inference_kwh(variant).value for variant in measured_variants]
    return _column("1,000\ninfer.", values, "kWh")


def _column(head: str, values: Sequence[float | None], stored: str) -> Figures:
    unit, size = column_unit(values, stored)
    head = f"{head}\n({unit.replace('1/', 'per ')})"
    return Figures(head, [_text(lambda v: number(float(v) / size), v) for v in values])


def _text(write: Any, value: float | None) -> str:
    return NOT_AVAILABLE if value is None else str(write(value))


def _values(measured_variants: Sequence[Variant], names: Names) -> list[float | None]:
    metrics = [variant.metric(names) for variant in measured_variants]
    return [None if metric is None else metric.value for metric in metrics]


def _break_even(paid: Shown, is_first: bool) -> str:
    if is_first:
        return "first"
    if measured.is_never(paid):
        return "never"
    return _text(short_count, paid.value)


def _scores(measured_variants: Sequence[Variant], score: tuple[str, str]) -> Figures:
    reported = [variant.scores.get(score) for variant in measured_variants]
    values = [None if item is None else item.value for item in reported]
    return Figures(score[1], [_text(lambda v: f"{v:.4f}", value) for value in values])


def _remarks(
    measured_variants: Sequence[Variant], paid: Sequence[Shown], score: tuple[str, str] | None
) -> list[str]:
    lines = []
    if any(variant.metered is not None for variant in measured_variants[1:]):
        lines.append(
            "Break-even: number of inferences after which a variant has saved the energy that was "
            "spent on making it from the first variant."
        )
    unknown: dict[str, list[str]] = {}
    for variant, payback in zip(measured_variants[1:], paid[1:], strict=True):
        if payback.value is None and not measured.is_never(payback):
            unknown.setdefault(not_available(payback.reason), []).append(variant.label)
    lines += [f"Break-even {', '.join(labels)}: {reason}" for reason, labels in unknown.items()]
    if score and score[0]:
        lines.append(f"{score[1]}: on the {score[0]} split")
    return lines
