from __future__ import annotations

from hypothesis import given, settings

from app.reports import pdf
from app.reports.shape import Context
from tests.support.report_contexts import context_with
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
