"""The kinds of runs with a stage: a filter by the stage becomes one by these kinds.

A lab has few different kinds, however many runs: one step along the index of kinds finds the next.
"""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Text, cast, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.bitmap_scans import ordered_scans
from app.repositories.runs.selection import Selection
from models import Run
from models.run import stage_kinds
from pricetag.recipes import kinds_within

MOST_KINDS = 1_000
"""Different kinds that are read."""

MOST_MERGED = 64
"""Kinds whose runs are merged; runs of more kinds are filtered by their stages."""


async def resolved(session: AsyncSession, selection: Selection) -> Selection:
    """The selection with the kinds that have the wanted stage, if these are few."""
    if selection.wanted.kind is None or "kind" in selection.values:
        return selection
    first = select(Run.kind.label("kind")).order_by(Run.kind).limit(1)
    every = first.cte("kinds", recursive=True)
    following = select(Run.kind).where(Run.kind > every.c.kind).order_by(Run.kind).limit(1)
    every = every.union_all(select(following.scalar_subquery()).where(every.c.kind.is_not(None)))
    some = select(every.c.kind).limit(MOST_KINDS + 1).subquery("some")
    stages = cast(kinds_within(selection.wanted.kind), ARRAY(Text))
    has_stage = stage_kinds(some.c.kind).overlap(stages)
    query = select(func.count(), func.array_agg(some.c.kind).filter(has_stage))
    async with ordered_scans(session):
        number, names = (await session.execute(query)).one()
    kinds = names or []
    if number > MOST_KINDS or len(kinds) > MOST_MERGED:
        return selection
    return replace(selection, values={**selection.values, "kind": kinds})
