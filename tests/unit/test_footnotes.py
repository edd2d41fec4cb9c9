"""A reason shared by several unknown figures is printed once, below them."""

from __future__ import annotations

import pytest

from app.reports.shape import column, row, table
from pricetag.tag.footnotes import footnoted, letter


def test_only_repeated_reasons_become_footnotes() -> None:
    cells = ["1.0", "n/a (no meter)", "n/a (no zone)", "n/a (no meter)", "", "n/a"]
    shown, notes = footnoted(cells)
    assert shown == ["1.0", "n/a [1]", "n/a (no zone)", "n/a [1]", "", "n/a"]
    assert notes == ["[1] no meter"]


@pytest.mark.parametrize("reason", ["x (y)", "two\nlines", "n/a (again)", "a reason"])
def test_any_reason_is_kept_as_it_is(reason: str) -> None:
    assert footnoted([f"n/a ({reason})"] * 2) == (["n/a [1]"] * 2, [f"[1] {reason}"])
    assert footnoted([f"n/a ({reason})"]) == ([f"n/a ({reason})"], [])


def test_a_table_continues_after_the_letters_in_use() -> None:
    rows = [
        row("one", "n/a (a)", "n/a (no zone)"),
        row("two", "n/a (no meter)", "n/a (no zone)"),
        row("three", "7.0 (b)", "n/a (alone)", total=True),
    ]
    notes = ["Of all runs.", "(a) no meter", "(b) at least"]
    made = table("t", "caption", [column("x")] * 3, rows, notes)
    assert [r["cells"] for r in made["rows"]] == [
        ["one", "n/a (a)", "n/a (c)"],
        ["two", "n/a (a)", "n/a (c)"],
        ["three", "7.0 (b)", "n/a (alone)"],
    ]
    assert made["rows"][2]["total"] is True
    assert made["notes"] == [*notes, "(c) no zone"]


def test_letters_continue_after_z() -> None:
    assert [letter(index) for index in (0, 25, 26, 27, 52)] == ["a", "z", "aa", "ab", "ba"]
