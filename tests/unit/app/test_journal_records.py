from __future__ import annotations

from typing import Any

import pytest

from app.services.attempts.journal_records import Log, Rejected, in_order, parse

LINE = {
    "type": "log",
    "t_s": 1.0,
    "at": "2026-03-01T12:00:00+00:00",
    "stream": "stdout",
    "text": "hello",
}


def line(seq: int) -> dict[str, Any]:
    return {"seq": seq, **LINE}


def test_unknown_fields_are_accepted() -> None:
    record = parse({**line(3), "colour": "red"}, seq_if_missing=0)
    assert isinstance(record, Log)
    assert (record.seq, record.text) == (3, "hello")


@pytest.mark.parametrize(
    ("raw", "seq", "reason"),
    [
        ("text", 7, "not an object"),
        ({**LINE}, None, None),
        ({**line(3), "text": None}, 3, "log: text"),
        ({**line(3), "type": "joke"}, 3, "joke"),
        ({**line(3), "type": None}, 3, "type"),
        ({**line(3), "at": "2026-03-01T12:00:00"}, 3, "timezone"),
        ({**line(3), "seq": -1}, None, None),
        ({**line(3), "seq": True}, None, None),
    ],
)
def test_a_record_is_parsed_or_rejected_with_its_reason(
    raw: object, seq: int | None, reason: str | None
) -> None:
    record = parse(raw, seq_if_missing=7)
    if reason is None:
        assert isinstance(record, Log)
        assert record.seq == 7
        return
    assert isinstance(record, Rejected)
    assert record.seq == seq
    assert reason in record.why


def test_deep_nesting_is_rejected() -> None:
    card: dict[str, Any] = {}
    for _ in range(100_000):
        card = {"in": card}
    record = parse({**line(1), "card": card}, seq_if_missing=0)
    assert isinstance(record, Rejected)
    assert "nested" in record.why
    while card:  # taken apart by hand: freeing it is recursive as well
        card = card["in"]


def test_order_overlap_repeats_and_holes() -> None:
    ordered, holes = in_order([line(5), line(3), line(4), line(5), line(8)], after_seq=3)
    assert [record.seq for record in ordered] == [4, 5, 8]
    assert [(hole.seq, hole.why) for hole in holes] == [(6, "records 6 to 7 never arrived")]


def test_a_record_without_a_number_is_numbered_by_its_position() -> None:
    ordered, holes = in_order([line(4), {**LINE}, line(6)], after_seq=3)
    assert [record.seq for record in ordered] == [4, 5, 6]
    assert holes == []
