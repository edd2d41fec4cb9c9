"""Several states of one measurement in a file: the last one counts."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import tzinfo
from itertools import pairwise

from pricetag.imports import tables
from pricetag.imports.imported import KWH_J, Imported
from pricetag.imports.source import Skipped, Source
from pricetag.imports.tables import ImportFileError


class Newest:
    """The last line of each key that a file has more than once; 16 bytes a line until then.

    Args:
        keyed: Key and line of each row, in order.
    """

    def __init__(self, keyed: Iterable[tuple[str, int]]) -> None:
        hashes, lines = array("q"), array("q")
        for key, line in keyed:
            hashes.append(hash(key))
            lines.append(line)
        repeated = {here for here, after in pairwise(sorted(hashes)) if here == after}
        self._lines = {
            each: line for each, line in zip(hashes, lines, strict=True) if each in repeated
        }

    def is_repeated(self, key: str) -> bool:
        """Whether the file has the key more than once."""
        return hash(key) in self._lines

    def has(self, key: str, line: int) -> bool:
        """Whether this is the last line of the key."""
        return self._lines.get(hash(key), line) == line


class Sums:
    """Later states of a measurement have at least the energy and the time of earlier ones.

    Args:
        newest: The keys that the file has more than once.
    """

    def __init__(self, newest: Newest) -> None:
        self._newest = newest
        self._last: dict[int, tuple[float, float, int]] = {}

    def take(self, run: Imported) -> None:
        """Takes the next state.

        Raises:
            ImportFileError: If its energy or its duration is below that of an earlier state.
        """
        if not self._newest.is_repeated(run.key):
            return
        energy_j, duration_s, line = self._last.get(hash(run.key), (0.0, 0.0, 0))
        self._last[hash(run.key)] = (run.energy_j, run.duration_s, run.line)
        for name, now, before, unit in (
            ("energy", run.energy_j / KWH_J, energy_j / KWH_J, "kWh"),
            ("duration", run.duration_s, duration_s, "s"),
        ):
            if now < before * (1 - ROUNDING):
                raise ImportFileError(
                    f"its {name}, {now:.6g} {unit}, is below that of line {line:,}, an earlier "
                    f"state of the same measurement ({before:.6g} {unit}): one of them is damaged",
                    run.line,
                )


ROUNDING = 1e-6
"""Relative difference of two figures that their digits explain."""


def newest_runs(
    source: Source,
    columns: Collection[str],
    key: Callable[[Mapping[str, str]], str],
    imported: Callable[[Mapping[str, str], int, tzinfo | None], Imported],
    earlier: str,
) -> Iterator[Imported | Skipped]:
    """The runs of a table whose rows are states of runs; earlier states are skipped.

    Args:
        source: The file, which is read twice.
        columns: Columns that it must have.
        key: Names the run of a row.
        imported: Makes a run of a row, its line and the time zone of times without one.
        earlier: Why earlier states are skipped.

    Raises:
        ImportFileError: If the file or a line is invalid.
        OSError: If it cannot be read.
    """
    newest = Newest((key(row), line) for line, row in tables.rows(source.lines()))
    sums = Sums(newest)
    for line, row in tables.rows(source.lines()):
        tables.require_columns(row, *sorted(columns))
        run = imported(row, line, source.zone)
        sums.take(run)
        yield run if newest.has(run.key, line) else Skipped(line, earlier)
