"""Responses that a notebook shows as tables; each is still the plain data of the API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib import import_module
from typing import Any

PARTS = ("low", "high", "source", "reason")
"""What a data frame has beside the value of each figure."""

FIRST = ("id", "project", "experiment", "name", "user", "tags", "kind", "status")
TIMES = ("created_at", "started_at", "finished_at")
TOTALS = {
    "duration_s": "Machine time",
    "it_energy_kwh": "IT energy",
    "facility_energy_kwh": "Facility energy",
    "co2e_kg": "CO2e",
    "cost": "Cost",
}
MOST_ROWS = 50
"""Rows of a table in a notebook."""


class MissingPackageError(ImportError):
    """A package that is not a dependency of the client is needed, and not installed."""


def text_of(figure: Mapping[str, Any] | None) -> str:
    """A figure as text: value, unit, interval and source; or n/a with the reason."""
    from pricetag.tag.figures import quantity_text

    return quantity_text(figure)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> str:
    """A table in HTML; all texts are escaped."""
    head = "".join(f"<th>{escape(each)}</th>" for each in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return (
        f"<table><caption>{escape(title)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )


class ShownPriceTag(dict[str, Any]):
    """A price tag that a notebook shows as a table of its totals and stages."""

    def _repr_html_(self) -> str:
        figures = {name: self.get(name) for name in TOTALS if name != "cost"}
        figures["cost"] = (self.get("cost") or {}).get("total")
        totals = [(label, text_of(figures[name])) for name, label in TOTALS.items()]
        title = f"{self.get('name')}, price tag {self.get('version')}"
        stages = [
            (str(stage["name"] or stage["kind"]), *(text_of(stage.get(name)) for name in STAGE))
            for stage in self.get("stages", ())
        ]
        parts = [table(("Total", "Value"), totals, title)]
        if stages:
            parts.append(table(("Stage", "Time", "IT energy", "CO2e"), stages, "Stages"))
        return "".join(parts)


STAGE = ("duration_s", "it_energy_kwh", "co2e_kg")


class ShownStudy(dict[str, Any]):
    """A study that a notebook shows with its price and its best trial."""

    def _repr_html_(self) -> str:
        sums = self.get("price_tag") or {}
        rows = [(label, text_of(sums[name])) for name, label in TOTALS.items() if name in sums]
        rows.append(("Trials", str(len(self.get("trials", ())))))
        best = self.get("best")
        if best is not None:
            rows.append(("Best trial", f"{best.get('trial')}, score {best.get('score')}"))
        saved = self.get("saved")
        if saved is not None and "it_energy_kwh" in saved:
            rows.append(("Saved", text_of(saved["it_energy_kwh"])))
        return table(("Study", "Value"), rows, f"{self.get('name')} ({self.get('status')})")


class ShownPaper(dict[str, Any]):
    """A paper that a notebook shows with its runs."""

    def _repr_html_(self) -> str:
        runs = self.get("runs", ())
        rows = [
            (
                str(run["name"]),
                str(run["experiment"]),
                str(run["status"]),
                str(run["purpose"] or "not stated"),
                "none" if run["version"] is None else f"version {run['version']}",
            )
            for run in runs[:MOST_ROWS]
        ]
        state = f"frozen {self['frozen_at']}" if self.get("frozen_at") else "collecting"
        title = f"{self.get('title')} ({state}), runs: {len(runs)}"
        return table(("Run", "Experiment", "Status", "Purpose", "Price tag"), rows, title)


class RunList(list[Any]):
    """Runs with the totals of their price tags, as a table or as a data frame."""

    def frame(self) -> Any:
        """The runs as a data frame of pandas, a row each.

        A figure has the columns ``it_energy_kwh``, ``it_energy_kwh_low``, ``_high``, ``_source``
        and ``_reason``; the unit of each figure is in ``frame.attrs["units"]``, and the currency
        of the cost in the column ``cost_currency``. An unknown figure is missing.

        Raises:
            MissingPackageError: If pandas is not installed.
        """
        try:
            pandas = import_module("pandas")
        except ImportError as error:
            raise MissingPackageError(
                "a data frame needs pandas, which is not installed: pip install pandas"
            ) from error
        rows = [_row(run) for run in self]
        columns = list(dict.fromkeys(name for row in rows for name in row)) or [*FIRST, *TIMES]
        frame = pandas.DataFrame(rows, columns=columns)
        for name in TIMES:
            frame[name] = pandas.to_datetime(frame[name], utc=True, format="ISO8601")
        frame.attrs["units"] = {
            name: figure["unit"] for run in self for name, figure in _figures(run) if name != "cost"
        }
        return frame

    def _repr_html_(self) -> str:
        names = ("it_energy_kwh", "co2e_kg", "cost")
        rows = []
        for run in self[:MOST_ROWS]:
            figures = dict(_figures(run))
            texts = (text_of(figures[name]) if name in figures else "n/a" for name in names)
            rows.append((str(run["name"]), str(run["project"]), str(run["status"]), *texts))
        heads = ("Run", "Project", "Status", "IT energy", "CO2e", "Cost")
        return table(heads, rows, f"Runs: {len(self)}")


def _figures(run: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    tag = run.get("price_tag")
    if tag is not None:
        yield from tag["figures"].items()


def _row(run: Mapping[str, Any]) -> dict[str, Any]:
    row = {name: run.get(name) for name in (*FIRST, *TIMES)}
    for name, figure in _figures(run):
        row[name] = figure["value"]
        row |= {f"{name}_{part}": figure.get(part) for part in PARTS}
        if name == "cost":
            row["cost_currency"] = figure["unit"] if figure["value"] is not None else None
    tag = run.get("price_tag") or {}
    score = tag.get("score") or {}
    row |= {f"score_{part}": score.get(part) for part in ("metric", "split", "value")}
    return row | {"hardware": tag.get("hardware")}
