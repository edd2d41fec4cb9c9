from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricetag.accounting.budgets.periods import PERIODS, Period, Span, period_at, zone_of
from pricetag.accounting.budgets.pieces import Days, Pieces, midnight, pieces_of

ZONES = ("UTC", "Asia/Tokyo", "Asia/Kathmandu", "America/Sao_Paulo", "Pacific/Apia", "Asia/Kolkata")
TICK = timedelta(microseconds=1)

instants = st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))


def _as_span(days: Days) -> Span:
    return Span(
        None if days.first is None else midnight(days.first),
        None if days.end is None else midnight(days.end),
    )


def _spans(pieces: Pieces) -> list[Span]:
    months = [] if pieces.months is None else [pieces.months]
    return [*map(_as_span, (*months, *pieces.days)), *pieces.edges]


def _instants_near(spans: list[Span], at: datetime) -> list[datetime]:
    edges = [edge for span in spans for edge in (span.start, span.end) if edge is not None]
    return [at, *(edge + tick for edge in edges for tick in (-TICK, 0 * TICK, TICK))]


def _check(span: Span, at: datetime) -> None:
    pieces = pieces_of(span)
    spans = _spans(pieces)
    for instant in _instants_near([span, *spans], at):
        assert sum(piece.holds(instant) for piece in spans) == span.holds(instant), instant
        whole = pieces.whole is not None and _as_span(pieces.whole).holds(instant)
        assert whole == any(p.holds(instant) for p in spans[: len(spans) - len(pieces.edges)])
    if pieces.months is not None:
        edges = (pieces.months.first, pieces.months.end)
        assert all(edge is None or edge.day == 1 for edge in edges)


@given(st.sampled_from(PERIODS), st.sampled_from(ZONES), instants)
def test_each_instant_of_a_period_is_in_one_piece(period: Period, zone: str, at: datetime) -> None:
    _check(period_at(period, zone_of(zone), at), at)


@given(instants, st.integers(0, 10**9), instants)
def test_each_instant_of_any_span_is_in_one_piece(
    start: datetime, length_s: int, at: datetime
) -> None:
    _check(Span(start, start + timedelta(seconds=length_s)), at)


@given(instants, instants)
def test_a_span_may_have_one_edge(edge: datetime, at: datetime) -> None:
    _check(Span(None, edge), at)
    _check(Span(edge, None), at)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
def test_a_year_is_mostly_months(zone: str) -> None:
    pieces = pieces_of(period_at("year", zone_of(zone), datetime(2026, 6, 1, tzinfo=UTC)))
    days = sum((d.end - d.first).days for d in pieces.days if d.end and d.first)
    assert pieces.months is not None
    assert days <= 31
    assert len(pieces.edges) == (0 if zone == "UTC" else 2)


def test_a_total_has_no_edge() -> None:
    assert pieces_of(Span(None, None)) == Pieces(Days(None, None), Days(None, None), (), ())
