"""Pages of runs in any order under any filter, each found in bounded time.

A page is first searched along the index of its order, over a bounded number of runs. If the filter
matches too few of these, the selected runs are few, or far from the beginning of the page: then the
indexes of the filter find them all, and they are sorted. This is tried instead of estimated: a
planner that takes a rare combination for a frequent one reads the whole table along the order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    Text,
    and_,
    cast,
    func,
    literal,
    literal_column,
    select,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.bitmap_scans import (
    bitmap_scans,
    one_search,
    ordered_scans,
    usual_scans,
)
from app.repositories.runs import figures, kinds, labels
from app.repositories.runs.figures import Leading
from app.repositories.runs.orders import (
    FIRST_ID,
    LAST_ID,
    Order,
    Position,
    Span,
    literals,
    lived_at,
    within,
    within_any,
)
from app.repositories.runs.selection import FILTERED, Selection, contains
from models import Run

LOOK_AHEAD = 5_000
"""Runs that are read along the order before the indexes of the filter are used: enough for a
page of 50 of a filter that selects one run in a hundred. Those of rarer ones are soon sorted."""

FARTHEST = 4
"""Factor by which the search is extended if that is expected to fill the page: sorting the selected
runs would then take longer."""

MOST_MERGED = 40_000
"""Rows of figures that are merged where runs may have several kinds."""

MARGIN = 1.5
"""How much farther than the runs so far suggest: they do not lie evenly."""

COUNT_AHEAD = 20_000
"""The same where runs are counted."""

SAMPLE = 1_000
"""Newest runs that are looked at for a tag or a word; and as many runs with it are few."""

FREQUENT = 5
"""Newest runs with a tag or word that show that it is not rare."""

FEW_RATIO = 0.1
"""Part of the greatest count from which on the runs of another index are looked at, too."""

FREQUENT_RATIO = 0.1
"""Part of the runs nearby that have a word which is not looked up."""

NEWEST = Order("created_at", descending=True)


async def first(
    session: AsyncSession,
    selection: Selection,
    order: Order,
    *,
    after: Position | None,
    limit: int,
) -> list[Position]:
    """The places of the first selected runs of an order.

    Their rows are another statement, the same for all filters: statements are kept when they are
    composed, and one with all columns of a page takes five times the time and twice the memory.

    Args:
        session: Only read.
        selection: Which runs.
        order: Their order.
        after: Where the page before ended.
        limit: Maximum number of runs.
    """
    if order.is_by_figure:
        selection = await kinds.resolved(session, selection)
    tags = selection.wanted.tags
    if selection.is_empty or (tags and not await labels.has_tags(session, tags)):
        return []
    ahead = Span.ahead(selection, order, after)
    spans = [part for whole in ahead for part in whole.parts(order, selection)]
    async with one_search(session):
        return await _first_of(session, selection, order, spans, limit)


async def _first_of(
    session: AsyncSession,
    selection: Selection,
    order: Order,
    spans: Sequence[Span],
    limit: int,
) -> list[Position]:
    places: list[Position] = []
    if await _are_few(session, selection, order, spans[0]):
        return await _all(session, selection, order, spans, limit)
    for number, span in enumerate(spans):
        left = limit - len(places)
        nearest = await _nearby(session, selection, order, span, left)
        if nearest is None:
            return places + await _all(session, selection, order, spans[number:], left)
        places += nearest
        if len(places) == limit:
            break
    return places


async def _nearby(
    session: AsyncSession,
    selection: Selection,
    order: Order,
    span: Span,
    limit: int,
) -> list[Position] | None:
    """The first selected runs of a part of an order; None if all selected runs have to be found."""
    exact = _exact(selection, order, span)
    if exact is not None:
        async with ordered_scans(session):
            return await _execute(session, order, _along(order, span, exact.leading, limit))
    for walk in _walks(selection, order, span):
        rows = await _look_ahead(session, selection, order, span, walk, limit)
        if len(rows) == limit:
            return rows
    if span.during is not None:
        living = _living(selection, order, span, span.during, limit)
        async with bitmap_scans(session):
            return await _execute(session, order, living)
    if selection.searched and order.column == "name":
        async with usual_scans(session):
            named = await labels.page(session, selection, order, span, limit)
        async with usual_scans(session):
            rows = [] if named is None else await _execute(session, order, named)
        if len(rows) == limit:
            return rows
    if order.is_by_figure:
        selected = figures.selected(order, span, selection, limit)
        if selected is not None:
            has_index = figures.has_index(order, span)
            async with bitmap_scans(session) if has_index else ordered_scans(session):
                return await _execute(session, order, selected)
    return None


async def _are_few(session: AsyncSession, selection: Selection, order: Order, span: Span) -> bool:
    """Whether the selected runs are known to be no more than are read along an order at least.

    Of an order by time, those of a tag or with a word lie together: the search along it is enough.
    """
    if _exact(selection, order, span) is not None:
        return False
    is_by_time = order.column in ("created_at", "finished_at")
    pair = selection.pair()
    # Along the newest runs of a project, those of a status are soon enough for a page.
    is_near = order.column == "created_at" and pair is not None and "status" in pair
    if pair is not None and not (is_near and not selection.of_texts(Run)):
        return (await _counted_of_pair(session, pair, LOOK_AHEAD)).runs < LOOK_AHEAD
    words = selection.words if order.is_by_figure else []
    if is_by_time or not (words or selection.wanted.tags):
        return False
    newest = _along(NEWEST, Span(None, None), None, SAMPLE).subquery("newest").c
    frequent = select(newest.id).where(*selection.of_texts(newest)).limit(FREQUENT)
    async with ordered_scans(session):
        if (await _counted(session, frequent, FREQUENT)).runs == FREQUENT:
            return False
    some = select(Run.id).where(*selection.of_texts(Run, looked_up=words)).limit(SAMPLE)
    async with bitmap_scans(session):
        return (await _counted(session, some, SAMPLE)).runs < SAMPLE


async def _all(
    session: AsyncSession,
    selection: Selection,
    order: Order,
    spans: Sequence[Span],
    limit: int,
) -> list[Position]:
    """The first selected runs of parts of an order: all selected runs are found, and sorted."""
    words = selection.words
    if words and selection.has_index:
        # Runs in the order of a figure lie anywhere: the newest ones are as good a sample. Along
        # the names they are a better one: runs with a word are adjacent there.
        is_newest = order.is_by_figure or order.column == "name"
        sampled, part = (NEWEST, Span(None, None)) if is_newest else (order, spans[0])
        [walk] = _walks(selection, sampled, part)
        nearby = _along(sampled, part, walk.leading, LOOK_AHEAD)
        words = (await _words(session, selection, nearby)).rare
    matching = _matching(order, spans, selection.conditions(Run, looked_up=words), limit)
    has_parts = len(spans) > 1
    is_indexed = selection.has_index or words
    async with bitmap_scans(session) if is_indexed else usual_scans(session):
        return await _execute(session, order, matching, has_parts=has_parts)


async def _look_ahead(
    session: AsyncSession,
    selection: Selection,
    order: Order,
    span: Span,
    walk: _Walk,
    limit: int,
) -> list[Position]:
    """Selected runs among the next ones along an index: a page of them, or what there is."""
    values = 1 if walk.leading is None else len(walk.leading[1])
    near = farther = min(LOOK_AHEAD, MOST_MERGED // values)
    while True:
        page = _near(selection, order, span, walk, farther, limit)
        async with ordered_scans(session):
            rows = await _execute(session, order, page)
        if len(rows) == limit or farther > near or not rows:
            return rows
        # A multiple: each number of rows is a statement by itself.
        farther = near * math.ceil(MARGIN * limit / len(rows))
        if farther > FARTHEST * near:
            return rows


def _near(
    selection: Selection, order: Order, span: Span, walk: _Walk, most: int, limit: int
) -> Select[Any]:
    """The first selected runs among the next ones along an index, up to a number of these."""
    if order.is_by_figure:
        return figures.ahead(order, span, selection, walk.leading, most, limit)
    ahead = _along(order, span, walk.leading, most).subquery("ahead").c
    page = select(ahead.id, ahead.key).where(*selection.conditions(ahead, without=walk.covered))
    return page.order_by(*order.by(ahead.key, ahead.id)).limit(limit)


@dataclass(frozen=True)
class _Walk:
    """An index that has runs in the order, and the columns whose conditions its runs meet.

    Attributes:
        is_exact: Whether every run along it belongs to the part of the order.
    """

    leading: Leading | None
    covered: frozenset[str]
    is_exact: bool = True


def _exact(selection: Selection, order: Order, span: Span) -> _Walk | None:
    """The index that has the selected runs of a part of an order, and no others."""
    for walk in _walks(selection, order, span):
        if walk.is_exact and not selection.conditions(Run, without=walk.covered):
            return walk
    return None


def _walks(selection: Selection, order: Order, span: Span) -> list[_Walk]:
    """The indexes along which a page is looked for: the most promising first."""
    if not order.is_by_figure:
        leading = selection.leading() if order.column == "created_at" else None
        covered = {order.column} | ({leading[0]} if leading is not None else set())
        of_value = None if leading is None else (leading[0], (leading[1],))
        return [_Walk(of_value, frozenset(covered))]
    if not figures.has_index(order, span):
        return [_Walk(None, frozenset(), is_exact=False)]
    walks = [_Walk(each, frozenset({each[0]})) for each in _leading_figures(selection)]
    return walks or [_Walk(None, frozenset())]


def _leading_figures(selection: Selection) -> list[Leading]:
    """The columns of figures whose runs are found along an index.

    An experiment has few runs, and a user fewer than most projects. Those of a kind or status lie
    closer together than those of a project with it among all of the project: they differ in what
    they use.
    """
    values = selection.split()[0].values
    for name in ("experiment_id", "created_by"):
        if len(values.get(name, ())) == 1:
            return [(name, tuple(values[name]))]
    columns: list[Leading] = [
        (name, tuple(values[name])) for name in ("kind", "status") if values.get(name)
    ]
    projects = values.get("project_id", ())
    if len(projects) == 1:
        columns.append(("project_id", tuple(projects)))
    return columns


@dataclass(frozen=True)
class _Words:
    """The words of a search among the runs nearby.

    Attributes:
        ratio: Part of these runs that have all words.
        rare: The words that are worth looking up.
    """

    ratio: float
    rare: Sequence[str]


async def _words(session: AsyncSession, selection: Selection, nearby: Select[Any]) -> _Words:
    """How frequent the words of a search are.

    The index lists every run for a word that nearly all have, which takes longer than to compare
    the texts of the runs that the rest of the filter selects.
    """
    words = selection.words
    if not words:
        return _Words(1.0, [])
    ahead = nearby.subquery("ahead").c
    having = [contains(ahead, word) for word in words]
    counts = [func.count().filter(condition) for condition in (and_(*having), *having)]
    async with ordered_scans(session):
        row = (await session.execute(select(func.count(ahead.id), *counts))).one()
    total, together, *each = row
    ratio, frequent = together / total if total else 1.0, FREQUENT_RATIO * total
    if not selection.has_index:
        return _Words(ratio, words)
    if together >= frequent:
        return _Words(ratio, [])
    rare = [word for word, count in zip(words, each, strict=True) if count < frequent]
    return _Words(ratio, rare or words)  # words that are rare only together


@dataclass(frozen=True)
class Count:
    """A number of runs: exact, or a lower bound."""

    runs: int
    at_least: bool


async def count(session: AsyncSession, selection: Selection, most: int) -> Count:
    """Number of runs in a selection; counts up to a maximum, in bounded time."""
    if selection.is_empty:
        return Count(0, at_least=False)
    async with one_search(session):
        return await _count(session, selection, most)


async def _count(session: AsyncSession, selection: Selection, most: int) -> Count:
    order = NEWEST
    (span,) = Span.ahead(selection, order, None)
    [walk] = _walks(selection, order, span)
    leading, covered = walk.leading, walk.covered
    if not selection.conditions(Run, without=covered):
        async with ordered_scans(session):
            return await _counted(session, _along(order, span, leading, most + 1, [Run.id]), most)
    pair = selection.pair()
    if pair is not None and not selection.conditions(Run, without=set(pair)):
        return await _counted_of_pair(session, pair, most)
    words = await _words(session, selection, _along(order, span, leading, LOOK_AHEAD))
    if words.ratio >= most / COUNT_AHEAD:
        counted = await _counted_ahead(session, selection, span, walk, most)
        if counted.at_least:
            return counted
        status = selection.leading(("status",))
        if status is not None and "status" not in covered and counted.runs >= FEW_RATIO * most:
            # A large project, say, of which each tenth run failed: half of these may be its own.
            other = _Walk((status[0], (status[1],)), frozenset({order.column, status[0]}))
            counted = await _counted_ahead(session, selection, span, other, most)
            if counted.at_least:
                return counted
    if words.ratio >= FEW_RATIO and not (selection.has_index or selection.hidden):
        async with usual_scans(session):
            counted = await _counted(session, labels.of_names(selection, most + 1), most)
        if counted.at_least:
            return counted
    conditions = selection.conditions(Run, looked_up=words.rare)
    matching = select(Run.id).where(*conditions).limit(most + 1)
    is_indexed = selection.has_index or words.rare
    async with bitmap_scans(session) if is_indexed else usual_scans(session):
        return await _counted(session, matching, most)


async def _counted_ahead(
    session: AsyncSession, selection: Selection, span: Span, walk: _Walk, most: int
) -> Count:
    """Number of the selected runs among the newest ones along an index."""
    ahead = _along(NEWEST, span, walk.leading, COUNT_AHEAD).subquery("ahead").c
    newest = select(ahead.id).where(*selection.conditions(ahead, without=walk.covered))
    async with ordered_scans(session):
        return await _counted(session, newest.limit(most + 1), most)


async def _counted_of_pair(session: AsyncSession, pair: Mapping[str, Any], most: int) -> Count:
    """Number of runs that have these values, by the index of the columns."""
    conditions = [getattr(Run, name) == value for name, value in pair.items()]
    runs = select(Run.id).where(*conditions).limit(most + 1)
    async with ordered_scans(session):
        return await _counted(session, runs, most)


async def _counted(session: AsyncSession, runs: Select[Any], most: int) -> Count:
    query = select(func.count()).select_from(runs.subquery())
    number: int = (await session.execute(query)).scalar_one()
    return Count(min(number, most), at_least=number > most)


async def _execute(
    session: AsyncSession, order: Order, page: Select[Any], *, has_parts: bool = False
) -> list[Position]:
    places = page.subquery("page").c
    query = select(places.id, cast(places.key, Text).label("key"))
    by = order.parts_by if has_parts else order.by
    rows = await session.execute(query.order_by(*by(places.key, places.id)))
    return [(order.key_text(row.key), row.id) for row in rows]


def _living(
    selection: Selection, order: Order, span: Span, moment: datetime, limit: int
) -> Select[Any]:
    """The first selected runs that lived at a time: few, which the planner does not know."""
    fence = select(*FILTERED).where(lived_at(moment)).offset(0).subquery("living").c
    key = order.key(fence)
    page = select(fence.id, key.label("key")).where(
        *selection.conditions(fence), *within(order, span, fence)
    )
    return page.order_by(*order.by(key, fence.id)).limit(limit)


def _matching(
    order: Order, spans: Sequence[Span], conditions: Sequence[ColumnElement[bool]], limit: int
) -> Select[Any]:
    """The first of the runs that conditions select: all of these are found, and sorted."""
    runs: Any
    if order.is_by_figure:
        runs = figures.matching(order, spans, conditions)
        key, run_id = runs.selected_columns.key, runs.selected_columns.id
    else:
        key, run_id = order.key(Run), Run.id.expression
        runs = select(Run.id, key.label("key"))
        runs = runs.where(*conditions, *within_any(order, spans, key, run_id))
    by = order.parts_by if len(spans) > 1 else order.by
    page: Select[Any] = runs.order_by(*by(key, run_id)).limit(limit)
    return page


def _along(
    order: Order,
    span: Span,
    leading: Leading | None,
    limit: int,
    columns: Sequence[Any] = FILTERED,
) -> Select[Any]:
    """The first runs of a part of an order, along the index of that order.

    The leading column has two bounds and is in the sort order, instead of an equality, so that only
    the index that begins with it has that order.
    """
    if order.is_by_figure:
        return figures.along(order, span, leading, limit)
    key, run_id = order.key(Run), Run.id.expression
    query = select(*columns, key.label("key")).limit(literal_column(str(limit)))
    if leading is None:
        return query.where(*within(order, span)).order_by(*order.by(key, run_id))
    column = getattr(Run, leading[0])
    [only] = leading[1]
    value = literal(only, column.type)
    low = span.low or ("-infinity", FIRST_ID)
    high = span.high or ("infinity", LAST_ID)
    place = tuple_(column, key, run_id)
    return query.where(
        place > tuple_(value, *literals(order, low)),
        place < tuple_(value, *literals(order, high)),
    ).order_by(*order.by(column, key, run_id))
