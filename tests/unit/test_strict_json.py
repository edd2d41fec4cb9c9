"""JSON that every parser reads the same, and nothing else."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricetag.strict_json import StrictJsonError, parse_json

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES)
def test_every_json_value_is_read_as_it_was_written(value: object) -> None:
    assert parse_json(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "b": 2, "a": 3}', "the key 'a' appears twice"),
        ('[{"x": {"a": 1, "a": 1}}]', "the key 'a' appears twice"),
        ("NaN", "NaN is not a JSON number"),
        ("[-Infinity]", "-Infinity is not a JSON number"),
        ("1" * 5000, "has 5000 digits"),
        ("[" * 100_000, "nests too deeply"),
        ('{"a": 1,\n  "b" 2}', "line 2, column 7"),
        ("", "line 1, column 1"),
    ],
)
def test_invalid_json_is_an_error_that_names_the_problem(text: str, message: str) -> None:
    with pytest.raises(StrictJsonError, match=message):
        parse_json(text)


def test_many_equal_keys_take_time_linear_in_the_text() -> None:
    distinct = ", ".join(f'"{number}": 0' for number in range(40_000))
    started_s = time.process_time()
    with pytest.raises(StrictJsonError, match="'39999' appears twice"):
        parse_json(f'{{{distinct}, "39999": 1}}')
    assert time.process_time() - started_s < 5  # comparing each with each takes a minute
