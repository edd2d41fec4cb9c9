"""Searches of runs in the order of their names, by way of the names themselves; tags that exist.

Runs with similar names are together, so that those with a word may be far from the beginning of the
page. Names repeat: there are fewer of them than runs, and they are read in order from an index.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, cast, func, or_, select, true
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.bitmap_scans import bitmap_scans
from app.repositories.runs.orders import Order, Span, within
from app.repositories.runs.selection import FILTERED, Selection
from models import Run, RunLabel

SAMPLE = 2_000
"""Newest names: words that none of them has are rare, and the index of words finds their runs."""

NAMES_AHEAD = 100_000
"""Maximum number of names that are searched."""

RUNS_AHEAD = 1_000
"""Runs of these names that are read at most: enough for a page of 50 if the rest of the filter
selects one run in twenty. Those of a rarer one are soon sorted."""


NAMES_COUNTED = 2_000
"""Names with all words whose runs are counted: names repeat, so that these have more runs."""


async def has_tags(session: AsyncSession, tags: Sequence[str]) -> bool:
    """Whether some run has, or had, each of the tags; no run has one that is not a label."""
    query = select(RunLabel.label).where(RunLabel.kind == "tag", RunLabel.label.in_(tags))
    return set((await session.execute(query.distinct())).scalars()) == set(tags)


async def page(
    session: AsyncSession,
    selection: Selection,
    order: Order,
    span: Span,
    limit: int,
) -> Select[Any] | None:
    """The first selected runs by name, as ``id`` and ``key``.

    They are those of names that have all words, and those that have a word in a tag. If these
    are fewer than ``limit``, there may be others. None if so few names have the words that this
    is not worth trying, or that a run with a tag may come before the next of such a name.

    Args:
        session: Only read.
        selection: Which runs; of a search.
        order: By name.
        span: The part of the order.
        limit: Maximum number of runs.
    """
    if not (await session.execute(_any_new_name(selection.searched))).scalar_one():
        return None
    named = _named(selection, order, span, limit)
    tags = await _tags(session, selection.searched)
    if not tags:
        return named
    ids = [row.id for row in await session.execute(named)]
    if len(ids) < limit:
        return None
    async with bitmap_scans(session):
        tagged = await session.execute(_tagged(selection, order, span, limit, tags))
        ids += tagged.scalars()
    key = Run.name.label("key")
    query: Any = select(Run.id, key).where(Run.id.in_(set(ids)))
    statement: Select[Any] = query.order_by(*order.by(key, Run.id.expression)).limit(limit)
    return statement


def of_names(selection: Selection, limit: int) -> Select[Any]:
    """Runs whose names have all words of a search: nearly always fewer than all selected ones."""
    having = [_has(RunLabel.label, word) for word in selection.searched]
    some = select(RunLabel.label).where(RunLabel.kind == "name", *having).limit(NAMES_COUNTED)
    names = select(some.subquery("some").c.label).distinct().subquery("names")
    run = select(Run.id).where(Run.name == names.c.label).offset(0).lateral("run")
    return select(run.c.id).select_from(names.join(run, true())).limit(limit)


def _any_new_name(words: Sequence[str]) -> Select[tuple[bool]]:
    newest = (
        select(RunLabel.label)
        .where(RunLabel.kind == "name")
        .order_by(RunLabel.id.desc())
        .limit(SAMPLE)
        .subquery("newest")
    )
    having = select(newest.c.label).where(*(_has(newest.c.label, word) for word in words))
    return select(having.exists())


def _named(selection: Selection, order: Order, span: Span, limit: int) -> Select[Any]:
    ahead = (
        select(RunLabel.label)
        .where(RunLabel.kind == "name", *_between(span))
        .order_by(*order.by(RunLabel.kind.expression, RunLabel.label.expression))
        .limit(NAMES_AHEAD)
        .subquery("ahead")
    )
    names = (
        select(ahead.c.label)
        .distinct()
        .where(*(_has(ahead.c.label, word) for word in selection.searched))
        .order_by(*order.by(ahead.c.label))
        .limit(RUNS_AHEAD)
        .subquery("names")
    )
    of_name = select(*FILTERED).where(Run.name == names.c.label, *within(order, span))
    run = of_name.offset(0).lateral("run")
    nearby = (
        select(run, names.c.label.label("key"))
        .select_from(names.join(run, true()))
        .order_by(*order.by(names.c.label, run.c.id))
        .limit(RUNS_AHEAD)
        .subquery("nearby")
    ).c
    return (
        select(nearby.id, nearby.key)
        .where(*selection.conditions(nearby))
        .order_by(*order.by(nearby.key, nearby.id))
        .limit(limit)
    )


def _between(span: Span) -> list[ColumnElement[bool]]:
    conditions = []
    if span.low is not None:
        conditions.append(RunLabel.label >= span.low[0])
    if span.high is not None:
        conditions.append(RunLabel.label <= span.high[0])
    return conditions


def _has(label: Any, word: str) -> ColumnElement[bool]:
    return func.strpos(func.lower(label), func.lower(word)) > 0


async def _tags(session: AsyncSession, words: Sequence[str]) -> Sequence[str]:
    """Tags that have one of the words."""
    query = select(RunLabel.label).where(
        RunLabel.kind == "tag", or_(*(_has(RunLabel.label, word) for word in words))
    )
    return (await session.execute(query.distinct())).scalars().all()


def _tagged(
    selection: Selection, order: Order, span: Span, limit: int, tags: Sequence[str]
) -> Select[Any]:
    having = Run.tags.overlap(cast(list(tags), ARRAY(Text)))
    query = select(Run.id).where(having, *selection.conditions(Run), *within(order, span))
    return query.order_by(*order.by(Run.name.expression, Run.id.expression)).limit(limit)
