"""Runs in the order of a figure of their newest price tag, along the index of that figure.

Runs whose figure is unknown come by their ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    case,
    func,
    literal,
    literal_column,
    select,
    true,
    tuple_,
    union_all,
)

from app.repositories.runs.orders import FIRST_ID, LAST_ID, Order, Span, between, literals
from app.repositories.runs.selection import FILTERED, Selection
from models import Run, RunFigure

INFINITY: ColumnElement[Any] = literal_column("'infinity'::float8")

Leading = tuple[str, Sequence[Any]]
"""A column whose runs an index has in the order, and the values that it may have."""


def along(
    order: Order, span: Span, leading: Leading | None, limit: int, columns: Sequence[Any]
) -> Select[Any]:
    """The first runs of a part of an order by a figure, with their ``key``.

    Args:
        order: By a figure.
        span: The part: of runs whose figure is known, or of the others. Of the others of an order
            by cost these are only those among the first runs: see `has_index`.
        leading: Only runs with these values; the runs of each are read along the index, and
            merged.
        limit: Maximum number of runs; as many rows of each value are read.
        columns: Columns of runs.
    """
    most: ColumnElement[Any] = literal_column(str(limit))
    if not has_index(order, span):
        return _first_without_cost(order, span, most, columns)
    return _looked_up(order, span, _led(order, span, leading, most), columns).limit(most)


def has_index(order: Order, span: Span) -> bool:
    """Whether an index has the runs of this part of an order one after another.

    None has runs whose cost is unknown or in another currency.
    """
    return order.currency is None or not span.is_without_key


def without_cost(order: Order, span: Span, leading: Leading | None, limit: int) -> Select[Any]:
    """The first of all runs whose cost is unknown or in another currency: all are sorted."""
    currency, cost = RunFigure.currency, RunFigure.cost
    of_them = [] if leading is None else [getattr(RunFigure, leading[0]).in_(list(leading[1]))]
    ranges = (
        currency.is_(None),
        and_(currency == order.currency, cost.is_(None)),
        currency < order.currency,
        currency > order.currency,
    )
    unknown = union_all(
        *(
            select(RunFigure.run_id.label("id")).where(
                each, *of_them, *_ids(span, RunFigure.run_id)
            )
            for each in ranges
        )
    ).subquery("without_cost")
    query = select(unknown.c.id, INFINITY.label("key"))
    return query.order_by(*order.by(unknown.c.id)).limit(limit)


def of_a_time(order: Order, span: Span, selection: Selection, limit: int) -> Select[Any] | None:
    """The first selected runs among those of the selection's time, which are sorted first.

    None if the selection has no beginning, or selects by more than its times: then other indexes
    find its runs. None as well for the part of runs without the figure.
    """
    times = [name for name in ("created_at", "finished_at") if selection.bounds(name)[0]]
    if not times or span.is_without_key or not selection.is_of_times:
        return None
    known = _of_part(order, span)
    for name in times:
        column = getattr(RunFigure, name)
        after, before = selection.bounds(name)
        known = known.where(column > after)
        if before is not None:
            known = known.where(column < before)
    runs = _looked_up(order, span, known, FILTERED).subquery("of_a_time").c
    page = select(runs.id, runs.key).where(*selection.conditions(runs))
    return page.order_by(*order.by(runs.key, runs.id)).limit(limit)


def matching(order: Order, span: Span, conditions: Sequence[ColumnElement[bool]]) -> Select[Any]:
    """The ids of the runs of a part of an order that conditions select, with their keys."""
    figures = _of_run(order)
    key = func.coalesce(figures.c.figure, INFINITY).label("key")
    fence = select(Run.id, key).outerjoin(figures, true()).where(*conditions).offset(0)
    runs = fence.subquery("runs_with_figures").c
    return select(runs.id, runs.key).where(*between(order, span, runs.key, runs.id))


def _first_without_cost(
    order: Order, span: Span, most: ColumnElement[Any], columns: Sequence[Any]
) -> Select[Any]:
    """The runs whose cost is unknown or in another currency, among the first by their ids."""
    first = select(*columns).where(*_ids(span, Run.id.expression))
    runs = first.order_by(*order.by(Run.id.expression)).limit(most).subquery("first")
    figures = _of_run(order, runs.c.id)
    query = select(*runs.c, INFINITY.label("key")).outerjoin_from(runs, figures, true())
    return query.where(figures.c.figure.is_(None)).order_by(*order.by(runs.c.id))


def _led(
    order: Order, span: Span, leading: Leading | None, most: ColumnElement[Any]
) -> Select[Any]:
    """Runs of a part of an order, as ``run_id`` and ``key``; the part has an index."""
    if leading is None:
        return _of_part(order, span)
    name, values = leading
    if len(values) == 1:
        return _of_value(order, span, name, values[0])
    # Each by itself: of an equality the planner would rather read another index, all runs of
    # all values, in which those of a value may lie far behind.
    each = (
        _of_value(order, span, name, value).limit(most).subquery(f"of_value_{number}").c
        for number, value in enumerate(values)
    )
    merged = union_all(*(select(one.run_id, one.key) for one in each)).subquery("merged")
    return select(merged.c.run_id, merged.c.key).order_by(*order.by(merged.c.key, merged.c.run_id))


def _of_part(order: Order, span: Span) -> Select[Any]:
    figure = getattr(RunFigure, order.column)
    query: Select[Any] = select(RunFigure.run_id, figure.label("key"))
    query = query.where(*_in_part(order, span))
    if order.currency is not None:
        query = query.where(RunFigure.currency == order.currency)
    return query.order_by(*order.by(figure.expression, RunFigure.run_id.expression))


def _in_part(order: Order, span: Span) -> list[ColumnElement[bool]]:
    figure = getattr(RunFigure, order.column)
    if span.is_without_key:
        return [figure.is_(None), *_ids(span, RunFigure.run_id)]
    return [figure.is_not(None), *between(order, span, figure, RunFigure.run_id)]


def _of_value(order: Order, span: Span, name: str, only: Any) -> Select[Any]:
    """Those with one value of a column.

    All columns have two bounds and are in the sort order, instead of equalities, so that only the
    index that begins with the column has that order.
    """
    figure = getattr(RunFigure, order.column)
    names = [name, *(["currency"] if order.currency is not None else [])]
    columns = [getattr(RunFigure, each) for each in names]
    values = [
        literal(value, column.type)
        for value, column in zip((only, order.currency), columns, strict=False)
    ]
    query: Select[Any] = select(RunFigure.run_id, figure.label("key"), *columns)
    if span.is_without_key:
        query = query.where(*_in_part(order, span))
        for column, value in zip(columns, values, strict=True):
            query = query.where(column >= value, column <= value)
    else:
        place = tuple_(*columns, figure, RunFigure.run_id)
        low, high = span.low or ("-infinity", FIRST_ID), span.high or ("infinity", LAST_ID)
        query = query.where(
            place > tuple_(*values, *literals(order, low)),
            place < tuple_(*values, *literals(order, high)),
        )
    keys = [column.expression for column in (*columns, figure, RunFigure.run_id)]
    return query.order_by(*order.by(*keys))


def _looked_up(
    order: Order, span: Span, ordered: Select[Any], columns: Sequence[Any]
) -> Select[Any]:
    """The runs themselves, in the same order: each is looked up by its id."""
    first = ordered.offset(0).subquery("figures")
    run = select(*columns).where(Run.id == first.c.run_id).offset(0).lateral("run")
    key = INFINITY.label("key") if span.is_without_key else first.c.key
    query: Select[Any] = select(*run.c, key).select_from(first).join(run, true())
    # Also by the columns that are equal for all: the order is known to be that of the index.
    equal = [column for column in first.c if column.name not in ("run_id", "key")]
    return query.order_by(*order.by(*equal, first.c.key, first.c.run_id))


def _of_run(order: Order, run_id: Any = Run.id) -> Any:
    """The figure of a run; null where it is unknown, or in another currency."""
    figure: ColumnElement[Any] = getattr(RunFigure, order.column).expression
    if order.currency is not None:
        figure = case((RunFigure.currency == order.currency, figure), else_=None)
    query = select(figure.label("figure")).where(RunFigure.run_id == run_id)
    return query.offset(0).lateral("figures")


def _ids(span: Span, run_id: Any) -> list[ColumnElement[bool]]:
    conditions = []
    if span.low is not None:
        conditions.append(run_id > span.low[1])
    if span.high is not None:
        conditions.append(run_id < span.high[1])
    return conditions
