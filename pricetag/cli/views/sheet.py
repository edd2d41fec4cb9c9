"""A price tag on the terminal, in 80 columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pricetag.cli.views.tables import Figures, FittedTable, new_table
from pricetag.tag.figure import Shown
from pricetag.tag.figures import column_number, column_unit, not_available, with_unit
from pricetag.tag.flags import stage_flags
from pricetag.tag.footnotes import footnoted
from pricetag.tag.parts import Part, stages_with_outside
from pricetag.tag.quality import other_rows, score_heads, score_rows, score_text
from pricetag.tag.status import status_text
from pricetag.tag.summary import remarks, short_percent, summary
from pricetag.tag.view import TagView

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

INDENT = "  "
OUTSIDE = "(outside the stages)"


def price_tag_view(
    document: Mapping[str, Any],
    issued: Mapping[str, Any] | None = None,
    newest: int | None = None,
    status: str | None = None,
) -> RenderableType:
    """The whole price tag: totals, stages, components, quality, remarks.

    Args:
        document: A price tag as returned by the API.
        issued: Its entry in the list of versions, with its cause.
        newest: The highest of the run's versions.
        status: Status of the run. Default: that of its last attempt.
    """
    from rich.console import Group
    from rich.text import Text

    tag = TagView.read(document, (issued or {}).get("cause"))
    title = Text.assemble((tag.name, "bold"), f"  ({status_text(status or tag.status)})")
    parts: list[RenderableType] = [title, Text(tag.version_text(newest)), _totals(tag), Text("")]
    if tag.document.stages:
        flags = [Text(f"Flag: {flag.text}") for flag in stage_flags(tag)]
        parts += [_stages(tag), *flags, Text("")]
    for table, notes in (_components(tag), _quality(tag), _others(tag)):
        if table.row_count:
            parts += [table, *(Text(note, style="dim") for note in notes), Text("")]
    return Group(*parts, *map(Text, remarks(tag)))


def _totals(tag: TagView) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for line in summary(tag):
        style = "bold" if line.is_strong else ""
        table.add_row(Text(line.label, style="dim"), Text(line.text, style=style))
    return table


def _stages(tag: TagView) -> RenderableType:
    parts = stages_with_outside(tag)
    energies = [part.it_energy_kwh for part in parts]
    powers = [None if part.energy is None else part.energy.power_w for part in parts]
    times = [None if part.energy is None else part.energy.duration_s for part in parts]
    unit, size = column_unit((energy.value for energy in energies), "kWh")
    power_unit, power_size = column_unit((power.value for power in powers if power), "W")
    return FittedTable(
        "Stage",
        [_label(part, tag.has_several_attempts) for part in parts],
        [
            Figures("Time", [_short(time) for time in times]),
            Figures(f"Power\n({power_unit})", [_in(power, power_size) for power in powers]),
            Figures(f"IT energy\n({unit})", [_in(energy, size) for energy in energies]),
            Figures(f"95% interval\n({unit})", [_interval(energy, size) for energy in energies]),
            Figures("Share", [_percent(part.share_ratio) for part in parts]),
        ],
    )


def _label(part: Part, several: bool) -> str:
    if part.energy is None:
        return OUTSIDE
    label = INDENT * part.depth + part.name
    if part.status != "succeeded":
        label += f" ({status_text(part.status)})"
    return f"{part.attempt}: {label}" if several else label


def _components(tag: TagView) -> tuple[Table, list[str]]:
    """Energy by component, and the footnotes."""
    from rich.text import Text

    components = tag.document.energy.components
    power_unit, power_size = column_unit((c.power_w.value for c in components), "W")
    unit, size = column_unit((c.it_energy_kwh.value for c in components), "kWh")
    figures = (f">Power\n({power_unit})", f">IT energy\n({unit})")
    table = new_table("Component", *figures, ">Share", ">Metered", "Evidence")
    energies = [component.it_energy_kwh for component in components]
    evidence, notes = footnoted([e.source or not_available(e.reason) for e in energies], least=1)
    for component, source in zip(components, evidence, strict=True):
        energy = component.it_energy_kwh
        table.add_row(
            Text(f"{component.name} ({component.kind})"),
            Text(_in(component.power_w, power_size)),
            Text(_in(energy, size)),
            Text(_percent(component.share_ratio)),
            Text(_percent(component.coverage_ratio)),
            Text(source),
        )
    return table, notes


def _quality(tag: TagView) -> tuple[Table, list[str]]:
    """Scores that the stages reported, one row per stage and split, and the footnotes."""
    from rich.text import Text

    rows = score_rows(tag)
    heads = score_heads(rows)
    table = new_table("Quality", "Split", *(f">{name}" for name in heads))
    texts = [score_text(row.scores.get(name)) for row in rows for name in heads]
    cells, notes = footnoted(texts, least=1)
    for index, row in enumerate(rows):
        scores = cells[index * len(heads) : (index + 1) * len(heads)]
        table.add_row(*map(Text, (row.stage, row.split, *scores)))
    return table, notes


def _others(tag: TagView) -> tuple[Table, list[str]]:
    """Figures of quality whose names are not those of usual scores, as ``val_acc``."""
    from rich.text import Text

    table = new_table("Other figures", "Split", "Values")
    for row in other_rows(tag):
        table.add_row(*map(Text, row))
    return table, []


def _short(figure: Shown | None) -> str:
    """A figure with its unit; empty where none is possible."""
    if figure is None:
        return ""
    return "n/a" if figure.value is None else with_unit(figure.value, figure.unit)


def _in(figure: Shown | None, size: float) -> str:
    if figure is None:
        return ""
    return "n/a" if figure.value is None else column_number(float(figure.value) / size)


def _interval(figure: Shown, size: float) -> str:
    low, high = figure.low, figure.high
    if low is None or high is None or low == high:
        return ""
    return f"{column_number(low / size)} to {column_number(high / size)}"


def _percent(figure: Shown | None) -> str:
    return "n/a" if figure is None or figure.value is None else short_percent(figure.value)
