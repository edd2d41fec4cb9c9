"""Readings that are rows, sent by the database as one string of bytes a component."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from models.packed.columns import FLOATS, NO_FLAGS, Columns, FloatColumn

_ROW = np.dtype([("seq", ">i4"), ("known", ">i2"), *((name, ">f8") for name in FLOATS)])

_KNOWN = " | ".join(f"(({name} IS NOT NULL)::int << {bit})" for bit, name in enumerate(FLOATS))
_FLOATS = " || ".join(f"float8send(coalesce({name}, 0))" for name in FLOATS)

ROWS_SQL = f"string_agg(int4send(seq) || int2send(({_KNOWN})::int2) || {_FLOATS}, '' ORDER BY seq)"
"""All readings of a group."""

FLAGS_SQL = "jsonb_object_agg(seq, flags) FILTER (WHERE flags <> '[]')"
"""The flags of those that have some."""


def columns_of(rows: bytes | None, flags: Mapping[str, Any] | None) -> Columns:
    """Columns of what :data:`ROWS_SQL` and :data:`FLAGS_SQL` select."""
    if not rows:
        return Columns.empty()
    table = np.frombuffer(rows, dtype=_ROW)
    known_bits = table["known"].astype(np.int64)
    floats = [
        FloatColumn(table[name].astype(np.float64), ((known_bits >> bit) & 1).astype(bool))
        for bit, name in enumerate(FLOATS)
    ]
    seq = table["seq"].astype(np.int32)
    places = {NO_FLAGS: 0}
    index = np.zeros(len(seq), dtype=np.uint32)
    for key, value in (flags or {}).items():
        index[np.searchsorted(seq, int(key))] = places.setdefault(json.dumps(value), len(places))
    return Columns(seq, tuple(floats), tuple(places), index).compact()
