from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services import cursors

STORABLE = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))


@given(STORABLE, st.integers(min_value=0, max_value=2**31 - 1))
def test_a_cursor_is_read_back(text: str, number: int) -> None:
    assert cursors.decode(cursors.encode(text, number), str, int) == [text, number]


@given(st.text(max_size=100))
def test_any_other_text_is_rejected(text: str) -> None:
    with pytest.raises(cursors.CursorError) as caught:
        cursors.decode(text, str, int, field="after")
    assert caught.value.field == "after"


@pytest.mark.parametrize(
    "parts", [("a",), ("a", "b"), (1, 1), ("a", -1), ("a", 2**31), ("\x00", 1)]
)
def test_parts_of_another_form_are_rejected(parts: tuple[str | int, ...]) -> None:
    with pytest.raises(cursors.CursorError):
        cursors.decode(cursors.encode(*parts), str, int)


def test_a_cursor_is_safe_in_an_address() -> None:
    cursor = cursors.encode("ÿ?>~", 7)
    assert cursor.isascii()
    assert cursor.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize("text", ["", "soon", "2026-03-01T00:00:00"])
def test_times_need_a_zone(text: str) -> None:
    with pytest.raises(cursors.CursorError):
        cursors.check_time(text)
    cursors.check_time("2026-03-01T00:00:00+00:00")
    cursors.check_time("infinity")
