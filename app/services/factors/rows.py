"""Factors as entered: which row applies to a site at a given time."""

from __future__ import annotations

import uuid
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from models import Factor as FactorRow
from pricetag.accounting.bill.inputs import Factor
from pricetag.accounting.quantity.quantity import SOURCES, Source

Origin = Literal["site", "lab", "settings", "catalog"]
"""Origin of a factor: the site's rows, the lab's rows, the settings or the catalog."""

ANY = ("",)
HOUR = timedelta(hours=1)
ZONED = frozenset({"carbon_location", "water_intensity"})


@dataclass(frozen=True, slots=True)
class SourcedFactor:
    """A factor with its origin, and its row if it was entered."""

    factor: Factor
    origin: Origin
    row: FactorRow | None = None


class _Applying(NamedTuple):
    """When a row applies, read once: attributes of a mapped row are slow."""

    subject: str
    valid_from: datetime
    valid_to: datetime | None
    is_of_site: bool
    row: FactorRow


@dataclass(frozen=True, slots=True)
class FactorBook:
    """The rows that a site may use, newest first.

    Attributes:
        rows: Rows of the site and of the lab.
        site_id: Id of the site; None where it is not in the database: then only the lab's
            rows are included.
    """

    rows: Sequence[FactorRow]
    site_id: uuid.UUID | None
    _by_kind: dict[str, list[_Applying]] = field(default_factory=dict, init=False, compare=False)

    def row(self, kind: str, at: datetime, subjects: Iterable[str] = ANY) -> FactorRow | None:
        """The row that applies: the site's before the lab's, and the latest of several.

        Args:
            kind: Kind of factor.
            at: Beginning of the hour in which the energy was used.
            subjects: Subjects to accept, ignoring case.
        """
        folded = {subject.casefold() for subject in subjects}
        of_lab: FactorRow | None = None
        for subject, valid_from, valid_to, is_of_site, row in self._of(kind):
            if subject not in folded or not _is_valid(valid_from, valid_to, at):
                continue
            if is_of_site:
                return row
            of_lab = of_lab or row
        return of_lab

    def rows_of(
        self, kind: str, hours: Iterable[datetime], subjects: Iterable[str] = ANY
    ) -> dict[datetime, FactorRow | None]:
        """The row that applies in each hour, as ``row`` finds it.

        It is looked up once for all hours between which no row begins or ends to apply.
        """
        starts = sorted(row.valid_from - HOUR for row in self._of(kind))
        ends = sorted(row.valid_to for row in self._of(kind) if row.valid_to is not None)
        wanted = tuple(subjects)
        by_place: dict[tuple[int, int], FactorRow | None] = {}
        rows = {}
        for hour in hours:
            place = bisect_left(starts, hour), bisect_right(ends, hour)
            if place not in by_place:
                by_place[place] = self.row(kind, hour, wanted)
            rows[hour] = by_place[place]
        return rows

    def _of(self, kind: str) -> list[_Applying]:
        if kind not in self._by_kind:
            self._by_kind[kind] = [
                _Applying(
                    row.subject.casefold(),
                    row.valid_from,
                    row.valid_to,
                    row.site_id is not None,
                    row,
                )
                for row in self.rows
                if row.kind == kind
            ]
        return self._by_kind[kind]

    def find(self, kind: str, at: datetime, subjects: Iterable[str] = ANY) -> SourcedFactor | None:
        """Same as ``row``, as a factor with its origin."""
        row = self.row(kind, at, subjects)
        return None if row is None else with_origin(row)


def holds(row: FactorRow, hour: datetime) -> bool:
    """Whether a row is valid in some part of the hour that begins at an instant."""
    return _is_valid(row.valid_from, row.valid_to, hour)


def _is_valid(valid_from: datetime, valid_to: datetime | None, hour: datetime) -> bool:
    return valid_from < hour + HOUR and (valid_to is None or hour < valid_to)


def with_origin(row: FactorRow) -> SourcedFactor:
    """A row as a factor with its origin."""
    return SourcedFactor(as_factor(row), "lab" if row.site_id is None else "site", row)


def as_factor(row: FactorRow) -> Factor:
    """A row as a factor of the accounting."""
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
    """A stored kind of evidence.

    Raises:
        ValueError: If the kind is unknown.
    """
    for source in SOURCES:
        if source == stored:
            return source
    raise ValueError(f"{stored!r} is not a kind of evidence")
