"""Figures beside energy and carbon: water, hardware, cost and efficiency."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from app.reports.cells import Notes, column_unit
from app.reports.shape import Section, Table, column, row, table
from pricetag.accounting.bill.cost import CLOUD
from pricetag.accounting.bill.figures import CostTag
from pricetag.accounting.document.records import PriceTag
from pricetag.accounting.quantity.quantity import Quantity
from pricetag.tag.strubell import Profile
from pricetag.tag.view import TagView


class Column(NamedTuple):
    """A column with its heading, its unit, and access to its figure."""

    label: str
    unit: str
    figure: Callable[[PriceTag], Quantity]


IN_ALL = Column("CO2e, total", "kg", lambda tag: tag.footprint.co2e_total_kg)
BESIDE = (
    Column("CO2e, market-based", "kg", lambda tag: tag.footprint.co2e_market_kg),
    Column("CO2e, embodied", "kg", lambda tag: tag.footprint.embodied_co2e_kg),
    IN_ALL,
    Column("Water", "l", lambda tag: tag.footprint.water_l),
)
SPLIT = (
    Column("Devices, total", "kWh", lambda tag: tag.energy.split.gross_kwh),
    Column("Charged", "kWh", lambda tag: tag.energy.it_energy_kwh),
    Column("of which idle", "kWh", lambda tag: tag.energy.split.baseline_kwh),
    Column("of which dynamic", "kWh", lambda tag: tag.energy.split.dynamic_kwh),
)
COSTS = ("Total", "Owned hardware", "Electricity", "In the cloud")


def section(tags: Sequence[TagView], profile: Profile) -> Section | None:
    """The tables with known figures; None if no run has any.

    If the profile has its own carbon intensity, sums with that of the price tag are dropped.
    """
    beside = [quantity for quantity in BESIDE if profile == "site" or quantity is not IN_ALL]
    tables = [
        *_figures("footprint", "Other emissions, and water", tags, beside),
        *_split(tags),
        *_costs(tags),
        *_efficiency(tags),
    ]
    if not tables:
        return None
    in_all = "; total CO2e is operational (location-based) and embodied"
    return {
        "id": "footprint",
        "heading": "Water, hardware, money, efficiency",
        "paragraphs": [
            "With the factors of each price tag. Market-based emissions are reported in addition "
            "to the location-based ones and never replace them. Embodied emissions are the share "
            "of the hardware's manufacturing emissions for the time that was reserved"
            f"{in_all if profile == 'site' else ''}. MFU is of the dense 16-bit peak."
        ],
        "tables": tables,
    }


def _known(tags: Sequence[TagView], figure: Callable[[PriceTag], Quantity]) -> bool:
    return any(figure(tag.document).value is not None for tag in tags)


def _figures(
    id_: str, caption: str, tags: Sequence[TagView], figures: Sequence[Column]
) -> list[Table]:
    """One row per run; columns without known figures are dropped, and so is an empty table."""
    shown = [column_ for column_ in figures if _known(tags, column_.figure)]
    return [_of_runs(id_, caption, tags, shown)] if shown else []


def _split(tags: Sequence[TagView]) -> list[Table]:
    """All columns; unknown figures have a reason, since they do not mean zero idle energy.

    Price tags of accounting version 1 have no split; with only such price tags there is no table.
    """
    were_split = any("split" not in tag.document.energy.absent for tag in tags)
    if not were_split or not _known(tags, lambda tag: tag.energy.it_energy_kwh):
        return []
    return [_of_runs("split", "Gross, idle and dynamic energy", tags, SPLIT)]


def _of_runs(id_: str, caption: str, tags: Sequence[TagView], shown: Sequence[Column]) -> Table:
    notes = Notes()
    columns, cells = [column("Run", weight=2.0)], [[tag.document.name] for tag in tags]
    for label, stored, figure in shown:
        figures = [figure(tag.document) for tag in tags]
        unit, size = column_unit(figures, stored)
        columns += [column(f"{label} ({unit})", "right"), column("95% interval", "right", 1.3)]
        for line, item in zip(cells, figures, strict=True):
            line += [notes.figure(item, size), notes.interval(item, size)]
    return table(id_, caption, columns, [row(*line) for line in cells], notes.lines())


def _costs(tags: Sequence[TagView]) -> list[Table]:
    if not _known(tags, lambda tag: tag.cost.total):
        return []
    notes = Notes()
    rows = [
        row(
            tag.document.name,
            tag.document.cost.basis or "nothing",
            *_amounts(tag.document.cost, notes),
        )
        for tag in tags
    ]
    columns = [
        column("Run", weight=2.0),
        column("What is in the total", weight=1.6),
        *(column(label, "right") for label in COSTS),
    ]
    return [table("costs", "Cost of every run", columns, rows, notes.lines())]


def _amounts(cost: CostTag, notes: Notes) -> Iterator[str]:
    """The cells of `COSTS`: values with 95% intervals, but from low to high for cloud prices."""
    yield notes.price_range(cost.total) if cost.basis == CLOUD else notes.amount(cost.total)
    yield notes.amount(cost.owned_hardware)
    yield notes.amount(cost.electricity)
    yield notes.price_range(cost.cloud)


def _efficiency(tags: Sequence[TagView]) -> list[Table]:
    operations = [tag.document.flops for tag in tags]
    figures = [figure for f in operations for figure in (f.mfu_ratio, f.flops_per_joule)]
    if all(figure.value is None for figure in figures):
        return []
    notes = Notes()
    unit, size = column_unit((flops.flops_per_joule for flops in operations), "FLOP/J")
    rows = [
        row(
            tag.document.name,
            notes.percent(flops.mfu_ratio),
            notes.figure(flops.flops_per_joule, size),
            notes.interval(flops.flops_per_joule, size),
            "; ".join(flops.methods) or "not recorded",
        )
        for tag, flops in zip(tags, operations, strict=True)
    ]
    columns = [
        column("Run", weight=2.0),
        column("MFU", "right"),
        column(f"Operations per joule ({unit})", "right"),
        column("95% interval", "right", 1.3),
        column("How they were counted", weight=2.4),
    ]
    return [table("efficiency", "Use of the hardware", columns, rows, notes.lines())]
