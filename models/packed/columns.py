"""Readings of one component as columns: six floats, any of which may be missing, and flags."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pricetag.accounting.readings.reading import Reading

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

FLOATS = ("t_s", "counter_j", "integrated_j", "power_w", "own_busy_s", "all_busy_s")
"""The columns of floats, in their stored order."""

NO_FLAGS = "[]"


@dataclass(frozen=True, eq=False)
class FloatColumn:
    """Floats, some of which may be missing.

    Attributes:
        values: Shape `[readings]`; 0.0 where a value is missing.
        known: Shape `[readings]`; False where a value is missing.
    """

    values: Floats
    known: Mask

    @classmethod
    def of(cls, values: Iterable[float | None]) -> FloatColumn:
        """A column of Python values; None where one is missing."""
        listed = list(values)
        is_known = np.array([value is not None for value in listed], dtype=bool)
        filled = [0.0 if value is None else value for value in listed]
        return cls(np.array(filled, dtype=np.float64), is_known)

    def __getitem__(self, part: slice) -> FloatColumn:
        return FloatColumn(self.values[part], self.known[part])

    def tolist(self) -> list[Any]:
        """Python floats, with None where a value is missing."""
        values: list[Any] = self.values.tolist()
        if not self.known.all():
            for index in np.flatnonzero(~self.known):
                values[index] = None
        return values

    def or_nan(self) -> Floats:
        """The values, with NaN where one is missing; not to be changed."""
        return self.values if self.known.all() else np.where(self.known, self.values, np.nan)


@dataclass(frozen=True, eq=False)
class Columns:
    """Readings of one component of one attempt, in order of their journal.

    Attributes:
        seq: Numbers of the journal's records, shape `[readings]`, ascending.
        floats: The columns of :data:`FLOATS`.
        flag_sets: Each list of flags that occurs, once, as JSON text.
        flag_index: Place in `flag_sets` of each reading's flags, shape `[readings]`.
    """

    seq: NDArray[np.int32]
    floats: tuple[FloatColumn, ...]
    flag_sets: tuple[str, ...]
    flag_index: NDArray[np.uint32]

    @classmethod
    def of(cls, seq: Sequence[int], floats: Sequence[FloatColumn], flags: Sequence[str]) -> Columns:
        """Columns from each reading's flags as JSON text."""
        places: dict[str, int] = {}
        index = [places.setdefault(text, len(places)) for text in flags]
        return cls(
            np.array(seq, dtype=np.int32),
            tuple(floats),
            tuple(places),
            np.array(index, dtype=np.uint32),
        )

    @classmethod
    def empty(cls) -> Columns:
        """No readings."""
        return cls.of([], [FloatColumn.of([]) for _ in FLOATS], [])

    def __len__(self) -> int:
        return len(self.seq)

    def __getitem__(self, part: slice) -> Columns:
        floats = tuple(column[part] for column in self.floats)
        return Columns(self.seq[part], floats, self.flag_sets, self.flag_index[part]).compact()

    def compact(self) -> Columns:
        """The same readings without flags that do not occur, in order of first occurrence."""
        used, first = np.unique(self.flag_index, return_index=True)
        order = used[np.argsort(first)]
        if len(order) == len(self.flag_sets) and bool((order == np.arange(len(order))).all()):
            return self
        places = np.zeros(len(self.flag_sets) + 1, dtype=np.uint32)
        places[order] = np.arange(len(order), dtype=np.uint32)
        sets = tuple(self.flag_sets[place] for place in order)
        return Columns(self.seq, self.floats, sets, places[self.flag_index])

    def column(self, name: str) -> FloatColumn:
        """One of :data:`FLOATS`."""
        return self.floats[FLOATS.index(name)]

    @cached_property
    def flag_lists(self) -> list[list[str]]:
        """The lists of flags that occur."""
        return [json.loads(text) for text in self.flag_sets]

    def flagged(self, names: Iterable[str]) -> Mask:
        """Which readings have one of some flags."""
        wanted = set(names)
        hits = np.array([not wanted.isdisjoint(flags) for flags in self.flag_lists], dtype=bool)
        return hits[self.flag_index] if len(hits) else np.zeros(len(self), dtype=bool)

    def readings(self) -> list[Reading]:
        """The readings of the accounting."""
        flags = [tuple(names) for names in self.flag_lists]
        t_s, counter_j, integrated_j, power_w, own_s, all_s = (
            column.tolist() for column in self.floats
        )
        flag_tuples = [flags[place] for place in self.flag_index.tolist()]
        return list(map(Reading, t_s, counter_j, integrated_j, power_w, flag_tuples, own_s, all_s))


def joined(parts: Sequence[Columns]) -> Columns:
    """Consecutive parts as one; a reading that two parts share is taken once.

    Args:
        parts: In order; a part may begin with the last reading of the part before it.
    """
    cut_parts: list[Columns] = []
    last_seq = -1
    for part in parts:
        first = int(np.searchsorted(part.seq, last_seq, side="right"))
        if first < len(part):
            cut_parts.append(part[first:] if first else part)
            last_seq = int(part.seq[-1])
    if len(cut_parts) <= 1:
        return cut_parts[0] if cut_parts else Columns.empty()
    places: dict[str, int] = {}
    index = []
    for part in cut_parts:
        own = [places.setdefault(text, len(places)) for text in part.flag_sets]
        index.append(np.array(own, dtype=np.uint32)[part.flag_index])
    floats = tuple(
        FloatColumn(
            np.concatenate([part.floats[place].values for part in cut_parts]),
            np.concatenate([part.floats[place].known for part in cut_parts]),
        )
        for place in range(len(FLOATS))
    )
    seq = np.concatenate([part.seq for part in cut_parts])
    return Columns(seq, floats, tuple(places), np.concatenate(index))
