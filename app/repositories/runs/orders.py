"""Orders of runs, and the part of one that is searched."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, DateTime, Double, and_, cast, literal, or_, tuple_

from app.repositories.runs.selection import Selection
from models import Run
from models.run import finished_or_never, lifetime

Position = tuple[str, uuid.UUID]
"""A place in an order: the sort key of a run, as text, and its id."""

FIRST_ID = uuid.UUID(int=0)
LAST_ID = uuid.UUID(int=2**128 - 1)
UNFINISHED: Position = ("infinity", FIRST_ID)
"""Before all runs without a key, and after all others, by key."""

FIGURES = ("it_energy_kwh", "cost")
"""Figures of the newest price tag that runs can be sorted by."""


@dataclass(frozen=True)
class Order:
    """An order of runs: by a key, then by id.

    Attributes:
        column: The key.
        descending: Whether the largest key is first.
        unfinished_first: Whether runs without a key (which are not finished, or whose figure is
            unknown) come before all others; otherwise they come after them, in either direction.
        currency: Of an order by `cost`: a cost in another one is like an unknown one.
    """

    column: str
    descending: bool
    unfinished_first: bool = False
    currency: str | None = None

    @classmethod
    def parse(cls, sort: str, currency: str | None = None) -> Order:
        """Reads the name of a column or figure, with `-` before it for descending."""
        return cls(sort.removeprefix("-"), sort.startswith("-"), currency=currency)

    @property
    def is_by_figure(self) -> bool:
        """Whether the key is a figure of the run's newest price tag."""
        return self.column in FIGURES

    def backwards(self) -> Order:
        """The same order from its end."""
        return replace(
            self, descending=not self.descending, unfinished_first=not self.unfinished_first
        )

    def key(self, runs: Any) -> ColumnElement[Any]:
        """What is sorted by, of an order by a column; `infinity` for a run that continues."""
        if self.column == "finished_at":
            return finished_or_never(runs.finished_at)
        column: ColumnElement[Any] = getattr(runs, self.column)
        return column

    def by(self, *columns: ColumnElement[Any]) -> list[ColumnElement[Any]]:
        return [column.desc() if self.descending else column.asc() for column in columns]

    def parts_by(self, key: ColumnElement[Any], run_id: ColumnElement[Any]) -> list[Any]:
        """The order of runs of several parts: those without a key are a part by themselves.

        Args:
            key: As `key` has it, or the like of a figure.
            run_id: The runs.
        """
        if self.column not in ("finished_at", *FIGURES):
            return self.by(key, run_id)
        is_without = key == self.literal(UNFINISHED[0])
        return [is_without.desc() if self.unfinished_first else is_without, *self.by(key, run_id)]

    def literal(self, key: str) -> ColumnElement[Any]:
        """A value of the key."""
        if self.column == "name":
            return literal(key)
        return cast(literal(key), Double if self.is_by_figure else DateTime(timezone=True))

    def key_text(self, stored: str | None) -> str:
        """A value of the key that the database has made a text of, as it is in positions."""
        if stored is None or (self.is_by_figure and stored == "Infinity"):
            return UNFINISHED[0]
        if self.column == "name":
            return stored
        if self.is_by_figure:
            return str(float(stored))
        return stored if stored == "infinity" else _moment(stored).isoformat()

    def comparable(self, position: Position) -> tuple[Any, uuid.UUID]:
        key, run_id = position
        if self.column == "name":
            return key, run_id
        if self.is_by_figure:
            return float(key), run_id
        infinite = key == "infinity"
        return (datetime.max.replace(tzinfo=UTC) if infinite else _moment(key)), run_id


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@dataclass(frozen=True)
class Span:
    """The part of an order that is searched; both ends are excluded, None is open.

    Attributes:
        during: Runs of this part that are selected lived at this time.
    """

    low: Position | None
    high: Position | None
    during: datetime | None = None

    @classmethod
    def ahead(cls, selection: Selection, order: Order, after: Position | None) -> list[Span]:
        """What follows a position, in one part or two: runs without a key go together."""
        keys = cls._of(selection, order)
        keeps_key_order = order.descending == order.unfinished_first
        is_one = order.column != "finished_at" or keeps_key_order or keys.high is not None
        if is_one and not order.is_by_figure:
            return [keys.past(order, after)]
        finished, unfinished = replace(keys, high=UNFINISHED), replace(keys, low=UNFINISHED)
        spans = [unfinished, finished] if order.unfinished_first else [finished, unfinished]
        if after is None:
            return spans
        own = unfinished if after[0] == UNFINISHED[0] else finished
        return [own.past(order, after), *spans[spans.index(own) + 1 :]]

    @classmethod
    def _of(cls, selection: Selection, order: Order) -> Span:
        """The part of an order that the selection's times leave."""
        low, high = None, None
        if order.column in ("created_at", "finished_at"):
            start, end = selection.bounds(order.column)
            # No finished run lies at infinity, and every one lies before it.
            if start is not None or end is not None:
                low = None if start is None else (start.isoformat(), LAST_ID)
                high = UNFINISHED if end is None else (end.isoformat(), FIRST_ID)
        return cls(low, high)

    @property
    def is_without_key(self) -> bool:
        """Whether its runs have no key."""
        return self.low is not None and self.low[0] == UNFINISHED[0]

    def past(self, order: Order, position: Position | None) -> Span:
        """What follows a position in the order."""
        if position is None:
            return self
        if order.descending:
            ends = [end for end in (self.high, position) if end is not None]
            return replace(self, high=min(ends, key=order.comparable))
        ends = [end for end in (self.low, position) if end is not None]
        return replace(self, low=max(ends, key=order.comparable))

    def parts(self, order: Order, selection: Selection) -> Iterator[Span]:
        """The span in parts, in the order, each of which has the selected runs close together.

        A run finishes soon after it is posted. Those posted before a time that finished after it
        are few; an index has them, and all others that finished after it need not be read.
        """
        bounds = selection.bounds("created_at")
        if order.column != "finished_at" or bounds == (None, None):
            yield self
            return
        after, before = bounds
        between = self
        parts = []
        if after is not None:
            early, between = between._cut(order, after)
            parts.append(replace(early, during=after))
        if before is not None:
            between, late = between._cut(order, before)
            parts.append(replace(late, during=before))
        parts.insert(1 if after is not None else 0, between)
        for part in reversed(parts) if order.descending else parts:
            if not part._is_empty(order):
                yield part

    def _cut(self, order: Order, moment: datetime) -> tuple[Span, Span]:
        """What lies before a time, and the rest."""
        # No run has this id, so that the place belongs to neither.
        place = (moment.isoformat(), FIRST_ID)
        lows = [end for end in (self.low, place) if end is not None]
        highs = [end for end in (self.high, place) if end is not None]
        return (
            replace(self, high=min(highs, key=order.comparable)),
            replace(self, low=max(lows, key=order.comparable)),
        )

    def _is_empty(self, order: Order) -> bool:
        if self.low is None or self.high is None:
            return False
        return order.comparable(self.low) >= order.comparable(self.high)


def within(order: Order, span: Span, runs: Any = Run) -> list[ColumnElement[bool]]:
    """That a run of a table, or of a subquery with its columns, is in a part of an order."""
    return between(order, span, order.key(runs), runs.id)


def between(order: Order, span: Span, key: Any, run_id: Any) -> list[ColumnElement[bool]]:
    """That a key and an id are in a part of an order."""
    place = tuple_(key, run_id)
    conditions: list[ColumnElement[bool]] = []
    if span.low is not None:
        conditions.append(place > tuple_(*literals(order, span.low)))
    if span.high is not None:
        conditions.append(place < tuple_(*literals(order, span.high)))
    return conditions


def within_any(
    order: Order, spans: Sequence[Span], key: Any, run_id: Any
) -> list[ColumnElement[bool]]:
    """That a key and an id are in one of several parts of an order."""
    each = [between(order, span, key, run_id) for span in spans]
    if not all(each):
        return []
    return [or_(*(and_(*conditions) for conditions in each))]


def lived_at(moment: datetime) -> ColumnElement[bool]:
    """That a run lived at a time, by the index of lifetimes."""
    bound = literal(moment, DateTime(timezone=True))
    return lifetime(Run.created_at, Run.finished_at).contains(bound)


def literals(order: Order, position: Position) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """A place in an order, as values."""
    return order.literal(position[0]), literal(position[1], Run.id.type)
