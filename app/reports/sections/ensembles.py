"""Ensembles of classifiers: accuracy and energy against the number of members."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.reports.cells import Notes, column_unit
from app.reports.shape import Section, Table, column, row, table
from pricetag.studies.ensemble import ensemble_note
from pricetag.tag.figure import figure_of

Content = Mapping[str, Any]


def section(content: Content) -> Section | None:
    """The ensembles of each study of this kind; None without any."""
    studies = content["ensembles"]
    if not studies:
        return None
    return {
        "id": "ensembles",
        "heading": "Ensembles",
        "paragraphs": [f"{study['name']}: {ensemble_note(study)}" for study in studies],
        "tables": [_table(number, study) for number, study in enumerate(studies, 1)],
    }


def _table(number: int, study: Content) -> Table:
    notes = Notes()
    points = study["points"]
    making = [figure_of(point["making_kwh"]) for point in points]
    inference = [figure_of(point["inference_kwh"]) for point in points]
    made, used = column_unit(making, "kWh"), column_unit(inference, "kWh")
    rows = []
    for point, make, use in zip(points, making, inference, strict=True):
        accuracy = figure_of(point["accuracy"])
        rows.append(
            row(
                str(point["members"]),
                str(point["ensembles"]),
                notes.figure(accuracy),
                "" if accuracy.low is None else notes.interval(accuracy),
                notes.figure(make, made[1]),
                notes.interval(make, made[1]),
                notes.figure(use, used[1]),
                notes.interval(use, used[1]),
            )
        )
    columns = [
        column("Members", "right", 0.8),
        column("Ensembles", "right", 0.9),
        column("Accuracy", "right"),
        column("Lowest to highest", "right", 1.4),
        column(f"To make ({made[0]})", "right", 1.1),
        column(f"95% interval ({made[0]})", "right", 1.5),
        column(f"To evaluate ({used[0]})", "right", 1.1),
        column(f"95% interval ({used[0]})", "right", 1.5),
    ]
    caption = f"{study['name']}: accuracy and IT energy against the number of members"
    return table(f"ensembles-{number}", caption, columns, rows, notes.lines())
