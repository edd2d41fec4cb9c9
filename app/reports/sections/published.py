"""Rows of other publications: as printed, and estimated from their hardware and hours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.reports.cells import Notes
from app.reports.sections import strubell
from app.reports.shape import Row, Section, Table, column, row, table
from pricetag.tag.figures import counted, difference, number
from pricetag.tag.strubell import CITATION

Content = Mapping[str, Any]
Line = Mapping[str, Any]
PARTS = {"model": "One model", "tuning": "One tuning", "research": "All research and development"}
ESTIMATED = "estimated from hardware and hours: the source does not print it"
CONVERTED = "converted from the unit in which the source prints it"
CHECKED = {
    "facility_energy_kwh": "kWh·PUE",
    "co2e_lb": "CO2e (lb)",
    "co2e_kg": "CO2e (kg)",
    "cost_low": "cost, low",
    "cost_high": "cost, high",
    "electricity_cost": "electricity",
}


def section(content: Content) -> Section | None:
    """The published rows of a paper; None without any."""
    lines: Sequence[Line] = content["published"]
    if not lines:
        return None
    singles = [line for line in lines if not line["entered"]["part"]]
    parts = [line for line in lines if line["entered"]["part"]]
    tables = [_models(singles)] if singles else []
    tables += [_research(parts)] if parts else []
    tables.append(_checks(lines))
    tables += [_equivalents(lines)] if lines[0]["equivalents"] is not None else []
    return {
        "id": "published",
        "heading": "Published figures of other work",
        "paragraphs": [
            f"{counted(len(lines), 'row')} of other publications, entered to compare with. Nothing "
            "in these rows was metered here, and they are in no sum of this report. A figure "
            "without a mark is as its source prints it; a marked one is estimated from hardware "
            "and hours, kWh·PUE as PUE x hours x power / 1000, CO2e as that x the carbon "
            f"intensity, and cost as device-hours x price, after {CITATION}. No figure has an "
            "interval: the sources state none, nor one for power, hours, PUE and intensity.",
            *_sources(lines),
        ],
        "tables": tables,
    }


def _sources(lines: Sequence[Line]) -> list[str]:
    """Each citation once, with the rows that it is of."""
    rows_of: dict[str, list[str]] = {}
    for line in lines:
        entered = line["entered"]
        how = "from the catalog" if entered["origin"] == "catalog" else "entered by hand"
        about = (entered["source"], entered["source_url"], entered["basis"], entered["licence"])
        citation = "; ".join(filter(None, (*about, how)))
        rows_of.setdefault(citation, []).append(_name(line))
    return [
        f"Source of {'; '.join(dict.fromkeys(names))}: {citation}."
        for citation, names in rows_of.items()
    ]


def _name(line: Line) -> str:
    entered = line["entered"]
    part = PARTS.get(entered["part"], "")
    return f"{entered['model']}, {part.lower() or entered['hardware']}"


def printed(value: float) -> str:
    """A number as a source prints it: every digit, and no more."""
    return f"{int(value):,}" if value == int(value) else f"{value:,}"


class _Cells:
    """Cells of one table: marks on estimates, reasons of unknown figures as notes."""

    def __init__(self) -> None:
        self.notes = Notes()

    def figure(self, figure: Content) -> str:
        """A figure: as printed, or the estimate with its mark."""
        if figure["value"] is None:
            return f"n/a {self.notes.mark(figure['reason'])}"
        if figure["source"] == "published" and figure["value"] == figure["printed"]:
            return printed(figure["value"])
        return f"{number(float(figure['value']))} {self.notes.mark(ESTIMATED)}"

    def converted(self, figure: Content) -> str:
        """Emissions in the unit that the source does not use."""
        if figure["source"] != "published":
            return self.figure(figure)
        return f"{number(float(figure['value']))} {self.notes.mark(CONVERTED)}"

    def cost(self, low: Content, high: Content) -> str:
        """A range of costs with its currency."""
        if low["value"] is None or high["value"] is None:
            return f"n/a {self.notes.mark(low['reason'] or high['reason'])}"
        ends = dict.fromkeys(
            printed(end["value"]) if end["source"] == "published" else number(float(end["value"]))
            for end in (low, high)
        )
        text = f"{' to '.join(ends)} {low['unit']}"
        is_printed = low["source"] == high["source"] == "published"
        return text if is_printed else f"{text} {self.notes.mark(ESTIMATED)}"

    def hours(self, entered: Content) -> str:
        """The hours, with the remark of the row."""
        text = printed(entered["hours"])
        return f"{text} {self.notes.mark(entered['note'])}" if entered["note"] else text


def _emissions(cells: _Cells, line: Line) -> tuple[str, str]:
    """Emissions in pounds and in kg; the one that is not printed is converted."""
    pounds, kilos = line["figures"]["co2e_lb"], line["figures"]["co2e_kg"]
    if line["entered"]["co2e_kg"] is not None:
        return cells.converted(pounds), cells.figure(kilos)
    return cells.figure(pounds), cells.converted(kilos)


def _models(lines: Sequence[Line]) -> Table:
    """The columns of table 3 of Strubell et al. 2019."""
    cells = _Cells()
    rows = []
    for line in lines:
        entered, figures = line["entered"], line["figures"]
        power = figures["power_w"]
        pounds, kilos = _emissions(cells, line)
        rows.append(
            row(
                entered["model"],
                entered["hardware"],
                f"n/a {cells.notes.mark(power['reason'])}"
                if power["value"] is None
                else printed(round(power["value"], 6)),
                cells.hours(entered),
                cells.figure(figures["facility_energy_kwh"]),
                pounds,
                kilos,
                cells.cost(figures["cost_low"], figures["cost_high"]),
            )
        )
    return table("published", "Published models", strubell.COLUMNS, rows, cells.notes.lines())


def _research(lines: Sequence[Line]) -> Table:
    """One model, one tuning, all research: table 4 of Strubell et al. 2019."""
    cells = _Cells()
    rows: list[Row] = []
    for line in lines:
        entered, figures = line["entered"], line["figures"]
        pounds, kilos = _emissions(cells, line)
        electricity = figures["electricity_cost"]
        rows.append(
            row(
                f"{entered['model']}: {PARTS[entered['part']]}",
                f"{entered['models']:,}",
                cells.hours(entered),
                cells.cost(figures["cost_low"], figures["cost_high"]),
                cells.cost(electricity, electricity),
                cells.figure(figures["facility_energy_kwh"]),
                pounds,
                kilos,
            )
        )
    columns = [
        column("Work", weight=2.0),
        column("Models", "right", 0.8),
        column("Hours", "right", 1.2),
        column("Cloud compute cost", "right", 1.9),
        column("Electricity", "right", 1.2),
        column("kWh·PUE", "right", 1.2),
        column("CO2e (lb)", "right", 1.2),
        column("CO2e (kg)", "right", 1.3),
    ]
    caption = "Published cost of one model, its tuning and all research"
    return table("published-research", caption, columns, rows, cells.notes.lines())


def _checks(lines: Sequence[Line]) -> Table:
    """What hardware and hours give, beside what is printed."""
    rows = []
    for line in lines:
        own = "co2e_lb" if line["entered"]["co2e_kg"] is not None else "co2e_kg"
        for name, label in CHECKED.items():
            figure = line["figures"][name]
            if figure["printed"] is None or figure["estimate"] is None or name == own:
                continue
            ratio = figure["estimate"] / figure["printed"] - 1 if figure["printed"] else None
            rows.append(
                row(
                    _name(line),
                    label,
                    printed(figure["printed"]),
                    f"{figure['estimate']:,.2f}",
                    "to the printed digit"
                    if figure["agrees"]
                    else "differs"
                    if ratio is None
                    else f"differs by {difference(ratio)}",
                )
            )
    columns = [
        column("Row", weight=2.2),
        column("Figure", weight=1.2),
        column("Printed", "right", 1.2),
        column("From hardware and hours", "right", 1.6),
        column("Agreement", weight=1.8),
    ]
    return table("published-check", "Published figures, computed again", columns, rows)


def _equivalents(lines: Sequence[Line]) -> Table:
    """The emissions of each row as multiples of well-known ones."""
    notes = Notes()
    first = next(line["equivalents"] for line in lines)
    names = [each["name"] for each in first]
    rows = []
    for line in lines:
        times = [each["times"] for each in line["equivalents"]]
        shown = [
            f"n/a {notes.mark(each['reason'])}" if each["value"] is None else number(each["value"])
            for each in times
        ]
        rows.append(row(_name(line), *shown))
    columns = [column("Row", weight=1.8), *(column(name, "right", 1.4) for name in names)]
    caption = "Emissions as multiples of well-known ones"
    citations = dict.fromkeys(each["citation"].partition(" (")[0] for each in first)
    return table("published-equivalents", caption, columns, rows, [*citations, *notes.lines()])


NO_RUNS = "The paper has no runs of its own: its rows are figures that others published."


def lead(content: Content) -> str:
    """The whole report of a paper without runs, in two sentences."""
    return f"{NO_RUNS} {counted(len(content['published']), 'row')}, none of them metered here."


def statements() -> list[Section]:
    """What a report without runs states in place of its methods and forms."""
    headings = {
        "methods": "Methods statement",
        "neurips": "NeurIPS checklist: compute resources",
        "eu-ai-act": "EU AI Act: computational resources and energy",
    }
    return [
        {"id": id_, "heading": heading, "paragraphs": [NO_RUNS], "tables": []}
        for id_, heading in headings.items()
    ]


def csv_line(line: Line) -> dict[str, Any]:
    """A line of the CSV: in columns of its own, so that no sum over runs includes it."""
    entered, figures = line["entered"], line["figures"]
    plain = ("id", "origin", "model", "hardware", "part", "models", "hours", "pue", "g_per_kwh")
    cells = {f"published_{name}": entered[name] for name in plain}
    for name, figure in figures.items():
        cells[f"published_{name}"] = figure["value"]
        cells[f"published_{name}_source"] = figure["source"]
        cells[f"published_{name}_reason"] = figure["reason"] or figure["interval_reason"]
        cells[f"published_{name}_estimate"] = figure["estimate"]
    more = ("currency", "note", "basis", "year", "source", "source_url", "licence")
    return cells | {f"published_{name}": entered[name] for name in more}
