"""Runs in the order of a figure of their newest price tag, along the index of that figure.

The versions before the newest one are in the index too, and are skipped: they are few. Runs
whose figure is unknown come by their ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, literal_column, select, true

from app.repositories.runs.orders import Order, Span, between
from models import PriceTag, Run

INFINITY: ColumnElement[Any] = literal_column("'infinity'::float8")


def along(order: Order, span: Span, limit: int, columns: Sequence[Any]) -> Select[Any]:
    """The first runs of a part of an order by a figure, with their ``key``.

    Args:
        order: By a figure.
        span: The part: of runs whose figure is known, or of the others.
        limit: Maximum number of runs.
        columns: Columns of runs.
    """
    most: ColumnElement[Any] = literal_column(str(limit))
    if span.is_without_key:
        newest = _newest(Run.id, _figure(order).label("figure"))
        query: Select[Any] = select(*columns, INFINITY.label("key"))
        query = query.outerjoin(newest, true()).where(newest.c.figure.is_(None), *_ids(span))
        return query.order_by(*order.by(Run.id.expression)).limit(most)
    figure = getattr(PriceTag, order.column)
    is_known = figure.is_not(None)
    if order.currency is not None:
        is_known = and_(is_known, PriceTag.currency == order.currency)
    tags = (
        select(PriceTag.run_id, PriceTag.version, figure.label("key"))
        .where(is_known, *between(order, span, figure, PriceTag.run_id))
        .order_by(*order.by(figure.expression, PriceTag.run_id.expression))
        .offset(0)
        .subquery("tags")
    )
    newest = _newest(tags.c.run_id, PriceTag.version.label("version"))
    # A fence: each run is looked up by its id, in the order of the index.
    run = select(*columns).where(Run.id == tags.c.run_id).offset(0).lateral("run")
    return (
        select(*run.c, tags.c.key)
        .select_from(tags)
        .join(newest, newest.c.version == tags.c.version)
        .join(run, true())
        .order_by(*order.by(tags.c.key, tags.c.run_id))
        .limit(most)
    )


def matching(order: Order, span: Span, conditions: Sequence[ColumnElement[bool]]) -> Select[Any]:
    """The ids of the runs of a part of an order that conditions select, with their keys."""
    newest = _newest(Run.id, _figure(order).label("figure"))
    key = func.coalesce(newest.c.figure, INFINITY).label("key")
    fence = select(Run.id, key).outerjoin(newest, true()).where(*conditions).offset(0)
    runs = fence.subquery("runs_with_figures").c
    return select(runs.id, runs.key).where(*between(order, span, runs.key, runs.id))


def _newest(run_id: Any, column: Any) -> Any:
    """A column of a run's newest price tag."""
    query = select(column).where(PriceTag.run_id == run_id)
    return query.order_by(PriceTag.version.desc()).limit(1).lateral("newest")


def _figure(order: Order) -> ColumnElement[Any]:
    """The figure; null where it is unknown, or in another currency."""
    figure: ColumnElement[Any] = getattr(PriceTag, order.column).expression
    if order.currency is None:
        return figure
    return case((PriceTag.currency == order.currency, figure), else_=None)


def _ids(span: Span) -> list[ColumnElement[bool]]:
    conditions = []
    if span.low is not None:
        conditions.append(Run.id > span.low[1])
    if span.high is not None:
        conditions.append(Run.id < span.high[1])
    return conditions
