"""What stands beside energy and carbon: water, hardware, money, and how well it was used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from app.reports.cells import Notes, column_unit
from app.reports.shape import Section, Table, column, row, table
from pricetag.tag.strubell import Profile
from pricetag.tag.tags import Tag, quantity


class Figure(NamedTuple):
    """A column: its head, its unit, and where the figure is."""

    label: str
    unit: str
    path: tuple[str, ...]


BESIDE = (
    Figure("CO2e, market-based", "kg", ("co2e_market_kg",)),
    Figure("CO2e, embodied", "kg", ("embodied_co2e_kg",)),
    Figure("CO2e in all", "kg", ("co2e_total_kg",)),
    Figure("Water", "l", ("water_l",)),
)
SPLIT = (
    Figure("Devices in all", "kWh", ("split", "gross_kwh")),
    Figure("Charged", "kWh", ("it_energy_kwh",)),
    Figure("of it idle draw", "kWh", ("split", "baseline_kwh")),
    Figure("of it dynamic", "kWh", ("split", "dynamic_kwh")),
)
PER_JOULE = ("flops", "flops_per_joule")


def section(tags: Sequence[Tag], profile: Profile) -> Section | None:
    """The tables of which a figure is known; None where no run has any.

    With a profile's own carbon intensity, sums with the price tag's are left out.
    """
    beside = [f for f in BESIDE if profile == "site" or f.path != ("co2e_total_kg",)]
    tables = [
        *_figures("footprint", "Other emissions, and water", tags, beside),
        *_split(tags),
        *_costs(tags),
        *_efficiency(tags),
    ]
    if not tables:
        return None
    in_all = "; CO2e in all is operational (location-based) and embodied"
    return {
        "id": "footprint",
        "heading": "Water, hardware, money, efficiency",
        "paragraphs": [
            "With the factors of each price tag. Market-based emissions stand beside the "
            "location-based ones, never in their stead. Embodied emissions are the part of the "
            "making of the hardware that its reserved time stands for"
            f"{in_all if profile == 'site' else ''}. MFU is of the dense 16-bit peak."
        ],
        "tables": tables,
    }


def _known(tags: Sequence[Tag], path: Sequence[str]) -> bool:
    return any(quantity(tag, *path)["value"] is not None for tag in tags)


def _figures(id_: str, caption: str, tags: Sequence[Tag], figures: Sequence[Figure]) -> list[Table]:
    """A row a run; columns that no run knows are left out, and so is an empty table."""
    shown = [figure for figure in figures if _known(tags, figure.path)]
    return [_of_runs(id_, caption, tags, shown)] if shown else []


def _split(tags: Sequence[Tag]) -> list[Table]:
    """All columns, unknown ones with their reason: that nothing idled would be another thing.

    Price tags of the first accounting were not split; no table says so of them alone.
    """
    if not any("split" in tag for tag in tags) or not _known(tags, ("it_energy_kwh",)):
        return []
    return [_of_runs("split", "Gross, idle and dynamic energy", tags, SPLIT)]


def _of_runs(id_: str, caption: str, tags: Sequence[Tag], shown: Sequence[Figure]) -> Table:
    notes = Notes()
    columns, cells = [column("Run", weight=2.0)], [[str(tag.get("name"))] for tag in tags]
    for figure in shown:
        found = [quantity(tag, *figure.path) for tag in tags]
        unit, size = column_unit(found, figure.unit)
        columns += [
            column(f"{figure.label} ({unit})", "right"),
            column("95% interval", "right", 1.3),
        ]
        for line, item in zip(cells, found, strict=True):
            line += [notes.figure(item, size), notes.interval(item, size)]
    return table(id_, caption, columns, [row(*line) for line in cells], notes.lines())


def _costs(tags: Sequence[Tag]) -> list[Table]:
    if not _known(tags, ("cost", "total")):
        return []
    notes = Notes()
    rows = [
        row(
            str(tag.get("name")),
            _basis(tag),
            *(notes.cost(quantity(tag, "cost", part)) for part in _PARTS),
        )
        for tag in tags
    ]
    columns = [
        column("Run", weight=2.0),
        column("What is in the total", weight=1.6),
        *(column(label, "right") for label in _PARTS.values()),
    ]
    return [table("costs", "Cost of every run", columns, rows, notes.lines())]


_PARTS = {
    "total": "Total",
    "owned_hardware": "Owned hardware",
    "electricity": "Electricity",
    "cloud": "In the cloud",
}


def _basis(tag: Tag) -> str:
    cost = tag.get("cost")
    return str(cost.get("basis") or "nothing") if isinstance(cost, Mapping) else "nothing"


def _efficiency(tags: Sequence[Tag]) -> list[Table]:
    shown = _known(tags, ("flops", "mfu_ratio")) or _known(tags, PER_JOULE)
    if not shown:
        return []
    notes = Notes()
    rates = [quantity(tag, *PER_JOULE) for tag in tags]
    unit, size = column_unit(rates, "FLOP")
    rows = [
        row(
            str(tag.get("name")),
            notes.percent(quantity(tag, "flops", "mfu_ratio")),
            notes.figure(rate, size),
            notes.interval(rate, size),
            _joined(tag, "methods"),
        )
        for tag, rate in zip(tags, rates, strict=True)
    ]
    columns = [
        column("Run", weight=2.0),
        column("MFU", "right"),
        column(f"Operations per joule ({unit}/J)", "right"),
        column("95% interval", "right", 1.3),
        column("How they were counted", weight=2.4),
    ]
    return [table("efficiency", "Use of the hardware", columns, rows, notes.lines())]


def _joined(tag: Tag, name: str) -> str:
    flops = tag.get("flops")
    found: Any = flops.get(name) if isinstance(flops, Mapping) else None
    return "; ".join(map(str, found or ())) or "not told"
