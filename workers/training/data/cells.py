"""A table's cells, checked column by column."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pricetag.recipes.labels import class_name
from pricetag.storable import is_unicode
from workers.job.request import JobError
from workers.training.data.tables import Table


@dataclass(frozen=True)
class Cells:
    """The cells of a table, checked as texts, classes or scores.

    Attributes:
        table: The table.
        field: The option that names its file.
    """

    table: Table
    field: str

    def texts(self, column: str) -> list[str]:
        """The cells of a column as texts that UTF-8 can encode."""
        cells = self.table.columns[column]
        for index, cell in enumerate(cells):
            if not isinstance(cell, str):
                raise self.bad(column, index, "is not text")
            if not is_unicode(cell):
                raise self.bad(column, index, "is not Unicode: half of a surrogate pair")
        if not any(cell.strip() for cell in cells):
            message = f"every text in the column '{column}' is empty"
            raise JobError("empty-data", message, self.field)
        return list(cells)

    def classes(self, column: str) -> list[str]:
        """The cells of a column as class names: ``1``, ``"1"`` and ``1.0`` are one class."""
        names = []
        shared: dict[str, str] = {}  # one string per class, not one per row
        for index, cell in enumerate(self.table.columns[column]):
            name = class_name(cell)
            if name is None or not is_unicode(name):
                raise self.bad(column, index, "is not a class")
            names.append(shared.setdefault(name, name))
        return names

    def scores(self, column: str) -> list[float]:
        """The cells of a column as finite numbers."""
        scores = []
        for index, cell in enumerate(self.table.columns[column]):
            try:
                score = float(cell)
            except (TypeError, ValueError, OverflowError):
                score = math.nan
            if not math.isfinite(score):
                raise self.bad(column, index, "is not a number")
            scores.append(score)
        return scores

    def bad(self, column: str, index: int, problem: str) -> JobError:
        """The error for a cell that cannot be used."""
        cell = self.table.columns[column][index]
        message = f"{self.table.where(index)}, column '{column}': {cell!r:.60} {problem}"
        return JobError("bad-cell", message, self.field)
