"""SQL of energy by the hour: energy used by nodes, and energy charged to attempts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, insert, literal_column, text
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.ext.asyncio import AsyncSession

from models import EnergyHour

Row = dict[str, Any]

_COLUMNS = {
    "node_name": "text",
    "component": "text",
    "name": "text",
    "kind": "text",
    "method": "text",
    "gain_std_ratio": "float8",
    "hour": "timestamptz",
    "attempt_id": "uuid",
    "site": "text",
    "energy_j": "float8",
    "covered_s": "float8",
    "flags": "text",
}

# Written every second by every attempt: the same text for any number of rows, so that it is
# compiled and planned once.
_PUT = text(f"""
    INSERT INTO energy_hours AS h (id, {", ".join(_COLUMNS)})
    SELECT gen_random_uuid(), {", ".join(name for name in _COLUMNS if name != "flags")},
      CAST(flags AS jsonb)
    FROM unnest({", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in _COLUMNS.items())})
      AS row ({", ".join(_COLUMNS)})
    ON CONFLICT (node_name, component, hour, attempt_id) DO UPDATE SET
      energy_j = excluded.energy_j, covered_s = excluded.covered_s, flags = excluded.flags
""")

_DESCRIBED = ("name", "kind", "method", "gain_std_ratio", "site")

_BOTH_FLAGS: ColumnElement[list[str]] = literal_column(
    "(SELECT coalesce(jsonb_agg(DISTINCT flag), '[]'::jsonb)"
    " FROM jsonb_array_elements(energy_hours.flags || excluded.flags) AS flag)"
)


async def raise_node_hours(session: AsyncSession, rows: Sequence[Row]) -> None:
    """Writes totals of whole components; existing totals can only grow."""
    if not rows:
        return
    # All writers use one order, which prevents deadlocks.
    ordered = sorted(rows, key=lambda row: (row["node_name"], row["component"], row["hour"]))
    statement = pg_insert(EnergyHour).values([{**row, "attempt_id": None} for row in ordered])
    new = statement.excluded
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["node_name", "component", "hour", "attempt_id"],
            set_={
                **{name: new[name] for name in _DESCRIBED},
                "energy_j": func.greatest(EnergyHour.energy_j, new.energy_j),
                "covered_s": func.greatest(EnergyHour.covered_s, new.covered_s),
                "flags": _BOTH_FLAGS,
            },
        )
    )


async def put_attempt_hours(session: AsyncSession, rows: Sequence[Row]) -> None:
    """Writes the charges of attempts in some hours; replaces those of the same hours."""
    if not rows:
        return
    values: Row = {name: [row[name] for row in rows] for name in _COLUMNS}
    values["flags"] = [json.dumps(row["flags"]) for row in rows]
    await session.execute(_PUT, values)


async def replace_attempt_hours(
    session: AsyncSession, attempt_id: UUID, rows: Sequence[Row]
) -> None:
    """Writes the hourly charges of an attempt; replaces all earlier ones."""
    await session.execute(delete(EnergyHour).where(EnergyHour.attempt_id == attempt_id))
    if rows:
        await session.execute(insert(EnergyHour), [dict(row) for row in rows])
