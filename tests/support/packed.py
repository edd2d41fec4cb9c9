"""Invented readings in columns, for tests of their storage."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from sqlalchemy import delete, func, insert, select

from app.db import Database, Session
from app.repositories.readings import readings
from app.services.attempts import packing
from models import Reading, ReadingBlock
from models.packed.columns import FLOATS, Columns, FloatColumn
from tests.support.executions import claimed, make_run

GPU, ZONE = "gpu:1", "rapl:0"

FLAGS: tuple[tuple[str, ...], ...] = (
    (),
    ("tick",),
    ("gap",),
    ("reset",),
    ("implausible_power",),
    ("lost", "gap"),
)


def columns_of(rows: Sequence[dict[str, Any]]) -> Columns:
    """Columns of records with `seq`, `flags` and floats."""
    floats = [FloatColumn.of([row.get(name) for row in rows]) for name in FLOATS]
    flags = [json.dumps(list(row["flags"])) for row in rows]
    return Columns.of([row["seq"] for row in rows], floats, flags)


def rows_of(columns: Columns) -> list[dict[str, Any]]:
    """The records of columns."""
    values = [column.tolist() for column in columns.floats]
    return [
        {"seq": seq, "flags": columns.flag_lists[place], **dict(zip(FLOATS, row, strict=True))}
        for seq, place, *row in zip(
            columns.seq.tolist(), columns.flag_index.tolist(), *values, strict=True
        )
    ]


_FLOAT = st.floats(allow_nan=False) | st.integers(0, 10**9).map(lambda number: number / 1000)
_MAYBE = st.none() | _FLOAT


@st.composite
def any_columns(draw: st.DrawFn) -> Columns:
    """Any readings: missing values, negative zeros, infinities, all sorts of flags."""
    seqs = sorted(draw(st.sets(st.integers(0, 2**31 - 1), max_size=40)))
    rows = [
        {
            "seq": seq,
            "flags": draw(st.lists(st.text(max_size=5), max_size=2)),
            "t_s": draw(_FLOAT),
            **{name: draw(_MAYBE) for name in FLOATS[1:]},
        }
        for seq in seqs
    ]
    return columns_of(rows)


def trace(seed: int, readings: int, *, first_seq: int = 1) -> list[dict[str, Any]]:
    """An attempt's readings with stalled counters, resets, jumps, gaps and missing values.

    All energies and times are small multiples of a power of two, so that their sums are exact.
    """
    rng = random.Random(seed)
    t_s, counter_j, integrated_j = 0.0, 4096.0, 0.0
    standing, behind_j = 0, 0.0
    rows: list[dict[str, Any]] = []
    for number in range(readings):
        power_w = rng.choice([0.0, 2.0, 60.0, 200.0])
        step_s = rng.choice([1.0, 1.0, 1.0, 0.5, 8.0])
        if number:
            t_s += step_s
            integrated_j += power_w * step_s
            if standing:
                standing -= 1
                behind_j += power_w * step_s
            else:
                counter_j += power_w * step_s + rng.choice([0.0, behind_j])
                behind_j = 0.0
        if rng.random() < 0.03:
            standing = rng.randrange(1, 12)
        if rng.random() < 0.01:
            counter_j = 16.0
        flags = rng.choice(FLAGS) if rng.random() < 0.1 else ()
        row = {
            "seq": first_seq + 3 * number,
            "t_s": t_s,
            "counter_j": None if rng.random() < 0.02 else counter_j,
            "integrated_j": None if rng.random() < 0.02 else integrated_j,
            "power_w": None if rng.random() < 0.02 else power_w,
            "own_busy_s": t_s / 2 if seed % 2 else None,
            "all_busy_s": t_s if seed % 2 else None,
            "flags": list(flags),
        }
        rows.append(row)
    return rows


async def traced(session: Session, seed: int, count: int) -> UUID:
    """An open attempt with the readings of two components."""
    run = await make_run(session)
    attempt_id = (await claimed(session, run.id)).attempt_id
    for place, component in enumerate((GPU, ZONE)):
        rows = trace(seed + place, count, first_seq=1 + place)
        await readings.add_readings(
            session, attempt_id, [{"component": component, **row} for row in rows]
        )
    return attempt_id


async def pack_all(database: Database) -> int:
    """Packs whatever can be packed; the number of readings."""
    packed, after = 0, packing.NOBODY
    while (step := await packing.pack_some(database, after)) is not None:
        packed, after = packed + step.readings, step.after
    return packed


async def row_count(session: Session) -> int:
    """Number of readings that are rows."""
    return (await session.execute(select(func.count()).select_from(Reading))).scalar_one()


async def unpack(session: Session, attempt_id: UUID) -> None:
    """Unpacks all readings of an attempt into rows."""
    components = select(ReadingBlock.component).where(ReadingBlock.attempt_id == attempt_id)
    for component in set((await session.execute(components)).scalars()):
        columns = await readings.columns(session, attempt_id, component)
        is_own = (Reading.attempt_id == attempt_id) & (Reading.component == component)
        await session.execute(delete(Reading).where(is_own))
        key = {"attempt_id": attempt_id, "component": component}
        await session.execute(insert(Reading), [{**key, **row} for row in rows_of(columns)])
    await session.execute(delete(ReadingBlock).where(ReadingBlock.attempt_id == attempt_id))
