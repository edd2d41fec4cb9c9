from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services.factors.hourly_csv import Gap, gaps, read_hours
from app.services.factors.price_files import MalformedFileError

NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
HEAD = "hour,g_per_kwh\n"


def faults(text: str) -> list[tuple[str | None, str]]:
    with pytest.raises(MalformedFileError) as refused:
        read_hours(text, NOW)
    return [(fault.field, fault.message) for fault in refused.value.errors]


def test_hours_in_any_offset_are_utc_hours() -> None:
    text = (
        "\ufeffhour,g_per_kwh\r\n"
        "2026-03-29T01:00+01:00,300\r\n"  # the last before Berlin's clocks go forward
        "2026-03-29T03:00+02:00,310.5\r\n"
        "\r\n"
        "2026-03-29 02:00:00Z,0\r\n"
        "2026-03-29T08:30+05:30,5000\r\n"
    )
    begin = datetime(2026, 3, 29, tzinfo=UTC)
    values = [300.0, 310.5, 0.0, 5000.0]
    assert list(read_hours(text, NOW).items()) == [
        (begin + timedelta(hours=n), value) for n, value in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("row", "place", "text"),
    [
        ("2026-03-29T02:00,300", "line 3, hour", "has no time zone"),
        ("2026-03-01T01:30Z,300", "line 3, hour", "does not begin on the hour"),
        ("2026-03-01T01:00+05:30,300", "line 3, hour", "does not begin on the hour"),
        ("2026-11-21T12:00Z,300", "line 3, hour", "is not over yet"),
        ("2026-12-01T12:00Z,300", "line 3, hour", "is not over yet"),
        ("2027-01-01T12:00Z,300", "line 3, hour", "is in the year 2027"),
        ("0001-01-01T00:00+14:00,300", "line 3, hour", "is in the year 1"),
        ("2026-02-30T12:00Z,300", "line 3, hour", "is not a time"),
        ("yesterday,300", "line 3, hour", "is not a time"),
        ("1767225600,300", "line 3, hour", "is not a time"),
        ("2026-03-01T00:00Z,300", "line 3, hour", "repeats the hour of line 2"),
        ("2026-03-01T01:00+01:00,300", "line 3, hour", "repeats the hour of line 2"),
        ("2026-03-01T01:00Z,", "line 3, g_per_kwh", "is not a carbon intensity"),
        ("2026-03-01T01:00Z,NaN", "line 3, g_per_kwh", "is not a carbon intensity"),
        ("2026-03-01T01:00Z,inf", "line 3, g_per_kwh", "is not a carbon intensity"),
        ("2026-03-01T01:00Z,1_00", "line 3, g_per_kwh", "is not a carbon intensity"),
        ("2026-03-01T01:00Z,\u0661\u0662", "line 3, g_per_kwh", "is not a carbon intensity"),
        ("2026-03-0\u0661T01:00Z,100", "line 3, hour", "is not a time"),
        ("2026-03-01T01:00Z,-1", "line 3, g_per_kwh", "is not a carbon intensity"),
        ("2026-03-01T01:00Z,5001", "line 3, g_per_kwh", "is not a carbon intensity"),
        ("2026-03-01T01:00Z,1e400", "line 3, g_per_kwh", "is not a carbon intensity"),
        ('2026-03-01T01:00Z,"1,5"', "line 3, g_per_kwh", "is not a carbon intensity"),
        ("2026-03-01T01:00Z,1,5", "line 3", "has 3 cells"),
        ("2026-03-01T01:00Z", "line 3", "has 1 cells"),
        ('2026-03-01T01:00Z,"1', "line 3", "is not CSV"),
    ],
)
def test_an_invalid_cell_is_reported_with_line_and_column(row: str, place: str, text: str) -> None:
    ((field, message),) = faults(f"{HEAD}2026-03-01T00:00Z,250\n{row}\n")
    assert field == place
    assert text in message


@pytest.mark.parametrize("head", ["", "time,g\n", "g_per_kwh,hour\n", "hour;g_per_kwh\n"])
def test_an_invalid_header_is_reported(head: str) -> None:
    ((field, message),) = faults(head + "2026-03-01T00:00Z,250\n")
    assert (field, "header line must be hour,g_per_kwh" in message) == ("line 1", True)


def test_the_first_invalid_cells_of_each_kind_are_reported_with_a_count() -> None:
    rows = "".join(f"2026-03-01T{hour:02}:10Z,x{hour}\n" for hour in range(24))
    with pytest.raises(MalformedFileError) as refused:
        read_hours(HEAD + rows + "2026-03-01T00:00,5\n", NOW)
    assert [fault.field for fault in refused.value.errors] == [
        *(f"line {line}, hour" for line in (2, 3, 4)),
        *(f"line {line}, g_per_kwh" for line in (2, 3, 4)),
        "line 26, hour",
    ]
    assert refused.value.message == (
        "line 2, hour: 2026-03-01T00:10Z does not begin on the hour in UTC "
        "(and 23 similar problems) (and 25 others)"
    )


def test_an_empty_file_is_reported() -> None:
    assert faults(HEAD) == [("content", "contains no hours")]


def test_an_invalid_value_does_not_hide_a_duplicate_hour() -> None:
    text = HEAD + "2026-03-01T00:00Z,x\n2026-03-01T00:00Z,1\n"
    assert [field for field, _ in faults(text)] == ["line 2, g_per_kwh", "line 3, hour"]


def test_missing_hours_are_reported() -> None:
    begin = datetime(2026, 3, 1, tzinfo=UTC)
    hours = [begin + timedelta(hours=n) for n in (5, 0, 1, 9)]
    assert gaps(hours) == [Gap(begin + timedelta(hours=2), 3), Gap(begin + timedelta(hours=6), 3)]
    assert gaps(hours[:1]) == []


@given(
    st.dictionaries(
        st.integers(0, 8_000), st.floats(0, 5_000, allow_subnormal=False), min_size=1, max_size=40
    ),
    st.integers(-14, 14),
)
def test_written_values_are_read_back(values: dict[int, float], offset_h: int) -> None:
    begin = datetime(2025, 1, 1, tzinfo=UTC)
    sign = "-" if offset_h < 0 else "+"
    lines = [
        f"{begin + timedelta(hours=n + offset_h):%Y-%m-%dT%H:%M}{sign}{abs(offset_h):02}:00,{v!r}"
        for n, v in values.items()
    ]
    hours = read_hours(HEAD + "\n".join(lines), NOW)
    assert hours == {begin + timedelta(hours=n): value for n, value in values.items()}
    missing = sum(gap.hours for gap in gaps(hours))
    assert len(hours) + missing == max(values) - min(values) + 1
