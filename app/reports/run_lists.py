"""Lists of runs as files: every figure as CSV, and a table for Markdown or LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from app.reports import latex, markdown
from app.reports.cells import Notes, column_unit
from app.reports.csv_ import cell
from app.reports.shape import Row, Table, column, row, table
from pricetag.tag.figure import Figure, figure_of
from pricetag.tag.figures import Unit, number
from pricetag.tag.status import status_text

Run = Mapping[str, Any]
"""A run of the API's list, as plain data."""

FIGURES = (
    *("duration_s", "it_energy_kwh", "facility_energy_kwh", "co2e_kg", "co2e_market_kg"),
    *("cost", "flops_dense", "kwh_per_score"),
)
PARTS = {"": "value", "_low": "low", "_high": "high", "_source": "source", "_reason": "reason"}
PLAIN = (
    *("id", "name", "project", "experiment", "user", "status", "kind"),
    *("origin", "measured_by"),
)
TIMES = ("created_at", "started_at", "finished_at")

COLUMNS = (
    *PLAIN,
    *("pool", "gpus", "tags"),
    *TIMES,
    "price_tag_version",
    *(f"{name}{suffix}" for name in FIGURES for suffix in PARTS),
    *("cost_currency", "score_metric", "score_split", "score", "hardware", "flags"),
    *("second_opinion_tool", "second_opinion_compared_with", "second_opinion_difference_ratio"),
)
"""Columns of the CSV. Times are in UTC; units are in the names."""

NO_TAG = "no price tag has been issued yet"


def csv_head() -> bytes:
    """The first line of a CSV."""
    return _written([list(COLUMNS)])


def csv_lines(runs: Sequence[Run]) -> bytes:
    """A line for each run, with exact figures, their intervals, sources and reasons."""
    return _written([[_fields(run).get(name) for name in COLUMNS] for run in runs])


def _written(lines: Sequence[Sequence[Any]]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out).writerows([cell(value) for value in line] for line in lines)
    return out.getvalue().encode()


def _fields(run: Run) -> dict[str, Any]:
    fields: dict[str, Any] = {name: run[name] for name in PLAIN}
    fields |= {name: _utc(run[name]) for name in TIMES}
    fields |= {"pool": run["resources"]["pool"], "gpus": run["resources"]["gpus"]}
    fields["tags"] = ", ".join(run["tags"])
    tag = run["price_tag"]
    if tag is None:
        return fields | {f"{name}_reason": NO_TAG for name in FIGURES}
    for name in FIGURES:
        figure = tag["figures"][name]
        fields |= {f"{name}{suffix}": figure.get(part) for suffix, part in PARTS.items()}
    cost, score, opinion = tag["figures"]["cost"], tag["score"] or {}, tag["second_opinion"] or {}
    return fields | {
        "price_tag_version": tag["version"],
        "cost_currency": cost["unit"] if cost["value"] is not None else None,
        "score_metric": score.get("metric"),
        "score_split": score.get("split"),
        "score": score.get("value"),
        "hardware": tag["hardware"],
        "flags": ", ".join(tag["flags"]),
        "second_opinion_tool": opinion.get("tool"),
        "second_opinion_compared_with": opinion.get("compared_with"),
        "second_opinion_difference_ratio": opinion.get("difference_ratio", {}).get("value"),
    }


def _utc(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def as_markdown(runs: Sequence[Run]) -> bytes:
    """The runs as a table of Markdown."""
    return (markdown.table_text(paper_table(runs)) + "\n").encode()


def as_latex(runs: Sequence[Run]) -> bytes:
    """The runs as a table of LaTeX, to be included in a document with booktabs."""
    head = "% Needs \\usepackage{booktabs}. Values with 95% intervals.\n"
    return (head + latex.table_text(paper_table(runs)) + "\n").encode("ascii")


def paper_table(runs: Sequence[Run]) -> Table:
    """Name, status, quality, time, energy, emissions and cost of runs, with intervals."""
    notes = Notes()
    energy = _unit(runs, "it_energy_kwh", "kWh")
    mass = _unit(runs, "co2e_kg", "kg")
    time = _unit(runs, "duration_s", "s")
    columns = [
        column("Run", weight=2.5),
        column("Status", weight=1.2),
        column("Quality", weight=1.6),
        column(f"Time [{time[0]}]", "right", 0.8),
        column(f"IT energy [{energy[0]}]", "right", 2.0),
        column(f"Emissions [{mass[0]} CO2e]", "right", 2.0),
        column("Cost", "right", 2.0),
    ]
    rows = [_row(run, notes, time, energy, mass) for run in runs]
    return table("runs", "Runs with 95% intervals", columns, rows, notes.lines())


def _row(run: Run, notes: Notes, time: Unit, energy: Unit, mass: Unit) -> Row:
    score = (run["price_tag"] or {}).get("score")
    return row(
        run["name"],
        status_text(run["status"]),
        "none" if score is None else _score(score),
        notes.figure(_figure(run, "duration_s"), time[1]),
        _with_interval(_figure(run, "it_energy_kwh"), notes, energy[1]),
        _with_interval(_figure(run, "co2e_kg"), notes, mass[1]),
        notes.amount(_figure(run, "cost")),
    )


def _score(score: Mapping[str, Any]) -> str:
    split = f", {score['split']}" if score["split"] else ""
    return f"{number(score['value'])} ({score['metric']}{split})"


def _figure(run: Run, name: str) -> Figure:
    tag = run["price_tag"]
    return Figure.unknown(NO_TAG) if tag is None else figure_of(tag["figures"][name])


def _unit(runs: Sequence[Run], name: str, unit: str) -> Unit:
    return column_unit([_figure(run, name) for run in runs], unit)


def _with_interval(figure: Figure, notes: Notes, size: float) -> str:
    text = notes.figure(figure, size)
    has_interval = figure.low is not None and figure.low != figure.high
    source = f"; {figure.source}" if figure.source else ""
    return f"{text} ({notes.interval(figure, size)}{source})" if has_interval else text
