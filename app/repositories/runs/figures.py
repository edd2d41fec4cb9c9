"""Runs in the order of a figure of their newest price tag, along the index of that figure.

Runs whose figure is unknown come by their ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    case,
    func,
    literal,
    literal_column,
    select,
    true,
    tuple_,
)

from app.repositories.runs.orders import FIRST_ID, LAST_ID, Order, Span, between, literals
from app.repositories.runs.selection import FILTERED, Selection
from models import Run, RunFigure

INFINITY: ColumnElement[Any] = literal_column("'infinity'::float8")

Leading = tuple[str, Any]
"""A column with its only value."""


def along(
    order: Order, span: Span, leading: Leading | None, limit: int, columns: Sequence[Any]
) -> Select[Any]:
    """The first runs of a part of an order by a figure, with their ``key``.

    Args:
        order: By a figure.
        span: The part: of runs whose figure is known, or of the others.
        leading: Only runs of this project.
        limit: Maximum number of runs.
        columns: Columns of runs.
    """
    most: ColumnElement[Any] = literal_column(str(limit))
    if span.is_without_key:
        figures = _of_run(order)
        query: Select[Any] = select(*columns, INFINITY.label("key"))
        query = query.outerjoin(figures, true()).where(figures.c.figure.is_(None), *_ids(span))
        if leading is not None:
            query = query.where(Run.project_id == leading[1])
        return query.order_by(*order.by(Run.id.expression)).limit(most)
    known = _known(order, span) if leading is None else _known_of_project(order, span, leading[1])
    return _looked_up(order, known, columns).limit(most)


def of_a_time(order: Order, span: Span, selection: Selection, limit: int) -> Select[Any] | None:
    """The first selected runs among those of the selection's time, which are sorted first.

    None if the selection has no beginning, or selects by more than its times: then other indexes
    find its runs. None as well for the part of runs without the figure.
    """
    times = [name for name in ("created_at", "finished_at") if selection.bounds(name)[0]]
    if not times or span.is_without_key or not selection.is_of_times:
        return None
    known = _known(order, span)
    for name in times:
        column = getattr(RunFigure, name)
        after, before = selection.bounds(name)
        known = known.where(column > after)
        if before is not None:
            known = known.where(column < before)
    runs = _looked_up(order, known, FILTERED).subquery("of_a_time").c
    page = select(runs.id, runs.key).where(*selection.conditions(runs))
    return page.order_by(*order.by(runs.key, runs.id)).limit(limit)


def matching(order: Order, span: Span, conditions: Sequence[ColumnElement[bool]]) -> Select[Any]:
    """The ids of the runs of a part of an order that conditions select, with their keys."""
    figures = _of_run(order)
    key = func.coalesce(figures.c.figure, INFINITY).label("key")
    fence = select(Run.id, key).outerjoin(figures, true()).where(*conditions).offset(0)
    runs = fence.subquery("runs_with_figures").c
    return select(runs.id, runs.key).where(*between(order, span, runs.key, runs.id))


def _known(order: Order, span: Span) -> Select[Any]:
    """Runs of a part of an order whose figure is known, as ``run_id`` and ``key``."""
    figure = getattr(RunFigure, order.column)
    query: Select[Any] = select(RunFigure.run_id, figure.label("key"))
    query = query.where(figure.is_not(None), *between(order, span, figure, RunFigure.run_id))
    if order.currency is not None:
        query = query.where(RunFigure.currency == order.currency)
    return query.order_by(*order.by(figure.expression, RunFigure.run_id.expression))


def _known_of_project(order: Order, span: Span, project_id: Any) -> Select[Any]:
    """The same of one project.

    All columns are bounded on both sides and sorted by, instead of equalities: no other index
    than the one that begins with the project has that order.
    """
    figure = getattr(RunFigure, order.column)
    names = ["project_id", *(["currency"] if order.currency is not None else [])]
    columns = [getattr(RunFigure, name) for name in names]
    values = [
        literal(value, column.type)
        for value, column in zip((project_id, order.currency), columns, strict=False)
    ]
    place = tuple_(*columns, figure, RunFigure.run_id)
    low, high = span.low or ("-infinity", FIRST_ID), span.high or ("infinity", LAST_ID)
    query: Select[Any] = select(RunFigure.run_id, figure.label("key"), *columns).where(
        place > tuple_(*values, *literals(order, low)),
        place < tuple_(*values, *literals(order, high)),
    )
    keys = [column.expression for column in (*columns, figure, RunFigure.run_id)]
    return query.order_by(*order.by(*keys))


def _looked_up(order: Order, known: Select[Any], columns: Sequence[Any]) -> Select[Any]:
    """The runs themselves, in the same order: each is looked up by its id."""
    first = known.offset(0).subquery("figures")
    run = select(*columns).where(Run.id == first.c.run_id).offset(0).lateral("run")
    query: Select[Any] = select(*run.c, first.c.key).select_from(first).join(run, true())
    # Also by the columns that are equal for all: the order is known to be that of the index.
    equal = [column for column in first.c if column.name not in ("run_id", "key")]
    return query.order_by(*order.by(*equal, first.c.key, first.c.run_id))


def _of_run(order: Order) -> Any:
    """The figure of a run; null where it is unknown, or in another currency."""
    figure: ColumnElement[Any] = getattr(RunFigure, order.column).expression
    if order.currency is not None:
        figure = case((RunFigure.currency == order.currency, figure), else_=None)
    query = select(figure.label("figure")).where(RunFigure.run_id == Run.id)
    return query.offset(0).lateral("figures")


def _ids(span: Span) -> list[ColumnElement[bool]]:
    conditions = []
    if span.low is not None:
        conditions.append(Run.id > span.low[1])
    if span.high is not None:
        conditions.append(Run.id < span.high[1])
    return conditions
