"""SQL of energy by the hour: energy used by nodes, and energy charged to attempts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, insert, literal_column
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.ext.asyncio import AsyncSession

from models import EnergyHour

Row = dict[str, Any]

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
    statement = pg_insert(EnergyHour).values([dict(row) for row in rows])
    changing = ("energy_j", "covered_s", "flags")
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["node_name", "component", "hour", "attempt_id"],
            set_={name: statement.excluded[name] for name in changing},
        )
    )


async def replace_attempt_hours(
    session: AsyncSession, attempt_id: UUID, rows: Sequence[Row]
) -> None:
    """Writes the hourly charges of an attempt; replaces all earlier ones."""
    await session.execute(delete(EnergyHour).where(EnergyHour.attempt_id == attempt_id))
    if rows:
        await session.execute(insert(EnergyHour), [dict(row) for row in rows])
