"""Queries that find their rows by the indexes of all their conditions together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

BITMAP_SCANS = {
    "enable_seqscan": "off",
    "enable_indexscan": "off",
    "enable_indexonlyscan": "off",
    # The plan depends on how many rows a tag, a word or an actor has.
    "plan_cache_mode": "force_custom_plan",
    # Room for every row of a million; without it whole pages are matched once more.
    "work_mem": "32MB",
}
_SET = text(
    "SELECT "
    + ", ".join(f"current_setting('{name}') AS {name}" for name in BITMAP_SCANS)
    + "".join(f", set_config('{name}', '{value}', true)" for name, value in BITMAP_SCANS.items())
)
_RESTORE = text(
    "SELECT " + ", ".join(f"set_config('{name}', :{name}, true)" for name in BITMAP_SCANS)
)


@asynccontextmanager
async def bitmap_scans(session: AsyncSession) -> AsyncIterator[None]:
    """Within it, queries find their rows by all indexes that apply, and read no others."""
    row = (await session.execute(_SET)).one()
    yield
    await session.execute(_RESTORE, {name: getattr(row, name) for name in BITMAP_SCANS})
