"""What can be stored: one decision for request bodies, recipes and journals."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricetag import storable

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(json_values)
def test_storable_is_strict_json_without_nul_and_is_idempotent(value: Any) -> None:
    stored = storable.storable(value, max_depth=100)
    text = json.dumps(stored, allow_nan=False, ensure_ascii=False)
    text.encode("utf-8")
    assert "\\u0000" not in text
    assert list(storable.faults(stored, max_depth=100, max_values=10_000)) == []
    assert storable.storable(stored, max_depth=100) == stored


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_text_that_can_be_stored_stays_as_it_is(text: str) -> None:
    assert storable.storable(text, max_depth=100) == text


@pytest.mark.parametrize(
    ("value", "path", "problem", "in_key"),
    [
        ({"a": [0, "b\x00"]}, ("a", 1), "nul", False),
        ({"a": {"\x00": 1}}, ("a",), "nul", True),
        ({"a": "\udfff"}, ("a",), "surrogate", False),
        ({"\ud800": 1}, (), "surrogate", True),
        ({"a": math.nan}, ("a",), "not-finite", False),
        ({"a": -math.inf}, ("a",), "not-finite", False),
        ([2**63], (0,), "integer", False),
        ([-(2**63)], (0,), "integer", False),
        ([b"x"], (0,), "type", False),
        ({1: 2}, (), "key", True),
    ],
)
def test_each_value_that_cannot_be_stored_is_named(
    value: Any, path: tuple[str | int, ...], problem: str, in_key: bool
) -> None:
    [fault] = storable.faults(value, max_depth=40, max_values=100)
    assert (fault.path, fault.problem, fault.in_key) == (path, problem, in_key)


def test_limits_end_the_walk() -> None:
    endless: list[Any] = []
    endless.append(endless)
    [fault] = storable.faults(endless, max_depth=40, max_values=100)
    assert (fault.problem, len(fault.path)) == ("depth", 41)
    [fault] = storable.faults([0] * 100, max_depth=40, max_values=100)
    assert fault.problem == "values"
    assert list(storable.faults([0] * 99, max_depth=1, max_values=100)) == []
    with pytest.raises(RecursionError):
        storable.storable(endless, max_depth=100)
