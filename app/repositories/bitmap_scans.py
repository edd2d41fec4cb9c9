"""Queries that combine all indexes to find their rows, or read rows in the order of one index."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
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
ORDERED_SCANS = {
    # A range of rows, compared as such, is taken for few of them, to be found in any order and
    # then sorted: all of a project's, for the next page.
    "enable_bitmapscan": "off",
    "enable_seqscan": "off",
    "enable_sort": "off",
}


@asynccontextmanager
async def bitmap_scans(session: AsyncSession) -> AsyncIterator[None]:
    """Within it, queries find their rows by all indexes that apply, and read no others."""
    async with _planned_with(session, BITMAP_SCANS):
        yield


@asynccontextmanager
async def ordered_scans(session: AsyncSession) -> AsyncIterator[None]:
    """Within it, queries read the rows of an index in its order."""
    async with _planned_with(session, ORDERED_SCANS):
        yield


@asynccontextmanager
async def _planned_with(session: AsyncSession, wanted: Mapping[str, str]) -> AsyncIterator[None]:
    before = ", ".join(f"current_setting('{name}') AS {name}" for name in wanted)
    change = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in wanted.items())
    row = (await session.execute(text(f"SELECT {before}, {change}"))).one()
    yield
    restore = ", ".join(f"set_config('{name}', :{name}, true)" for name in wanted)
    await session.execute(text(f"SELECT {restore}"), {name: getattr(row, name) for name in wanted})
