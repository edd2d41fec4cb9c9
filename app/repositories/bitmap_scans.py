"""Queries that combine all indexes to find their rows, or read rows in the order of one index."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

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
    # A plan for any place in the order expects a range to have a few rows, and sorts all of them.
    "plan_cache_mode": "force_custom_plan",
    # A range of rows, compared as such, is taken for few of them, to be found in any order and
    # then sorted: all of a project's, for the next page.
    "enable_bitmapscan": "off",
    "enable_seqscan": "off",
    "enable_sort": "off",
}


EVERY = tuple(dict.fromkeys((*BITMAP_SCANS, *ORDERED_SCANS)))

_KEPT = "kept scans"


@dataclass
class _Kept:
    """How queries of a session are planned, until a search of several queries is over.

    Attributes:
        before: The settings before the search; None while they are unchanged.
        wanted: The present way.
    """

    before: Mapping[str, str] | None = None
    wanted: Mapping[str, str] | None = None


@asynccontextmanager
async def one_search(session: AsyncSession) -> AsyncIterator[None]:
    """Within it, several queries that are planned in one way change the settings once."""
    kept = _Kept()
    session.info[_KEPT] = kept
    try:
        yield
    finally:
        del session.info[_KEPT]
    if kept.wanted is not None:
        await _change(session, kept.before or {})


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
async def usual_scans(session: AsyncSession) -> AsyncIterator[None]:
    """Within it, queries of a search are planned as all others are."""
    kept: _Kept | None = session.info.get(_KEPT)
    if kept is not None and kept.wanted is not None:
        await _change(session, kept.before or {})
        kept.wanted = None
    yield


@asynccontextmanager
async def _planned_with(session: AsyncSession, wanted: Mapping[str, str]) -> AsyncIterator[None]:
    kept: _Kept | None = session.info.get(_KEPT)
    if kept is None:
        async with one_search(session), _planned_with(session, wanted):
            yield
        return
    if kept.before is None:
        kept.before = await _change(session, wanted)
    elif kept.wanted is not wanted:
        await _change(session, {**kept.before, **wanted})
    kept.wanted = wanted
    yield


async def _change(session: AsyncSession, wanted: Mapping[str, str]) -> Mapping[str, str]:
    """Changes settings until the end of the transaction; returns all of them as they were."""
    before = ", ".join(f"current_setting('{name}') AS {name}" for name in EVERY)
    change = ", ".join(f"set_config('{name}', :{name}, true)" for name in wanted)
    row = (await session.execute(text(f"SELECT {before}, {change}"), dict(wanted))).one()
    return {name: getattr(row, name) for name in EVERY}
