"""Zeus: the windows of ``ZeusMonitor(log_file=...)``, accelerators alone.

Source: Zeus, ``zeus/monitor/energy.py``.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Mapping

from pricetag.imports import fields, tables
from pricetag.imports.imported import Imported, Part
from pricetag.imports.source import Skipped, Source

TOOL = "Zeus"
MARKS = frozenset({"start_time", "window_name", "elapsed_time"})
INSIDE = "a window within another one, whose energy contains its own"
EDGE_S = 1e-3
"""Edges of nested windows may differ by this, in s."""

OVERLAP_S = 0.1
"""Overlap of windows in a row, in s, that the time to read counters explains."""

GPU = re.compile(r"gpu(\d+)_energy")
GPU_NOTE = "energy counter of the accelerator, or its sampled power, as read by Zeus"


def read(source: Source) -> Iterator[Imported | Skipped]:
    """The outermost windows of a log; the energy of a window contains that of those within it.

    Raises:
        ImportFileError: If the file or a line is invalid.
        OSError: If it cannot be read.
    """
    nested = _nested(source)
    for index, (line, row) in enumerate(tables.rows(source.lines())):
        if nested[index]:
            yield Skipped(line, INSIDE)
        else:
            yield _imported(row, line, source)


def _nested(source: Source) -> bytearray:
    """For each window, whether another one contains it.

    Raises:
        ImportFileError: If a line is invalid, or two windows overlap in part.
    """
    starts, ends, lines = array("d"), array("d"), array("q")
    for line, row in tables.rows(source.lines()):
        tables.require_columns(row, *sorted(MARKS))
        try:
            start = fields.moment(row["start_time"].strip(), "start_time", source.zone)
            starts.append(start.timestamp())
            ends.append(starts[-1] + fields.required_amount(row, "elapsed_time"))
            lines.append(line)
        except fields.FieldError as error:
            raise tables.ImportFileError(str(error), line) from error
    nested = bytearray(len(starts))
    reach_s, reaching = float("-inf"), 0
    for index in sorted(range(len(starts)), key=lambda each: (starts[each], -ends[each])):
        nested[index] = ends[index] <= reach_s + EDGE_S
        if not nested[index] and (overlap_s := reach_s - starts[index]) > OVERLAP_S:
            first, second = sorted((reaching, lines[index]))
            raise tables.ImportFileError(
                f"this window and that of line {first:,} overlap by {overlap_s:.6g} s, whose "
                "energy both contain: leave one of them out",
                second,
            )
        if ends[index] > reach_s:
            reach_s, reaching = ends[index], lines[index]
    return nested


def _imported(row: Mapping[str, str], line: int, source: Source) -> Imported:
    try:
        parts = [
            Part("gpu", f"GPU {index[1]}", value, id=f"gpu:{index[1]}", notes=GPU_NOTE)
            for name in row
            if (index := GPU.fullmatch(name)) and (value := fields.amount(row, name)) is not None
        ]
        window = row["window_name"].strip() or "window"
        start = row["start_time"].strip()
        duration_s = fields.required(row, "elapsed_time")
        key = "\n".join(f"{name} {value.strip()}" for name, value in sorted(row.items()))
        return Imported(
            tool=TOOL,
            measured_by="zeus",
            key=key,
            name=window,
            started_at=fields.moment(start, "start_time", source.zone),
            duration_s=duration_s,
            parts=parts,
            devices=[{"kind": "gpu", "name": part.name, "uuid": None} for part in parts],
            remarks=[
                "Zeus wrote the energy of accelerators alone: that of processors and memory is "
                "unknown"
            ],
            line=line,
        )
    except fields.FieldError as error:
        raise tables.ImportFileError(str(error), line) from error
