from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given

from app.reports.text import clean, clean_all, slug
from tests.unit.reports.strategies import names


@given(names)
def test_cleaned_text_is_one_printable_line(name: str) -> None:
    text = clean(name)
    assert len(text.splitlines()) <= 1
    assert not any(unicodedata.category(char) in ("Cc", "Cs") for char in text)
    assert clean(text) == text
    text.encode("utf-8")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a\r\nb\tc", "a b c"),
        ("a\x00b", "a\ufffdb"),
        ("safe\u202egnp.exe", "safe\ufffdgnp.exe"),
        ("e\u0301", "é"),
        ("\udcff", "\ufffd"),
        ("MiniLM, 中文 😀", "MiniLM, 中文 😀"),
    ],
)
def test_unprintable_characters_are_made_visible(name: str, text: str) -> None:
    assert clean(name) == text


def test_every_text_of_a_structure_is_cleaned() -> None:
    assert clean_all({"a\n": ["b\x00", 1, None, {"c": "d\t"}]}) == {
        "a ": ["b\ufffd", 1, None, {"c": "d "}]
    }


@pytest.mark.parametrize(
    ("title", "name"),
    [("What it cost, 2026!", "what-it-cost-2026"), ("../../etc", "etc"), ("中文", "report")],
)
def test_file_names_are_plain(title: str, name: str) -> None:
    assert slug(title) == name
