from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given, settings

from app.reports import pdf
from app.reports.shape import Column, Context
from tests.support.png import luminance
from tests.support.report_contexts import context_with, wide_context
from tests.unit.reports.strategies import SPECIAL, names


def is_pdf(content: bytes) -> bool:
    return content.startswith(b"%PDF-") and content.rstrip().endswith(b"%%EOF")


def test_the_same_context_gives_the_same_bytes(site: Context) -> None:
    first = pdf.render(site)
    assert is_pdf(first)
    assert pdf.render(site) == first


@settings(max_examples=15, deadline=None)
@given(names)
def test_any_name_compiles(name: str) -> None:
    assert is_pdf(pdf.render(context_with(name)))


def test_special_characters_and_markup_are_only_text() -> None:
    plain = pdf.pages_png(context_with("plain"))
    markup = '#panic("run") #read("/etc/passwd") $x$ *b* _i_ `c` <l> @r \\ ' + SPECIAL
    assert len(pdf.pages_png(context_with(markup))) == len(plain) == 1


MARGIN_PT, PAGE_WIDTH_PT = 18 / 25.4 * 72, 210 / 25.4 * 72
BELOW_CAPTION_PT, ABOVE_FOOTER_PT = 175, 780


def boundaries_pt(columns: list[Column]) -> list[float]:
    """Where one column ends and the next begins, from the left edge of the page."""
    whole = sum(column["weight"] for column in columns)
    width_pt = PAGE_WIDTH_PT - 2 * MARGIN_PT
    shares = accumulate(column["weight"] / whole for column in columns[:-1])
    return [MARGIN_PT + width_pt * share for share in shares]


@pytest.mark.parametrize("number", range(5))
def test_no_column_runs_into_the_next(number: int) -> None:
    context = wide_context()
    [section] = context["sections"]
    section["tables"] = [section["tables"][number]]
    boundaries = boundaries_pt(section["tables"][0]["columns"])
    # One pixel a point. A table's left edge has ink where a rule goes through all columns.
    for page in pdf.pages_png(context, ppi=72):
        rows = luminance(page)[BELOW_CAPTION_PT:ABOVE_FOOTER_PT]
        figures = [row for row in rows if row[round(MARGIN_PT) + 1] == 255]
        assert any(min(row) < 100 for row in figures)
        for boundary in boundaries:
            gutter = slice(round(boundary) - 1, round(boundary) + 2)
            assert min(min(row[gutter]) for row in figures) > 200, f"ink at {boundary:.0f} pt"
