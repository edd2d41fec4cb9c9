"""Factors as they were entered: which row holds for a site at a time."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from models import Factor as FactorRow
from pricetag.accounting.bill.inputs import Factor
from pricetag.accounting.quantity.quantity import SOURCES, Source

Origin = Literal["site", "lab", "settings", "catalog"]
"""Who said so: the site's rows, the lab's, this process's settings, the catalog."""

ANY = ("",)
HOUR = timedelta(hours=1)
ZONED = frozenset({"carbon_location", "water_intensity"})


@dataclass(frozen=True, slots=True)
class Found:
    """A factor, who said so, and the row if there is one."""

    factor: Factor
    origin: Origin
    row: FactorRow | None = None


@dataclass(frozen=True, slots=True)
class FactorBook:
    """The rows that a site may use, the newest first.

    Attributes:
        rows: Of the site and of the lab.
        site_id: Whose; None where there is no such site, and then only the lab's are there.
    """

    rows: Sequence[FactorRow]
    site_id: uuid.UUID | None

    def row(self, kind: str, at: datetime, subjects: Iterable[str] = ANY) -> FactorRow | None:
        """The row that holds: the site's before the lab's, of several the one entered last.

        Args:
            kind: Of the factor.
            at: Beginning of the hour in which its energy was used.
            subjects: What it may be of, in any case of letters.
        """
        wanted = {subject.casefold() for subject in subjects}
        holding = [
            row
            for row in self.rows
            if row.kind == kind and row.subject.casefold() in wanted and holds(row, at)
        ]
        own = [row for row in holding if row.site_id is not None]
        return next(iter(own or holding), None)

    def find(self, kind: str, at: datetime, subjects: Iterable[str] = ANY) -> Found | None:
        """The same, as a factor with its origin."""
        row = self.row(kind, at, subjects)
        return None if row is None else found(row)


def holds(row: FactorRow, hour: datetime) -> bool:
    """Whether a row is valid in some part of the hour that begins at an instant."""
    return row.valid_from < hour + HOUR and (row.valid_to is None or hour < row.valid_to)


def found(row: FactorRow) -> Found:
    """A row as a factor with its origin."""
    return Found(as_factor(row), "lab" if row.site_id is None else "site", row)


def as_factor(row: FactorRow) -> Factor:
    """A row as the accounting takes it."""
    return Factor(
        value=float(row.value),
        unit=row.unit,
        relative_std_ratio=row.relative_std_ratio,
        source=evidence(row.evidence),
        citation=row.source,
        year=row.year,
        basis=row.basis,
        zone=(row.subject or None) if row.kind in ZONED else None,
        licence=row.licence,
        source_url=row.source_url or None,
        multiplicative=row.multiplicative,
    )


def evidence(stored: str) -> Source:
    """A stored word of evidence.

    Raises:
        ValueError: If it is none.
    """
    for source in SOURCES:
        if source == stored:
            return source
    raise ValueError(f"{stored!r} is no evidence")
