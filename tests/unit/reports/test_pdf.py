from __future__ import annotations

import json
from itertools import accumulate

import pytest
from hypothesis import given, settings

from app.reports import glyphs, pdf
from app.reports.shape import Column, Context, column, row, table
from tests.support.png import luminance, pages_png
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
    plain = pages_png(context_with("plain"))
    markup = '#panic("run") #read("/etc/passwd") $x$ *b* _i_ `c` <l> @r \\ ' + SPECIAL
    assert len(pages_png(context_with(markup))) == len(plain) == 1


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
    for page in pages_png(context, ppi=72):
        rows = luminance(page)[BELOW_CAPTION_PT:ABOVE_FOOTER_PT]
        figures = [row for row in rows if row[round(MARGIN_PT) + 1] == 255]
        assert any(min(row) < 100 for row in figures)
        for boundary in boundaries:
            gutter = slice(round(boundary) - 1, round(boundary) + 2)
            assert min(min(row[gutter]) for row in figures) > 200, f"ink at {boundary:.0f} pt"


def rules_pt(page: bytes) -> list[int]:
    """Where rules cross the page, from the top; one pixel a point."""
    across = slice(round(MARGIN_PT) + 1, round(PAGE_WIDTH_PT - MARGIN_PT) - 1)
    dark = [y for y, line in enumerate(luminance(page)) if max(line[across]) < 230]
    return [y for y in dark if y - 1 not in dark]


def height_of_heads(label: str) -> int:
    context = context_with("x")
    heads = [column("Run", weight=2.0), *(column(label, "right", 0.9) for _ in range(10))]
    shown = table("t", "heads", heads, [row(*["1"] * 11)])
    context["sections"] = [{"id": "s", "heading": "x", "paragraphs": [], "tables": [shown]}]
    [page] = pages_png(context, ppi=72)
    above, below = rules_pt(page)[:2]
    return below - above


def test_headings_do_not_break_inside_words() -> None:
    one_line = height_of_heads("of")
    assert height_of_heads("operational") <= one_line
    assert height_of_heads("operational operational") > one_line + 4


def test_a_long_word_stays_on_the_page() -> None:
    word = "W" * 200
    right = round(PAGE_WIDTH_PT - MARGIN_PT) + 2
    for page in pages_png(context_with(word), ppi=72):
        rows = luminance(page)
        assert any(min(row) < 100 for row in rows)
        assert min(min(row[right:]) for row in rows) == 255


@pytest.mark.parametrize(
    "text", ["Ωμέγα", "Ёлка", "naïve → café • 5 µs", "\N{REPLACEMENT CHARACTER}"]
)
def test_characters_in_the_shipped_fonts_are_shown(text: str) -> None:
    assert glyphs.warning({"title": [text]}, json.dumps(glyphs.FONTS)) is None


def test_characters_that_no_font_has_are_mentioned() -> None:
    unassigned = "\u0378"  # Unicode has given it to nobody, so that no font has it
    warning = glyphs.warning({"a": [{"title": f"Ω{unassigned}"}]}, json.dumps(glyphs.FONTS))
    assert warning is not None
    assert "the first is U+0378." in warning
    # It is on the page: more ink than under a character that the font has.
    dark = [
        sum(
            value < 200
            for row in luminance(pages_png(context_with("x", lead=lead))[0])
            for value in row
        )
        for lead in ("Ω", unassigned)
    ]
    assert dark[1] > dark[0] + 300
