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
    or_,
    select,
    true,
    tuple_,
    union_all,
)

from app.repositories.runs.orders import (
    FIRST_ID,
    LAST_ID,
    Order,
    Span,
    between,
    literals,
    within_any,
)
from app.repositories.runs.selection import Selection
from models import Run, RunFigure

INFINITY: ColumnElement[Any] = literal_column("'infinity'::float8")

Leading = tuple[str, Sequence[Any]]
"""A column whose runs an index has in the order, and the values that it may have."""

OF_RUN = (
    RunFigure.project_id,
    RunFigure.experiment_id,
    RunFigure.kind,
    RunFigure.created_by,
    RunFigure.created_at,
    RunFigure.finished_at,
    RunFigure.status,
)
"""Columns of a run that rows of figures repeat, so that most conditions need no look at the run."""

_NAMES = ("id", "key", *(column.key for column in OF_RUN))

LOOKED_AT = (Run.name, Run.tags, Run.status, Run.origin, Run.created_at, Run.finished_at)
"""Columns of a run that the other conditions use."""


def along(order: Order, span: Span, leading: Leading | None, limit: int) -> Select[Any]:
    """The first runs of a part of an order that has an index: ``id`` and ``key``.

    Args:
        order: By a figure.
        span: The part: of runs whose figure is known, or of the others. See `has_index`.
        leading: Only runs with these values; the runs of each are read along the index, and
            merged.
        limit: Maximum number of runs; as many rows of each value are read.
    """
    most: ColumnElement[Any] = literal_column(str(limit))
    return _led(order, span, leading, most).limit(most)


def ahead(
    order: Order, span: Span, selection: Selection, leading: Leading | None, most: int, limit: int
) -> Select[Any]:
    """Selected runs among the first ones of a part of an order: ``id`` and ``key``.

    Args:
        order: By a figure.
        span: As for `along`; of runs whose cost is unknown, all runs are read by their ids.
        selection: Which of them.
        leading: As for `along`. Their conditions are known to hold.
        most: Rows that are read.
        limit: Maximum number of runs.
    """
    if has_index(order, span):
        near = along(order, span, leading, most).subquery("near").c
        conditions = []
    else:
        unknown = or_(RunFigure.currency.is_distinct_from(order.currency), RunFigure.cost.is_(None))
        first = select(RunFigure.run_id.label("id"), *OF_RUN, unknown.label("is_unknown"))
        first = first.where(*_ids(span, RunFigure.run_id))
        first = first.order_by(*order.by(RunFigure.run_id.expression))
        near = first.limit(literal_column(str(most))).subquery("near").c
        conditions = [near.is_unknown]
    of_figures, of_run = selection.split()
    covered = () if leading is None else (leading[0],)
    key = INFINITY.label("key") if span.is_without_key else near.key
    page = select(near.id, key).where(*conditions, *of_figures.conditions(near, without=covered))
    if of_run.conditions(Run):
        run = select(*LOOKED_AT).where(Run.id == near.id).offset(0).lateral("run")
        page = page.join(run, true()).where(*of_run.conditions(run.c))
    # Of runs without a figure the ids alone: read in their order, no more than a page is read.
    keys = [near.id] if span.is_without_key else [near.key, near.id]
    return page.order_by(*order.by(*keys)).limit(limit)


def has_index(order: Order, span: Span) -> bool:
    """Whether an index has the runs of this part of an order one after another.

    None has runs whose cost is unknown or in another currency.
    """
    return order.currency is None or not span.is_without_key


def selected(order: Order, span: Span, selection: Selection, limit: int) -> Select[Any] | None:
    """The first selected runs of a part of an order, from the rows of figures alone.

    All selected rows are found and sorted. None if the selection depends on more than these rows.
    """
    of_figures, of_run = selection.split()
    if of_run.conditions(Run):
        return None
    conditions = of_figures.conditions(RunFigure)
    for name in ("created_at", "finished_at"):
        after, before = selection.bounds(name)
        column = getattr(RunFigure, name)  # as its index has it
        conditions += [] if after is None else [column > after]
        conditions += [] if before is None else [column < before]
    if not has_index(order, span):
        return _without_cost(order, span, conditions, limit)
    figure = getattr(RunFigure, order.column)
    key = INFINITY if span.is_without_key else figure
    query = select(RunFigure.run_id.label("id"), key.label("key"))
    query = query.where(*_in_part(order, span), *conditions)
    if order.currency is not None:
        query = query.where(RunFigure.currency == order.currency)
    keys = [*([] if span.is_without_key else [figure.expression]), RunFigure.run_id.expression]
    return query.order_by(*order.by(*keys)).limit(limit)


def _without_cost(
    order: Order, span: Span, conditions: Sequence[ColumnElement[bool]], limit: int
) -> Select[Any]:
    """The first of all runs whose cost is unknown or in another currency: all are sorted."""
    currency, cost = RunFigure.currency, RunFigure.cost
    ranges = (
        currency.is_(None),
        and_(currency == order.currency, cost.is_(None)),
        currency < order.currency,
        currency > order.currency,
    )
    unknown = union_all(
        *(
            select(RunFigure.run_id.label("id")).where(
                each, *conditions, *_ids(span, RunFigure.run_id)
            )
            for each in ranges
        )
    ).subquery("without_cost")
    query = select(unknown.c.id, INFINITY.label("key"))
    return query.order_by(*order.by(unknown.c.id)).limit(limit)


def matching(
    order: Order, spans: Sequence[Span], conditions: Sequence[ColumnElement[bool]]
) -> Select[Any]:
    """The ids of the runs of parts of an order that conditions select, with their keys."""
    figures = _of_run(order)
    key = func.coalesce(figures.c.figure, INFINITY).label("key")
    fence = select(Run.id, key).outerjoin(figures, true()).where(*conditions).offset(0)
    runs = fence.subquery("runs_with_figures").c
    return select(runs.id, runs.key).where(*within_any(order, spans, runs.key, runs.id))


def _led(
    order: Order, span: Span, leading: Leading | None, most: ColumnElement[Any]
) -> Select[Any]:
    """Runs of a part of an order that has an index: ``id``, ``key`` and what else is known."""
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
    merged = union_all(*(select(*(one[name] for name in _NAMES)) for one in each))
    rows = merged.subquery("merged").c
    return select(*rows).order_by(*order.by(rows.key, rows.id))


def _of_part(order: Order, span: Span) -> Select[Any]:
    figure = getattr(RunFigure, order.column)
    query: Select[Any] = select(RunFigure.run_id.label("id"), figure.label("key"), *OF_RUN)
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
    query: Select[Any] = select(RunFigure.run_id.label("id"), figure.label("key"), *OF_RUN)
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
