"""Odd stage names chosen by a script: one short line where they are shown and stored."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricetag.cli.views import price_tag_view
from pricetag.one_line import BIDIRECTIONAL, one_line
from tests.support.price_tags import nested_run, tag
from tests.unit.cli.test_views import drawn

NAMES = {
    "long": "s" * 10_000,
    "lines": "line1\nline2\r\nline3\u2028line4",
    "control": "a\x00b\x1b[31mc\x07\t",
    "bidirectional": "abc\u202edef\u2066",
    "surrogate": "a\ud83db",
    "wide": "\U0001f525" * 10_000,
    "empty": "",
}


@pytest.mark.parametrize("name", list(NAMES))
def test_a_name_fits_one_row_of_a_price_tag(name: str) -> None:
    run = nested_run("run")
    (attempt, *others) = run.attempts
    plain = drawn(price_tag_view(tag(run)), width=120)
    stages = tuple(
        replace(stage, name=NAMES[name]) if place == 1 else stage
        for place, stage in enumerate(attempt.stages)
    )
    odd = replace(run, attempts=(replace(attempt, stages=stages), *others))
    shown = drawn(price_tag_view(tag(odd)), width=120)
    assert len(shown.splitlines()) <= len(plain.splitlines()) + 1
    assert not set(shown) & (BIDIRECTIONAL | set("\x00\x1b\x07\r\u2028\ud83d"))


@given(st.text(st.characters()) | st.sampled_from(list(NAMES.values())), st.integers(1, 300))
def test_a_line_stays_one_line_for_any_name(name: str, most: int) -> None:
    line = one_line(name, most)
    assert len(line) <= most
    assert len(line.splitlines()) <= 1
    line.encode()
    assert not set(line) & BIDIRECTIONAL
    assert one_line(line, most) == line


@pytest.mark.parametrize("name", ["epoch 1", "données", "評価", "a  b", "\U0001f525"])
def test_ordinary_names_stay_as_they_are(name: str) -> None:
    assert one_line(name) == name
