"""One document has one hash; the first difference of two documents is named."""

from __future__ import annotations

import hashlib
import json
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricetag.accounting.document.canonical import (
    content_sha256,
    content_sha256_v1,
    content_sha256_v2,
    first_difference,
    known_sha256,
)

numbers = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**53), 2**53))
documents = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4)
    ),
    max_leaves=20,
)


def spelled_out(value: Any) -> Any:
    """The document as a database gives it back: numbers without exponent."""
    if isinstance(value, float) and value.is_integer():
        return int(Decimal(repr(value)))
    if isinstance(value, dict):
        return {key: spelled_out(item) for key, item in value.items()}
    return [spelled_out(item) for item in value] if isinstance(value, list) else value


@given(st.dictionaries(st.text(), documents, max_size=4))
def test_the_hash_outlives_a_database(document: dict[str, Any]) -> None:
    assert content_sha256(spelled_out(document)) == content_sha256(document)
    assert content_sha256(json.loads(json.dumps(document))) == content_sha256(document)
    assert first_difference(spelled_out(document), document) is None


def test_equal_numbers_are_written_the_same() -> None:
    spellings = ["6e16", "60000000000000000", "60000000000000000.0"]
    assert len({content_sha256({"x": json.loads(text)}) for text in spellings}) == 1
    assert content_sha256({"x": 1}) == content_sha256({"x": 1.0})
    assert content_sha256({"x": 1}) != content_sha256({"x": True})
    assert content_sha256({"x": 0.1}) != content_sha256({"x": math.nextafter(0.1, 1)})


def test_the_canonical_form_is_fixed() -> None:
    """SHA-256 of the text in UTF-8, as anybody can work it out."""
    text = '{"a":[1,0.5,null,0.0000568,1e+21],"b":"é"}'
    document = {"b": "é", "a": [1.0, 0.5, None, 5.68e-05, 1e21]}
    assert content_sha256(document) == hashlib.sha256(text.encode()).hexdigest()


def test_older_canonical_forms_do_not_change() -> None:
    document = {"b": "é", "a": [1.0, 5.68e-05, 2e21]}
    second = '{"a":[1,5.68e-05,2000000000000000000000],"b":"é"}'
    first = '{"a":[1.0,5.68e-05,2e+21],"b":"é"}'
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in (first, second)]
    assert [content_sha256_v1(document), content_sha256_v2(document)] == digests
    assert known_sha256(document, "1") == tuple(digests)
    assert known_sha256(document, "2") == (digests[1],)
    assert known_sha256(document, "3") == (content_sha256(document),)
    assert known_sha256(document, None) == (content_sha256(document),)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_is_not_a_number_has_no_hash(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        content_sha256({"value": value})


@pytest.mark.parametrize(
    ("one", "other", "difference"),
    [
        ({"a": 1}, {"a": 1.0}, None),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, "a.b[1]: 2 and 3"),
        ({"a": [1]}, {"a": [1, 2]}, "a: 1 and 2 entries"),
        ({"a": 1}, {}, "a: only in the first"),
        ({}, {"a": 1}, "a: only in the second"),
        ({"a": True}, {"a": 1}, "a: True and 1"),
        ({"a": "1"}, {"a": 1}, "a: '1' and 1"),
        ({"a": None}, {"a": 0}, "a: None and 0"),
        ({"a": 0.1}, {"a": 0.10000000000000002}, "a: 0.1 and 0.10000000000000002"),
        ({"a": {}}, {"a": []}, "a: {} and []"),
    ],
)
def test_the_first_difference_is_named(one: Any, other: Any, difference: str | None) -> None:
    assert first_difference(one, other) == difference
