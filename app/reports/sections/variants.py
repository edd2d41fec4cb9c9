"""Compression: a comparison of all variants measured by ``measure`` stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from app.reports import cells as in_cells
from app.reports.cells import Notes
from app.reports.shape import Column, Section, Table, column, row, table
from pricetag.accounting.document.records import QualityTag
from pricetag.tag import variants as measured
from pricetag.tag.figures import column_unit, not_available, number, ratio_text, with_unit
from pricetag.tag.latency import conditions
from pricetag.tag.quality import score_text
from pricetag.tag.scores import SCORES
from pricetag.tag.variants import Names, Variant, metric_unit
from pricetag.tag.view import TagView

MOST_SCORES_BESIDE_SIZES = 3
NOT_MEASURED = not_available("not measured")

SIZES = (
    ("Parameters", measured.PARAMETERS),
    ("Non-zero", measured.NON_ZERO),
    ("Size", measured.SIZE),
)
SPEEDS = (
    ("FLOPs per example", measured.FLOPS),
    ("Effective FLOPs", measured.EFFECTIVE_FLOPS),
    ("Latency p50", measured.LATENCY_P50),
    ("Latency p95", measured.LATENCY_P95),
    ("Throughput", measured.THROUGHPUT),
    ("Peak memory", measured.PEAK_MEMORY),
)


class Line(NamedTuple):
    """A variant with its run, and the run's first variant."""

    label: str
    tag: TagView
    first: Variant
    variant: Variant


def section(tags: Sequence[TagView]) -> Section | None:
    """The tables, or None if nothing was measured."""
    lines = _lines(tags)
    if not lines:
        return None
    return {
        "id": "compression",
        "heading": "Cost of using each variant",
        "paragraphs": [
            "Each row is a model as one measure stage measured it on the worker's own hardware. "
            "Ratios in parentheses are relative to the run's first variant."
        ],
        "tables": [
            *_sizes_and_scores(lines),
            *_speeds(lines),
            *_energy(lines),
        ],
    }


def _speeds(lines: Sequence[Line]) -> list[Table]:
    """The speeds, with a note on what the latencies measure."""
    notes: dict[str, list[str]] = {}
    for tag in {id(line.tag): line.tag for line in lines}.values():
        for note in conditions(tag, [line.variant for line in lines if line.tag is tag]):
            notes.setdefault(note, []).append(tag.name)
    runs = {line.tag.name for line in lines}
    shown = [
        note if len(names) == len(runs) else f"{'; '.join(names)}: {note}"
        for note, names in notes.items()
    ]
    tables = _figures("variants-use", "Speed of every variant", lines, SPEEDS)
    return [{**speed_table, "notes": [*speed_table["notes"], *shown]} for speed_table in tables]


def _lines(tags: Sequence[TagView]) -> list[Line]:
    by_tag = [(tag, variants) for tag in tags if (variants := measured.variants(tag.document))]
    several = len(by_tag) > 1
    return [
        Line(f"{tag.document.name}: {v.label}" if several else v.label, tag, variants[0], v)
        for tag, variants in by_tag
        for v in variants
    ]


def _sizes_and_scores(lines: Sequence[Line]) -> list[Table]:
    """Scores beside the sizes if they are few and of one split; otherwise separate tables."""
    splits = {split for line in lines for split, _ in line.variant.scores}
    names = {name for line in lines for _, name in line.variant.scores}
    if len(splits) <= 1 and len(names) <= MOST_SCORES_BESIDE_SIZES:
        caption = "Size and quality of every variant"
        scores = [(*_scores(lines, split), _on(split)) for split in splits]
        heads, cells, on = scores[0] if scores else ([], [[] for _ in lines], "")
        return _figures("variants-size", caption + on, lines, SIZES, heads, cells)
    tables = _figures("variants-size", "Size of every variant", lines, SIZES)
    for index, split in enumerate(sorted(splits)):
        here = [
            line
            for line in lines
            if any(scored_split == split for scored_split, _ in line.variant.scores)
        ]
        heads, cells = _scores(here, split)
        caption = f"Quality of every variant{_on(split)}"
        tables += _figures(f"variants-quality-{index + 1}", caption, here, (), heads, cells)
    return tables


def _on(split: str) -> str:
    return f", scores on the {split} split" if split else ""


def _scores(lines: Sequence[Line], split: str) -> tuple[list[Column], list[list[str]]]:
    names = [n for n in SCORES if any((split, n) in line.variant.scores for line in lines)]
    cells = [[_score(line.variant.scores.get((split, name))) for name in names] for line in lines]
    return [column(name, "right") for name in names], cells


def _score(metric: QualityTag | None) -> str:
    return NOT_MEASURED if metric is None else score_text(metric)


def _figures(
    id_: str,
    caption: str,
    lines: Sequence[Line],
    heads: Sequence[tuple[str, Names]],
    more: Sequence[Column] = (),
    more_cells: Sequence[Sequence[str]] = (),
) -> list[Table]:
    """A table of the figures that variants have; none if it would have no columns."""
    filled = [(h, names) for h, names in heads if any(ln.variant.metric(names) for ln in lines)]
    units = _units(lines, [names for _, names in filled])
    shown = [_column(head, lines, names, units) for head, names in filled]
    beside = more_cells or [()] * len(lines)
    rows = [
        row(line.label, *(cells[index] for _, cells in shown), *beside[index])
        for index, line in enumerate(lines)
    ]
    columns = [column("Variant", weight=1.8), *(head for head, _ in shown), *more]
    return [table(id_, caption, columns, rows)] if len(columns) > 1 else []


Units = Mapping[str, tuple[str, float]]


def _units(lines: Sequence[Line], columns: Sequence[Names]) -> Units:
    """Displayed unit for each stored unit; columns of one kind (p50, p95) share it."""
    values: dict[str, list[float | None]] = {}
    for metric in (line.variant.metric(names) for names in columns for line in lines):
        if metric is not None:
            values.setdefault(metric_unit(metric), []).append(metric.value)
    return {stored: column_unit(numbers, stored) for stored, numbers in values.items()}


def _column(
    head: str, lines: Sequence[Line], names: Names, units: Units
) -> tuple[Column, list[str]]:
    """A column in one unit, which is in its heading."""
    metrics = [line.variant.metric(names) for line in lines]
    stored = {metric_unit(metric) for metric in metrics if metric is not None}
    # A user's own job may report a metric in different units.
    unit, size = units[stored.pop()] if len(stored) == 1 else ("", None)
    shown = f" ({unit.replace('1/', 'per ')})" if unit not in ("", "1") else ""
    cells = [_cell(line, names, metric, size) for line, metric in zip(lines, metrics, strict=True)]
    return column(head + shown, "right", 1.2), cells


def _cell(line: Line, names: Names, metric: QualityTag | None, size: float | None) -> str:
    if metric is None or metric.value is None:
        return NOT_MEASURED
    value = metric.value
    if size is None:
        text = with_unit(value, metric_unit(metric))
    else:
        text = number(value if size == 1.0 else value / size)
    first = line.first.metric(names)
    return text + _against(line, value, None if first is None else first.value)


def _against(line: Line, value: float, first: float | None) -> str:
    if line.variant is line.first or not first or value == first:
        return ""
    return f" ({ratio_text(value / first)})"


def _energy(lines: Sequence[Line]) -> list[Table]:
    """Energy of inferences, and the break-even of each variant."""
    if all(line.variant.metered is None for line in lines):
        return []
    notes = Notes()
    used = [measured.inference_kwh(line.variant) for line in lines]
    first = [measured.inference_kwh(line.first) for line in lines]
    making_energy = [measured.making_kwh(line.tag.document, line.variant) for line in lines]
    unit, size = in_cells.column_unit(used, "kWh")
    made_unit, made_size = in_cells.column_unit(making_energy, "kWh")
    rows = [
        row(
            line.label,
            notes.figure(figure, size)
            + ("" if figure.value is None else _against(line, figure.value, base.value)),
            notes.interval(figure, size),
            "" if line.variant is line.first else notes.figure(making, made_size),
            *_break_even(line, notes),
        )
        for line, figure, base, making in zip(lines, used, first, making_energy, strict=True)
    ]
    columns = [
        column("Variant", weight=1.8),
        column(f"{unit} per 1,000 inferences", "right", 1.3),
        column("95% interval", "right", 1.3),
        column(f"{made_unit} to make it", "right", 0.9),
        column("Break-even (inferences)", "right", 1.2),
        column("95% interval", "right", 1.5),
    ]
    caption = "Energy and break-even of every variant"
    return [table("variants-energy", caption, columns, rows, [*_EXPLAINED, *notes.lines()])]


_EXPLAINED = (
    "Break-even is the number of inferences after which a variant has saved energy over the "
    "run's first variant: energy to make the variant / (energy per inference of the first - "
    "energy per inference of the variant). Making includes every stage between the two in all "
    "attempts, failed ones included, except evaluation and measurement.",
    "Gain errors of the same meters cancel in the break-even. Its interval covers the errors of "
    "each window and what a different mix of components leaves of the gain errors, not the "
    "spread over repeats.",
)


def _break_even(line: Line, notes: Notes) -> tuple[str, str]:
    if line.variant is line.first:
        return "reference", ""
    paid = measured.break_even_inferences(line.tag.document, line.first, line.variant)
    if measured.is_never(paid):
        return f"never {notes.mark(paid.reason or '')}", ""
    if paid.value is None:
        return notes.figure(paid), ""
    if paid.low == paid.high:
        return number(paid.value), "meter error cancels"
    return number(paid.value), notes.interval(paid)
